//! The cluster that the demo and `make cluster` are made on: real nodes where the machine allows, else a
//! control plane with nodes of nothing and fastrak beside it as processes.

use crate::demo::Demo;
use crate::install::{Binaries, Processes, pods};
use crate::transcript::Transcript;
use anyhow::Result;
use fastrak_testkit::{Cluster, ClusterOptions};
use fastrak_testkit::{ControlPlane, Options, fake_node};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A cluster with fastrak installed.
#[derive(Debug)]
pub enum DemoCluster {
    /// Nodes that run pods, fastrak's among them.
    Nodes(Box<Cluster>),
    /// Nodes that are objects alone.
    Processes(Box<(Processes, ControlPlane)>),
}

/// Which nodes a cluster is to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nodes {
    /// So many real ones, where the machine allows.
    Real(u8),
    /// One that is an object alone.
    Object,
}

impl DemoCluster {
    /// Starts a cluster and installs fastrak on it.
    pub async fn make(nodes: Nodes, transcript: &Transcript) -> Result<Self> {
        let binaries = Binaries::built()?;
        match (nodes, Cluster::supported()) {
            (Nodes::Real(nodes), Ok(())) => Self::with_nodes(nodes, &binaries, transcript).await,
            (Nodes::Real(_), Err(why)) => {
                transcript.say(&format!("No real nodes here, so nothing will run pods: {why}"));
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
        transcript.heading("fastrak, from deploy/base as it ships");
        pods::install(&cluster, binaries).await?;
        let args = ["-n", fastrak_api::names::NAMESPACE, "get", "pods", "-o", "wide"];
        let output = cluster.plane().kubectl(&args).await?;
        transcript.command(&format!("kubectl {}", args.join(" ")), &output);
        Ok(Self::Nodes(Box::new(cluster)))
    }

    async fn with_processes(binaries: &Binaries, transcript: &Transcript) -> Result<Self> {
        transcript.heading("A real Kubernetes control plane with a node that runs nothing");
        let plane = ControlPlane::start(Options::full()).await?;
        fake_node(&plane.client().await?, "node-a").await?;
        transcript.heading("fastrak, from deploy/base, its two programs as processes");
        let processes = Processes::install(&plane, binaries, &["node-a"]).await?;
        Ok(Self::Processes(Box::new((processes, plane))))
    }

    /// The control plane of either.
    #[must_use]
    pub fn control_plane(&self) -> &ControlPlane {
        match self {
            Self::Nodes(cluster) => cluster.plane(),
            Self::Processes(pair) => &pair.1,
        }
    }

    /// The cluster as the play sees it.
    #[must_use]
    pub fn demo<'a>(&'a self, transcript: &'a Transcript) -> Demo<'a> {
        let pools: BTreeMap<String, PathBuf> = match self {
            Self::Nodes(cluster) => {
                let nodes = cluster.nodes().iter();
                nodes.map(|node| (node.name().to_owned(), node.pool_dir())).collect()
            }
            Self::Processes(pair) => [("node-a".to_owned(), pair.0.pool("node-a"))].into(),
        };
        let runs_pods = matches!(self, Self::Nodes(_));
        Demo { control_plane: self.control_plane(), pools, runs_pods, transcript }
    }
}
