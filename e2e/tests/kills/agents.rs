//! The agents of the nodes, in their pods as they ship, and their deaths.
//!
//! Only who starts them again is another one: a kubelet would wait ever longer between two starts, up
//! to five minutes.

use crate::SOON;
use crate::random::Random;
use anyhow::{Context, Result, ensure};
use fastrak_api::names;
use fastrak_e2e::install::{Binaries, pods};
use fastrak_testkit::process::Invocation;
use fastrak_testkit::{Cluster, Image, Node, eventually};
use rustix::process::{Pid, Signal, kill_process};
use std::future::ready;
use std::time::Duration;

/// Starts the agent again as soon as it has exited, and says how it ended.
const SUPERVISE: &str = r#"
trap 'kill "$agent"; wait "$agent"; exit' TERM
while :; do
    /fastrak-agent --pool=default=/var/lib/fastrak,reserve=0% --orphan-scan=3s --orphan-grace=2s & agent=$!
    wait "$agent"
    echo "the agent has ended: $?"
done"#;
const ENDED: &str = "the agent has ended: ";
/// What a shell says of a program that was killed.
const KILLED: &str = "137";

/// How an agent's process is named.
const PROGRAM: &str = "fastrak-agent";

/// An agent has seen its claims some 40 ms after its start, and needs a few for each of them. Of the
/// kills, half are to come while it begins, and half when it is at its work.
const BEGINNING_MS: u64 = 150;
const WORK_MS: u64 = 1500;

/// Installs fastrak with agents that are started again at once.
pub(crate) async fn install(cluster: &Cluster) -> Result<()> {
    let binaries = Binaries::built()?;
    let read = |path: &std::path::Path| {
        std::fs::read(path).with_context(|| format!("read {}", path.display()))
    };
    let shell = Invocation::new("sh").args(["-c", "command -v busybox"]).run().await?.stdout;
    let image = Image::scratch(&[&pods::tag(names::AGENT)])
        .folder("bin", 0o755)
        .file("bin/sh", 0o755, read(shell.trim_end().as_ref())?)
        .file(PROGRAM, 0o755, read(&binaries.agent)?)
        .starts(&["/bin/sh", "-c", SUPERVISE]);
    pods::install_with(cluster, &binaries, &image).await
}

/// Kills the agent of a node so many times, each time at a random moment after its start.
pub(crate) async fn kill(
    cluster: &Cluster,
    node: &Node,
    times: u32,
    mut random: Random,
) -> Result<()> {
    let group = format!("-{}/{}/", cluster.id(), node.name());
    let mut last = None;
    for _ in 0..times {
        let what = format!("an agent runs on {}", node.name());
        let pid = eventually(SOON, what, || ready(agent(&group).filter(|pid| last != Some(*pid))));
        let pid = pid.await?;
        let longest = *random.of(&[BEGINNING_MS, WORK_MS]);
        // Not a wait for something to have happened, but the very moment that is tested.
        tokio::time::sleep(Duration::from_micros(random.below(longest * 1000))).await;
        kill_process(pid, Signal::KILL).context("the agent has ended by itself")?;
        last = Some(pid);
    }
    Ok(())
}

/// How many times the agents have exited; an error when one did so without having been killed. From
/// the nodes' own files and not by `kubectl logs`, which shows the newest of them alone: a kubelet begins
/// another, and packs the old one, when it is long or when it has started the container again.
pub(crate) async fn ends(cluster: &Cluster) -> Result<usize> {
    let mut ends = Vec::new();
    for node in cluster.nodes() {
        let folders = format!("/var/log/pods/{}_{PROGRAM}-*/*/*.log*", names::NAMESPACE);
        let log = node.run(&["sh", "-c", &format!("zcat -f {folders}")]).await?.stdout;
        let own = log.lines().filter_map(|line| line.split_once(ENDED));
        ends.extend(own.map(|(_, end)| end.trim_end().to_owned()));
    }
    let other: Vec<_> = ends.iter().filter(|&end| end != KILLED).collect();
    ensure!(other.is_empty(), "agents ended by themselves, with {other:?}");
    Ok(ends.len())
}

/// The agent in this control group, by which one node of one cluster is told from all others.
fn agent(group: &str) -> Option<Pid> {
    let entries = std::fs::read_dir("/proc").ok()?.flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let read = |pid: i32, file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).ok();
    let is_agent = |pid: &i32| {
        read(*pid, "comm").is_some_and(|name| name.trim_end() == PROGRAM)
            && read(*pid, "cgroup").is_some_and(|groups| groups.contains(group))
    };
    pids.filter(is_agent).find_map(Pid::from_raw)
}
