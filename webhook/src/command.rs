//! The offline commands: they show at a terminal what the webhook would decide. They use neither
//! the network nor a kubeconfig. The state of the cluster comes from a file, or is that of the
//! shipped manifests.

mod admit;
mod cluster;
mod input;
mod output;
mod patch;
mod render;
mod report;

use fastrak_admission::mutate::service::Settings;
use fastrak_admission::policies::{RenderArgs, TemplateError};
use fastrak_admission::review::{NotAReview, Subject};
use fastrak_runtime::chain::Chain;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

/// The exit code if an object would be denied.
const DENIED: u8 = 2;

/// The commands.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum Command {
    /// Answer an AdmissionReview (JSON) from standard input.
    Admit(ClusterArgs),
    /// Print objects (YAML or JSON) from standard input as the API server would store them.
    Patch(PatchArgs),
    /// Print the rules as policies that the API server evaluates itself.
    Render(RenderArgs),
}

/// The settings and the namespace that commands share with the server.
#[derive(Clone, Debug)]
pub struct Defaults {
    /// The settings that decisions use.
    pub settings: Settings,
    /// The namespace of fastrak.
    pub namespace: String,
}

/// The flags for the state of the cluster.
#[derive(Clone, Debug, clap::Args)]
pub struct ClusterArgs {
    /// File with StorageClasses, Nodes, Namespaces and PersistentVolumes, from
    /// `kubectl get -o yaml` or `-o json`.
    #[arg(long, value_name = "FILE")]
    pub cluster: Option<PathBuf>,
}

/// The flags of `patch`.
#[derive(Clone, Debug, clap::Args)]
pub struct PatchArgs {
    /// The state of the cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// Output format: the objects, or the JSON Patch of each on a line.
    #[arg(long, short, value_enum, default_value = "yaml")]
    pub output: Format,
}

/// The output formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// As YAML.
    Yaml,
    /// As JSON.
    Json,
    /// As JSON Patches.
    Patch,
}

/// The result of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    Admitted,
    Denied,
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
enum CommandError {
    #[error("could not read {from}")]
    Read { from: String, source: io::Error },
    #[error("{0} is empty")]
    Empty(String),
    #[error("{from} is not JSON")]
    Json { from: String, source: serde_json::Error },
    #[error("{from} is not YAML")]
    Yaml { from: String, source: Box<serde_saphyr::Error> },
    #[error("{from}: a {found} is not a Kubernetes object")]
    NoObject { from: String, found: &'static str },
    #[error("{from}: {name} is malformed")]
    Object { from: String, name: String, source: serde_json::Error },
    #[error("standard input is not an AdmissionReview")]
    NotAReview { source: NotAReview },
    #[error("the review is of a {0:?}; fastrak reviews PersistentVolumeClaims and Services")]
    OtherKind(String),
    #[error("internal error: the patch does not apply to its object")]
    Patch { source: json_patch::PatchError },
    #[error("internal error: the response is malformed")]
    Answer { source: serde_json::Error },
    #[error("could not render the policies")]
    Render { source: TemplateError },
    #[error("could not write YAML")]
    WriteYaml { source: serde_saphyr::ser::Error },
    #[error("policies have no dry-run mode; remove --dry-run, or do not apply the bindings")]
    PoliciesInDryRun,
    #[error("policies cannot choose addresses of AddressPools; remove --addresses")]
    PoliciesWithAddresses,
    #[error("could not write to standard output")]
    Write { source: io::Error },
}

/// Runs a command. Returns exit code 0 if all objects would be admitted, 2 if one would be denied,
/// and 1 after an error.
#[must_use]
pub fn run(command: Command, defaults: &Defaults) -> ExitCode {
    let exit = match command {
        Command::Admit(args) => admit::admit(&args, defaults),
        Command::Patch(args) => patch::patch(&args, defaults),
        Command::Render(args) => render::render(&args, defaults),
    };
    match exit {
        Ok(Exit::Admitted) => ExitCode::SUCCESS,
        Ok(Exit::Denied) => ExitCode::from(DENIED),
        Err(CommandError::Write { source }) if source.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(error) => {
            output::message(&format!("error: {}", Chain(&error)));
            ExitCode::FAILURE
        }
    }
}

/// Returns the subject of a kind of the core group, if fastrak reviews it.
fn subject_of(kind: &str) -> Option<Subject> {
    [Subject::Claims, Subject::Services].into_iter().find(|subject| subject.kind() == kind)
}

/// Prints help, the version, or an error in the flags. The parser's own exit code for errors is 2,
/// which here means a denied object.
#[must_use]
pub fn explain(usage: &clap::Error) -> ExitCode {
    // A closed output is not an error.
    drop(usage.print());
    if usage.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
