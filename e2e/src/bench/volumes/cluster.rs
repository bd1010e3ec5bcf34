//! The cluster of the bench: a real API server, a controller manager with high rate limits, and
//! fastrak as processes for a Node object. The agent's disk is this machine's.

use crate::install::{Binaries, Processes};
use anyhow::{Context, Result};
use fastrak_api::names;
use fastrak_testkit::objects::{claim, storage_class};
use fastrak_testkit::{Component, ControlPlane, Options, bound_claim, fake_node};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, Client, ResourceExt as _};
use std::path::PathBuf;
use std::time::Duration;

const NODE: &str = "bench-node";
pub(super) const NAMESPACE: &str = "default";
/// A class without trash that allows growth.
const CLASS: &str = "bench";
const TIMEOUT: Duration = Duration::from_secs(60);

/// The cluster with fastrak.
pub(super) struct BenchCluster {
    pub(super) client: Client,
    pub(super) claims: Api<PersistentVolumeClaim>,
    // Dropped before the control plane, which it calls until it stops.
    pub(super) processes: Processes,
    _plane: ControlPlane,
}

impl BenchCluster {
    pub(super) async fn start(binaries: &Binaries) -> Result<Self> {
        // With its default rates the controller manager binds seven claims a second, and the bench
        // would measure that.
        let quick = ["--kube-api-qps=1000", "--kube-api-burst=1000"];
        let options = quick.into_iter().fold(Options::full(), |options, flag| {
            options.flag(Component::ControllerManager, flag)
        });
        let plane = ControlPlane::start(options).await?;
        let client = plane.client().await?;
        fake_node(&client, NODE).await?;
        let processes = Processes::install(&plane, binaries, &[NODE]).await?;
        let classes: Api<StorageClass> = Api::all(client.clone());
        let class = storage_class(CLASS, names::PROVISIONER).parameter("onDelete", "delete");
        let class = class.expandable().build();
        classes.create(&PostParams::default(), &class).await.context("create a class")?;
        let claims = Api::namespaced(client.clone(), NAMESPACE);
        Ok(Self { client, claims, processes, _plane: plane })
    }

    /// Creates a claim. Returns its uid.
    pub(super) async fn claim(&self, name: &str) -> Result<String> {
        let object = claim(name).class(CLASS).build(NAMESPACE);
        let made = self.claims.create(&PostParams::default(), &object).await;
        made.context("create a claim")?.uid().context("it has a uid")
    }

    /// Waits until this claim is Bound.
    pub(super) async fn bound(&self, name: &str) -> Result<()> {
        bound_claim(&self.claims, name, TIMEOUT).await.map(drop)
    }

    pub(super) async fn delete(&self, name: &str) -> Result<()> {
        let deleted = self.claims.delete(name, &DeleteParams::default()).await;
        deleted.map(drop).context("delete a claim")
    }

    pub(super) fn pool(&self) -> PathBuf {
        self.processes.pool(NODE)
    }

    pub(super) fn agent_pid(&self) -> Result<u32> {
        self.processes.agent_pid(0)
    }
}
