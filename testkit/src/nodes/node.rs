//! A node: a container runtime, a kubelet and a service proxy in their own namespaces, with their
//! own `/var/lib`, `/var/log` and `/run`, so that paths in manifests mean this node.

mod setup;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, ensure};

use super::configuration::RUNTIME_SOCKET;
use super::network::node_address;
use super::sandbox::Compartment;
use crate::lan::Network;
use crate::process::{Invocation, Output, Process};

/// One of the programs of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NodeProgram {
    /// The container runtime. Containers outlive it.
    Containerd,
    /// The kubelet. Containers outlive it.
    Kubelet,
    /// The service proxy. Its rules outlive it.
    KubeProxy,
}

impl NodeProgram {
    fn name(self) -> &'static str {
        match self {
            Self::Containerd => "containerd",
            Self::Kubelet => "kubelet",
            Self::KubeProxy => "kube-proxy",
        }
    }
}

/// A running node.
#[derive(Debug)]
pub struct Node {
    name: String,
    number: u8,
    directory: PathBuf,
    logs: PathBuf,
    running: Mutex<BTreeMap<NodeProgram, Process>>,
    calls: BTreeMap<NodeProgram, Invocation>,
    compartment: Compartment,
}

impl Node {
    /// Returns the name of the Node object.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the address.
    #[must_use]
    pub fn address(&self) -> Ipv4Addr {
        node_address(self.number)
    }

    /// Returns the name of its link at the bridge of the nodes.
    pub(crate) fn link(&self) -> String {
        format!("node{}", self.number)
    }

    /// Returns the machine's path of the node's `/var/lib/fastrak`.
    #[must_use]
    pub fn pool_dir(&self) -> PathBuf {
        self.var_lib().join("fastrak")
    }

    /// Returns the machine's path of the node's `/var/lib`. The node's mounts in it are not visible
    /// there.
    #[must_use]
    pub fn var_lib(&self) -> PathBuf {
        self.directory.join("lib")
    }

    /// Runs a program of the machine in the node's network, mount and process namespaces.
    pub async fn run(&self, words: &[&str]) -> Result<Output> {
        Invocation::of(words)?.through(&self.compartment.prefix()).run().await
    }

    /// Returns its network, for a thread to enter.
    pub fn network(&self) -> Result<Network> {
        Network::of(self.compartment.pid())
    }

    /// Returns the ids, on the machine, of the processes in its network that run this program.
    #[must_use]
    pub fn pids(&self, program: &str) -> Vec<u32> {
        self.compartment.pids(program)
    }

    /// Kills a program, as a crash would.
    pub fn stop(&self, program: NodeProgram) -> Result<()> {
        let process = self.processes().remove(&program);
        ensure!(process.is_some(), "{} is not running on {}", program.name(), self.name);
        drop(process);
        Ok(())
    }

    /// Starts a stopped program.
    pub fn start(&self, program: NodeProgram) -> Result<()> {
        let name = program.name();
        let mut processes = self.processes();
        ensure!(!processes.contains_key(&program), "{name} is running on {}", self.name);
        let call = self.calls.get(&program).with_context(|| format!("{name} is not set up"))?;
        let call = call.clone().through(&self.compartment.prefix());
        let log = self.logs.join(format!("{}-{name}.log", self.name));
        processes.insert(program, Process::start(name, &call, &log)?);
        Ok(())
    }

    /// Fails with the end of the log if a program has exited by itself.
    pub fn expect_running(&self) -> Result<()> {
        let mut processes = self.processes();
        let outcome = processes.values_mut().try_for_each(Process::expect_running);
        outcome.with_context(|| format!("on {}", self.name))
    }

    /// Imports an image.
    pub(crate) async fn import(&self, archive: &Path) -> Result<()> {
        let archive = archive.display().to_string();
        let words = ["ctr", "--address", RUNTIME_SOCKET, "--namespace", "k8s.io", "images"];
        let words = [&words[..], &["import", "--snapshotter", "native", &archive]].concat();
        self.run(&words).await.with_context(|| format!("import an image on {}", self.name))?;
        Ok(())
    }

    fn processes(&self) -> MutexGuard<'_, BTreeMap<NodeProgram, Process>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
