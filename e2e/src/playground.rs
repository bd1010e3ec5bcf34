//! What `make demo`, `make cluster` and `make cluster-down` do.

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

/// How long a cluster may take to end.
const ENDING: Duration = Duration::from_secs(60);

/// What is to be done.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Start a cluster, install fastrak, play what users do, end the cluster.
    Demo {
        /// How many nodes it has.
        #[arg(long, default_value_t = 2, value_parser = parse_nodes)]
        nodes: u8,
        /// Have a node that is an object alone, and fastrak as processes, also where real nodes could be had.
        #[arg(long)]
        without_nodes: bool,
    },
    /// Start a cluster with fastrak installed, and leave it running until Ctrl-C.
    Cluster {
        /// How many nodes it has.
        #[arg(long, default_value_t = 2, value_parser = parse_nodes)]
        nodes: u8,
    },
    /// End what `cluster` left running.
    Down,
}

/// Does it, and says in its last line how it went.
pub async fn run(command: Command) -> ExitCode {
    let transcript = Transcript::default();
    let (name, outcome) = match command {
        Command::Demo { without_nodes: true, .. } => {
            ("demo", demo(Nodes::Object, &transcript).await)
        }
        Command::Demo { nodes, .. } => ("demo", demo(Nodes::Real(nodes), &transcript).await),
        Command::Cluster { nodes } => ("cluster", cluster(nodes, &transcript).await),
        Command::Down => ("cluster-down", down(&transcript).await),
    };
    match outcome {
        Ok(()) => {
            transcript.say(&format!("\n{name}: ok ({:.0} s)", transcript.seconds()));
            ExitCode::SUCCESS
        }
        Err(error) => {
            transcript.say(&format!("\n{name}: FAILED: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn demo(nodes: Nodes, transcript: &Transcript) -> Result<()> {
    let cluster = DemoCluster::make(nodes, transcript).await?;
    let played = demo::run(&cluster.demo(transcript)).await;
    if played.is_err() {
        let logs = cluster.control_plane().keep_logs();
        transcript.say(&format!("The logs of all that ran are kept in {}", logs.display()));
    }
    transcript.heading("The cluster ends");
    drop(cluster);
    played
}

async fn cluster(nodes: u8, transcript: &Transcript) -> Result<()> {
    let (shutdown, note) =
        (Shutdown::on_signals().context("listen for signals")?, PidNote::take()?);
    let cluster = tokio::select! {
        made = DemoCluster::make(Nodes::Real(nodes), transcript) => made?,
        () = shutdown.requested() => return Ok(()),
    };
    let kubeconfig = cluster.control_plane().kubeconfig_path();
    transcript.heading("Ready. In another terminal:");
    transcript.say(&format!("export KUBECONFIG={}", kubeconfig.display()));
    transcript.say("Ctrl-C here, or `make cluster-down` there, ends it.");
    shutdown.requested().await;
    transcript.heading("The cluster ends");
    drop((cluster, note));
    Ok(())
}

async fn down(transcript: &Transcript) -> Result<()> {
    let Some(pid) = PidNote::read()? else {
        transcript.say("No cluster is running.");
        return Ok(());
    };
    kill_process(pid, Signal::TERM).context("tell the cluster to end")?;
    let asked = Instant::now();
    // Its note goes when all else has; a process that nobody has waited for yet still has its number.
    while PidNote::read()? == Some(pid) {
        if asked.elapsed() > ENDING {
            bail!("process {} does not end; look at its terminal", pid.as_raw_nonzero());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// A file that says which process keeps a cluster running, for as long as it does.
struct PidNote;

impl PidNote {
    fn take() -> Result<Self> {
        if let Some(pid) = Self::read()? {
            bail!(
                "process {} keeps a cluster already; `make cluster-down` ends it",
                pid.as_raw_nonzero()
            );
        }
        let path = Self::path();
        let text = std::process::id().to_string();
        std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
        Ok(Self)
    }

    /// The process, if it is still the one that wrote the file.
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

impl Drop for PidNote {
    fn drop(&mut self) {
        // A file that stays names a process that is gone, which is as good as none.
        drop(std::fs::remove_file(Self::path()));
    }
}

fn parse_nodes(text: &str) -> Result<u8, String> {
    match text.parse() {
        Ok(nodes @ 1..=5) => Ok(nodes),
        _ => Err("a cluster here has 1 to 5 nodes".to_owned()),
    }
}
