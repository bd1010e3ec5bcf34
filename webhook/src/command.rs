//! Commands that answer at a terminal what the webhook would answer to an API server. They decide
//! nothing themselves, and never touch the network or a kubeconfig: what they know of a cluster is
//! in a file, or is what fastrak brings with it.

mod admit;
mod cluster;
mod input;
mod output;
mod patch;
mod render;
mod report;

use fastrak_admission::mutate::service::Settings;
use fastrak_admission::policies::RenderArgs;
use fastrak_admission::review::{NotAReview, Subject};
use fastrak_runtime::chain::Chain;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

/// The exit code where something would be refused.
const DENIED: u8 = 2;

/// What to do in place of serving.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum Command {
    /// Answer an AdmissionReview (JSON) read from standard input.
    Admit(ClusterArgs),
    /// Print objects (YAML or JSON) read from standard input as they would be stored.
    Patch(PatchArgs),
    /// Print the rules as objects that an API server carries out itself.
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

/// What is known of a cluster.
#[derive(Clone, Debug, clap::Args)]
pub struct ClusterArgs {
    /// File with StorageClasses, Nodes and Namespaces, as `kubectl get -o yaml` or `-o json` gives.
    #[arg(long, value_name = "FILE")]
    pub cluster: Option<PathBuf>,
}

/// How objects are completed and shown.
#[derive(Clone, Debug, clap::Args)]
pub struct PatchArgs {
    /// What is known of the cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
    /// How to print: the objects, or the JSON Patch of each on a line.
    #[arg(long, short, value_enum, default_value = "yaml")]
    pub output: Format,
}

/// How objects are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// As YAML.
    Yaml,
    /// As JSON.
    Json,
    /// As JSON Patches.
    Patch,
}

/// What it comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Admitted,
    Denied,
}

/// Why a command could not answer.
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
    #[error("{from}: a {found} is no object of Kubernetes")]
    NoObject { from: String, found: &'static str },
    #[error("{from}: {name} cannot be read")]
    Object { from: String, name: String, source: serde_json::Error },
    #[error("standard input is no review")]
    NotAReview { source: NotAReview },
    #[error("the review is of a {0:?}; fastrak looks at PersistentVolumeClaims and Services")]
    OtherKind(String),
    #[error("the answer does not apply to its own object: this is a defect")]
    Patch { source: json_patch::PatchError },
    #[error("the answer cannot be read back: this is a defect")]
    Answer { source: serde_json::Error },
    #[error("could not write YAML")]
    WriteYaml { source: serde_saphyr::ser::Error },
    #[error("policies have no dry-run mode: leave --dry-run out, or apply no bindings")]
    PoliciesInDryRun,
    #[error("could not write to standard output")]
    Write { source: io::Error },
}

/// Carries out a command. The exit code is 0 where everything would be admitted, 2 where something
/// would be refused, and 1 where there is no answer.
#[must_use]
pub fn run(command: Command, defaults: &Defaults) -> ExitCode {
    let ended = match command {
        Command::Admit(args) => admit::admit(&args, defaults),
        Command::Patch(args) => patch::patch(&args, defaults),
        Command::Render(args) => render::render(&args, defaults),
    };
    match ended {
        Ok(End::Admitted) => ExitCode::SUCCESS,
        Ok(End::Denied) => ExitCode::from(DENIED),
        Err(CommandError::Write { source }) if source.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(error) => {
            output::say(&format!("error: {}", Chain(&error)));
            ExitCode::FAILURE
        }
    }
}

/// What a kind of the core group is reviewed as, if it is.
fn subject_of(kind: &str) -> Option<Subject> {
    [Subject::Claims, Subject::Services].into_iter().find(|subject| subject.kind() == kind)
}

/// Shows help, the version, or what is wrong with the flags. Wrong flags are no refusal of an
/// object, so their exit code is not the parser's own.
#[must_use]
pub fn explain(usage: &clap::Error) -> ExitCode {
    // Where even that cannot be shown there is nobody left to tell.
    drop(usage.print());
    if usage.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
