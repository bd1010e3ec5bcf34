//! The bed that the demo and `make cluster` are made on: real nodes where the machine allows, else a
//! control plane with nodes of nothing and fastrak beside it as processes.

use crate::install::{Binaries, Processes, pods};
use crate::narrator::Narrator;
use crate::play::Stage;
use anyhow::Result;
use fastrak_testkit::{Cluster, ClusterOptions};
use fastrak_testkit::{ControlPlane, Options, fake_node};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A cluster with fastrak installed.
#[derive(Debug)]
pub enum Bed {
    /// Nodes that run pods, fastrak's among them.
    Nodes(Box<Cluster>),
    /// Nodes that are objects alone.
    Processes(Box<(Processes, ControlPlane)>),
}

/// Which nodes a bed is to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nodes {
    /// So many real ones, where the machine allows.
    Real(u8),
    /// One that is an object alone.
    Object,
}

impl Bed {
    /// Starts a cluster and installs fastrak on it.
    pub async fn make(nodes: Nodes, narrator: &Narrator) -> Result<Self> {
        let binaries = Binaries::built()?;
        match (nodes, Cluster::supported()) {
            (Nodes::Real(nodes), Ok(())) => Self::with_nodes(nodes, &binaries, narrator).await,
            (Nodes::Real(_), Err(why)) => {
                narrator.say(&format!("No real nodes here, so nothing will run pods: {why}"));
                Self::with_processes(&binaries, narrator).await
            }
            (Nodes::Object, _) => Self::with_processes(&binaries, narrator).await,
        }
    }

    async fn with_nodes(nodes: u8, binaries: &Binaries, narrator: &Narrator) -> Result<Self> {
        narrator.heading(&format!("A real Kubernetes with {nodes} node(s)"));
        let cluster = Cluster::start(ClusterOptions { nodes, ..ClusterOptions::default() }).await?;
        let output = cluster.plane().kubectl(&["get", "nodes"]).await?;
        narrator.command("kubectl get nodes", &output);
        narrator.heading("fastrak, from deploy/base as it ships");
        pods::install(&cluster, binaries).await?;
        let args = ["-n", fastrak_api::names::NAMESPACE, "get", "pods", "-o", "wide"];
        let output = cluster.plane().kubectl(&args).await?;
        narrator.command(&format!("kubectl {}", args.join(" ")), &output);
        Ok(Self::Nodes(Box::new(cluster)))
    }

    async fn with_processes(binaries: &Binaries, narrator: &Narrator) -> Result<Self> {
        narrator.heading("A real Kubernetes control plane with a node that runs nothing");
        let plane = ControlPlane::start(Options::full()).await?;
        fake_node(&plane.client().await?, "node-a").await?;
        narrator.heading("fastrak, from deploy/base, its two programs as processes");
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

    /// The bed as the play sees it.
    #[must_use]
    pub fn stage<'a>(&'a self, narrator: &'a Narrator) -> Stage<'a> {
        let pools: BTreeMap<String, PathBuf> = match self {
            Self::Nodes(cluster) => {
                let nodes = cluster.nodes().iter();
                nodes.map(|node| (node.name().to_owned(), node.pool_dir())).collect()
            }
            Self::Processes(pair) => [("node-a".to_owned(), pair.0.pool("node-a"))].into(),
        };
        let runs_pods = matches!(self, Self::Nodes(_));
        Stage { control_plane: self.control_plane(), pools, runs_pods, narrator }
    }
}
