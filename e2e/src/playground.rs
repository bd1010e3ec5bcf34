//! `make demo`, `make cluster` and `make cluster-down`.

use crate::demo;
use crate::demo_cluster::{DemoCluster, Nodes};
use crate::transcript::Transcript;
use anyhow::{Context, Result, bail};
use clap::Subcommand;
use fastrak_runtime::shutdown::Shutdown;
use rustix::process::{Pid, Signal, kill_process};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// The timeout until a cluster has stopped.
const ENDING: Duration = Duration::from_secs(60);

/// The command to run.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Start a cluster, install fastrak, do what users do, and stop the cluster.
    Demo {
        /// The number of nodes.
        #[arg(long, default_value_t = 2, value_parser = parse_nodes)]
        nodes: u8,
        /// Use a Node object and fastrak as processes, even if real nodes are supported.
        #[arg(long)]
        without_nodes: bool,
    },
    /// Start a cluster with fastrak installed, and leave it running until Ctrl-C.
    Cluster {
        /// The number of nodes.
        #[arg(long, default_value_t = 2, value_parser = parse_nodes)]
        nodes: u8,
    },
    /// Stop what `cluster` left running.
    Down,
}

/// Runs the command. The last line of the output is its result.
pub async fn run(command: Command) -> ExitCode {
    let transcript = Transcript::default();
    let (name, outcome) = match command {
        Command::Demo { without_nodes: true, .. } => {
            ("demo", run_demo(Nodes::Object, &transcript).await)
        }
        Command::Demo { nodes, .. } => ("demo", run_demo(Nodes::Real(nodes), &transcript).await),
        Command::Cluster { nodes } => ("cluster", keep_cluster(nodes, &transcript).await),
        Command::Down => ("cluster-down", down(&transcript).await),
    };
    match outcome {
        Ok(()) => {
            transcript.line(&format!("\n{name}: ok ({:.0} s)", transcript.seconds()));
            ExitCode::SUCCESS
        }
        Err(error) => {
            transcript.line(&format!("\n{name}: FAILED: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn run_demo(nodes: Nodes, transcript: &Transcript) -> Result<()> {
    let cluster = DemoCluster::start(nodes, transcript).await?;
    let outcome = demo::run(&cluster.demo(transcript)).await;
    if outcome.is_err() {
        let logs = cluster.control_plane().keep_logs();
        transcript.line(&format!("The logs are kept in {}", logs.display()));
    }
    transcript.heading("Stopping the cluster");
    drop(cluster);
    outcome
}

async fn keep_cluster(nodes: u8, transcript: &Transcript) -> Result<()> {
    let (shutdown, note) =
        (Shutdown::on_signals().context("listen for signals")?, PidFile::take()?);
    let cluster = tokio::select! {
        made = DemoCluster::start(Nodes::Real(nodes), transcript) => made?,
        () = shutdown.requested() => return Ok(()),
    };
    let kubeconfig = cluster.control_plane().kubeconfig_path();
    transcript.heading("Ready. In another terminal:");
    transcript.line(&format!("export KUBECONFIG={}", kubeconfig.display()));
    transcript.line("Ctrl-C here, or `make cluster-down` there, stops it.");
    shutdown.requested().await;
    transcript.heading("Stopping the cluster");
    drop((cluster, note));
    Ok(())
}

async fn down(transcript: &Transcript) -> Result<()> {
    let Some(pid) = PidFile::read()? else {
        transcript.line("No cluster is running.");
        return Ok(());
    };
    kill_process(pid, Signal::TERM).context("signal the cluster's process")?;
    let asked = Instant::now();
    // The file is removed last. The process id alone may still belong to a zombie.
    while PidFile::read()? == Some(pid) {
        if asked.elapsed() > ENDING {
            bail!("process {} does not stop; look at its terminal", pid.as_raw_nonzero());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// The file with the id of the process that keeps a cluster running.
struct PidFile;

impl PidFile {
    fn take() -> Result<Self> {
        if let Some(pid) = Self::read()? {
            bail!(
                "process {} already keeps a cluster; `make cluster-down` stops it",
                pid.as_raw_nonzero()
            );
        }
        let path = Self::path();
        let text = std::process::id().to_string();
        std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
        Ok(Self)
    }

    /// Returns the process if it is still the one that wrote the file.
    fn read() -> Result<Option<Pid>> {
        let path = Self::path();
        let text = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            read => read.with_context(|| format!("read {}", path.display()))?,
        };
        let Some(pid) = text.trim().parse().ok().and_then(Pid::from_raw) else { return Ok(None) };
        let program = std::fs::read_link(format!("/proc/{}/exe", pid.as_raw_nonzero()));
        let same = program.is_ok_and(|path| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("playground"))
        });
        Ok(same.then_some(pid))
    }

    fn path() -> PathBuf {
        let user = rustix::process::getuid().as_raw();
        std::env::temp_dir().join(format!("fastrak-playground-{user}.pid"))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // A remaining file is ignored, because its process has exited.
        drop(std::fs::remove_file(Self::path()));
    }
}

fn parse_nodes(text: &str) -> Result<u8, String> {
    match text.parse() {
        Ok(nodes @ 1..=5) => Ok(nodes),
        _ => Err("a cluster here has 1 to 5 nodes".to_owned()),
    }
}
