//! Kills the agents in their pods. A shell in the pod restarts them, because a kubelet would wait
//! up to five minutes between two starts.

use crate::SOON;
use crate::random::Random;
use anyhow::{Context, Result, ensure};
use fastrak_api::names;
use fastrak_e2e::install::{Binaries, overlay_with, pods};
use fastrak_testkit::process::Invocation;
use fastrak_testkit::{Cluster, Image, Node, eventually};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use std::future::ready;
use std::time::Duration;

/// Restarts the agent as soon as it has exited, and prints its exit code.
const SUPERVISE: &str = r#"
trap 'kill "$agent"; wait "$agent"; exit' TERM
while :; do
    /fastrak-agent --pool=default=/var/lib/fastrak,reserve=0% --orphan-scan=3s --orphan-grace=2s & agent=$!
    wait "$agent"
    echo "the agent exited: $?"
done"#;
const ENDED: &str = "the agent exited: ";
/// The exit code that a shell reports for a killed program.
const KILLED: &str = "137";

/// The name of an agent's process.
const PROGRAM: &str = "fastrak-agent";

/// The longest times from a start to a kill. An agent has seen its claims about 40 ms after its
/// start and needs a few more for each. Half of the kills come during the start, half later.
const STARTUP_MS: u64 = 150;
const WORK_MS: u64 = 1500;

/// Installs fastrak with agents that are restarted at once.
pub(crate) async fn install(cluster: &Cluster) -> Result<()> {
    let binaries = Binaries::built()?;
    let read = |path: &std::path::Path| {
        std::fs::read(path).with_context(|| format!("read {}", path.display()))
    };
    let shell = Invocation::new("sh").args(["-c", "command -v busybox"]).run().await?.stdout;
    let image = Image::scratch(&[&pods::tag(names::AGENT)])
        .directory("bin", 0o755)
        .file("bin/sh", 0o755, read(shell.trim_end().as_ref())?)
        .file(PROGRAM, 0o755, read(&binaries.agent)?)
        .starts(&["/bin/sh", "-c", SUPERVISE]);
    // A kubelet would restart the container if several probes in a row met a killed agent.
    let remove = r#"[{"op": "remove", "path": "/spec/template/spec/containers/0/livenessProbe"}]"#;
    let target = json!({"kind": "DaemonSet", "name": names::AGENT});
    let patches = json!({"patches": [{"target": target, "patch": remove}]});
    let overlay = overlay_with(cluster.plane(), &[], &patches)?;
    pods::install_with(cluster, &binaries, &image, &overlay).await
}

/// Kills the agent of a node this number of times, each at a random moment after its start.
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
        let longest = *random.of(&[STARTUP_MS, WORK_MS]);
        // The delay is the tested moment, not a wait for a condition.
        tokio::time::sleep(Duration::from_micros(random.below(longest * 1000))).await;
        kill_process(pid, Signal::KILL).context("the agent exited by itself")?;
        last = Some(pid);
    }
    Ok(())
}

/// Returns how many times the agents have exited. Fails if one exited without being killed. It
/// reads the files of the nodes, because `kubectl logs` shows only the newest: a kubelet rotates
/// and compresses long logs and those of restarted containers.
pub(crate) async fn exits(cluster: &Cluster) -> Result<usize> {
    let mut exits = Vec::new();
    for node in cluster.nodes() {
        let folders = format!("/var/log/pods/{}_{PROGRAM}-*/*/*.log*", names::NAMESPACE);
        let log = node.run(&["sh", "-c", &format!("zcat -f {folders}")]).await?.stdout;
        let own = log.lines().filter_map(|line| line.split_once(ENDED));
        exits.extend(own.map(|(_, end)| end.trim_end().to_owned()));
    }
    let other: Vec<_> = exits.iter().filter(|&end| end != KILLED).collect();
    ensure!(other.is_empty(), "agents exited by themselves, with {other:?}");
    Ok(exits.len())
}

/// Returns the agent in this control group, which is unique to a node of a cluster.
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
