//! The cluster of `make demo` and `make cluster`: real nodes if the machine supports them,
//! otherwise a control plane with a Node object and fastrak as processes.

use crate::demo::Demo;
use crate::install::{Binaries, Processes, pods};
use crate::transcript::Transcript;
use anyhow::Result;
use fastrak_testkit::nodes::Outsider;
use fastrak_testkit::{Cluster, ClusterOptions};
use fastrak_testkit::{ControlPlane, Options, fake_node};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A cluster with fastrak installed.
#[derive(Debug)]
pub enum DemoCluster {
    /// Real nodes, with fastrak as pods.
    Nodes(Box<(Cluster, Outsider)>),
    /// A Node object, with fastrak as processes.
    Processes(Box<(Processes, ControlPlane)>),
}

/// The nodes of a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nodes {
    /// This number of real nodes, if the machine supports them.
    Real(u8),
    /// One Node object without a kubelet.
    Object,
}

impl DemoCluster {
    /// Starts a cluster and installs fastrak on it.
    pub async fn start(nodes: Nodes, transcript: &Transcript) -> Result<Self> {
        let binaries = Binaries::built()?;
        match (nodes, Cluster::supported()) {
            (Nodes::Real(nodes), Ok(())) => Self::with_nodes(nodes, &binaries, transcript).await,
            (Nodes::Real(_), Err(why)) => {
                transcript.line(&format!("No real nodes here, so no pods will run: {why}"));
                Self::with_processes(&binaries, transcript).await
            }
            (Nodes::Object, _) => Self::with_processes(&binaries, transcript).await,
        }
    }

    async fn with_nodes(nodes: u8, binaries: &Binaries, transcript: &Transcript) -> Result<Self> {
        transcript.heading(&format!("A real Kubernetes with {nodes} node(s)"));
        let cluster = Cluster::start(ClusterOptions { nodes, ..ClusterOptions::default() }).await?;
        let output = cluster.plane().kubectl(&["get", "nodes"]).await?;
        transcript.command("kubectl get nodes", &output);
        transcript.heading("fastrak, from deploy/base and deploy/addresses as they ship");
        pods::install_addresses(&cluster, binaries).await?;
        let args = ["-n", fastrak_api::names::NAMESPACE, "get", "pods", "-o", "wide"];
        let output = cluster.plane().kubectl(&args).await?;
        transcript.command(&format!("kubectl {}", args.join(" ")), &output);
        let outsider = cluster.outsider().await?;
        Ok(Self::Nodes(Box::new((cluster, outsider))))
    }

    async fn with_processes(binaries: &Binaries, transcript: &Transcript) -> Result<Self> {
        transcript.heading("A real Kubernetes control plane with a node that runs nothing");
        let plane = ControlPlane::start(Options::full()).await?;
        fake_node(&plane.client().await?, "node-a").await?;
        transcript.heading("fastrak, from deploy/base, its two programs as processes");
        let processes = Processes::install(&plane, binaries, &["node-a"]).await?;
        Ok(Self::Processes(Box::new((processes, plane))))
    }

    /// Returns the control plane.
    #[must_use]
    pub fn control_plane(&self) -> &ControlPlane {
        match self {
            Self::Nodes(pair) => pair.0.plane(),
            Self::Processes(pair) => &pair.1,
        }
    }

    /// Returns the cluster as the demo sees it.
    #[must_use]
    pub fn demo<'a>(&'a self, transcript: &'a Transcript) -> Demo<'a> {
        let pools: BTreeMap<String, PathBuf> = match self {
            Self::Nodes(pair) => {
                let nodes = pair.0.nodes().iter();
                nodes.map(|node| (node.name().to_owned(), node.pool_dir())).collect()
            }
            Self::Processes(pair) => [("node-a".to_owned(), pair.0.pool("node-a"))].into(),
        };
        let outsider = match self {
            Self::Nodes(pair) => Some(&pair.1),
            Self::Processes(_) => None,
        };
        let runs_pods = outsider.is_some();
        Demo { control_plane: self.control_plane(), pools, runs_pods, outsider, transcript }
    }
}
