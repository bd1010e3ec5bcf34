//! The network, mount and process namespaces of a cluster, and the commands that start programs in
//! them. When the process that holds one ends, the kernel kills all processes in it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use rustix::process::{Pid, Signal, kill_process};

use crate::eventually::eventually;
use crate::process::{Invocation, Output, Process};

const SOON: Duration = Duration::from_secs(10);

/// The first process of a cluster's namespaces, which reaps orphaned processes, unlike `sleep`.
const REAPER: &str = "while :; do sleep 3600 & wait $!; done";

/// Makes a process end with the one that starts it, which ends with the test.
const TIED: [&str; 4] = ["setpriv", "--pdeathsig", "KILL", "--"];

/// The namespaces of a cluster. Dropping it ends everything in them.
#[derive(Debug)]
pub(crate) struct Sandbox {
    outer: Process,
    first: u32,
}

/// The namespaces of one node: network, mounts and host name of its own, the processes the
/// cluster's.
#[derive(Debug)]
pub(crate) struct Compartment {
    holder: Process,
    first: u32,
}

impl Sandbox {
    /// Creates the namespaces.
    pub(crate) async fn create(logs: &Path) -> Result<Self> {
        let unshare = Invocation::new("unshare")
            .args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"])
            .args(["sh", "-c", REAPER]);
        let mut outer = Process::start("sandbox", &unshare, &logs.join("sandbox.log"))?;
        let parent = outer.pid();
        let first = eventually(SOON, "the namespaces have a first process", || {
            let looked = outer.expect_running().map(|()| child_of(parent));
            std::future::ready(looked.transpose())
        });
        let first = first.await??;
        eventually(SOON, "its first process waits", || {
            std::future::ready(name_of(first).is_some_and(|name| name == "sh"))
        })
        .await?;
        Ok(Self { outer, first })
    }

    /// Returns the command that starts a program in it.
    pub(crate) fn prefix(&self) -> Vec<String> {
        enter(self.first, &["mnt", "net"], self.first)
    }

    /// Returns the process that identifies its network.
    pub(crate) fn pid(&self) -> u32 {
        self.first
    }

    /// Runs a program of the machine in its network namespace only.
    pub(crate) async fn network_run(&self, words: &[&str]) -> Result<Output> {
        network_run(self.first, words).await
    }

    /// Creates the namespaces of a node in it.
    pub(crate) async fn compartment(&self, name: &str, logs: &Path) -> Result<Compartment> {
        let target = self.first.to_string();
        let unshare = Invocation::new("nsenter")
            .args(["--target", &target, "--mount", "--net", "--"])
            .args(["unshare", "--net", "--mount", "--uts", "--propagation", "shared", "--"])
            .args(["sleep", "infinity"]);
        let holder = hold(name, &unshare, logs).await?;
        Ok(Compartment { holder, first: self.first })
    }

    /// Kills everything in it and waits until it has exited.
    pub(crate) fn end(&mut self) {
        // When the first process of a namespace dies, the kernel kills all others before it reports
        // the exit, so that nothing is left when the outer process has exited.
        if let Some(pid) = i32::try_from(self.first).ok().and_then(Pid::from_raw)
            && matches!(self.outer.exited(), Ok(None))
            && kill_process(pid, Signal::KILL).is_ok()
        {
            drop(self.outer.ended(SOON));
        }
        self.outer.kill();
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.end();
    }
}

impl Compartment {
    /// Returns the command that starts a program in it.
    pub(crate) fn prefix(&self) -> Vec<String> {
        enter(self.holder.pid(), &["mnt", "net", "uts"], self.first)
    }

    /// Returns the process that identifies its network.
    pub(crate) fn pid(&self) -> u32 {
        self.holder.pid()
    }

    /// Runs a program of the machine in its network namespace only.
    pub(crate) async fn network_run(&self, words: &[&str]) -> Result<Output> {
        network_run(self.holder.pid(), words).await
    }

    /// Returns the ids of the processes in its network namespace that run this program.
    pub(crate) fn pids(&self, program: &str) -> Vec<u32> {
        let network = network_of(self.pid());
        let runs = |pid: &u32| name_of(*pid).is_some_and(|name| name == program);
        pids().filter(runs).filter(|&pid| network_of(pid) == network).collect()
    }
}

fn enter(pid: u32, kinds: &[&str], first: u32) -> Vec<String> {
    let mut words = vec!["nsenter".to_owned()];
    for kind in kinds {
        let flag = if *kind == "mnt" { "mount" } else { kind };
        words.push(format!("--{flag}=/proc/{pid}/ns/{kind}"));
    }
    words.push(format!("--pid=/proc/{first}/ns/pid"));
    words.push("--".to_owned());
    // To enter a process namespace, nsenter forks: the program is its child.
    words.extend(TIED.map(str::to_owned));
    words
}

/// Starts `sleep` in new namespaces and waits until it runs in them.
pub(crate) async fn hold(name: &str, unshare: &Invocation, logs: &Path) -> Result<Process> {
    let mut holder = Process::start(name, unshare, &logs.join(format!("{name}.log")))?;
    let pid = holder.pid();
    eventually(SOON, format!("the namespaces of {name}"), || {
        let is_ready = name_of(pid).is_some_and(|name| name == "sleep");
        std::future::ready(holder.expect_running().map(|()| is_ready.then_some(())).transpose())
    })
    .await??;
    Ok(holder)
}

/// Runs a program of the machine in the network namespace of a process.
pub(crate) async fn network_run(pid: u32, words: &[&str]) -> Result<Output> {
    let target = format!("--net=/proc/{pid}/ns/net");
    Invocation::of(["nsenter", &target, "--"])?.args(words).run().await
}

fn name_of(pid: u32) -> Option<String> {
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(name.trim_end().to_owned())
}

// Not /proc/<pid>/task/<pid>/children: a kernel need not have it.
fn child_of(parent: u32) -> Option<u32> {
    pids().filter(|&pid| parent_of(pid) == Some(parent)).min()
}

fn pids() -> impl Iterator<Item = u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
}

fn network_of(pid: u32) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/{pid}/ns/net")).ok()
}

fn parent_of(pid: u32) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
    line.trim().parse().ok()
}
