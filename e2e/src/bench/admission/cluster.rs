//! The cluster of the bench: a real API server, a Node object, fastrak's manifests and any number
//! of replicas of the webhook with their ServiceAccount. Only the address differs from an
//! installation, because no Service is routed.

use super::connection::{Target, trusting};
use super::review::NODE;
use crate::install::{Program, base, free_port, remove_workloads};
use anyhow::{Context, Result};
use fastrak_api::names;
use fastrak_testkit::webhook_configuration::set_urls;
use fastrak_testkit::{ControlPlane, Identity, Options, apply_manifests, fake_node};
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use kube::{Api, Client};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A cluster with fastrak's manifests.
pub(crate) struct BenchCluster {
    plane: ControlPlane,
    client: Client,
}

/// A replica of the webhook, running or stopped.
#[derive(Debug)]
pub(crate) struct Replica {
    program: Program,
    address: SocketAddr,
}

impl BenchCluster {
    /// Starts the cluster. The API server calls the webhook at this port.
    pub(crate) async fn start(port: u16) -> Result<Self> {
        let plane = ControlPlane::start(Options::api_only()).await?;
        let client = plane.client().await?;
        fake_node(&client, NODE).await?;
        apply_manifests(&plane, &base()).await?;
        remove_workloads(&client).await?;
        set_urls(&client, (Ipv4Addr::LOCALHOST, port).into()).await?;
        Ok(Self { plane, client })
    }

    /// Returns a client of the administrator.
    #[must_use]
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Returns a directory that is removed with the cluster.
    pub(crate) fn directory(&self, name: &str) -> Result<PathBuf> {
        self.plane.scratch_dir(name)
    }

    /// Returns the directory of the logs.
    #[must_use]
    pub(crate) fn logs(&self) -> PathBuf {
        self.plane.logs_dir()
    }

    /// Keeps the logs. Returns their path.
    pub(crate) fn keep_logs(&self) -> PathBuf {
        self.plane.keep_logs()
    }

    /// Creates a kubeconfig of the webhook's ServiceAccount.
    pub(crate) async fn kubeconfig(&self) -> Result<PathBuf> {
        let account = Identity::of(&self.plane, names::NAMESPACE, names::WEBHOOK).await?;
        Ok(account.kubeconfig_path().to_owned())
    }

    /// Returns a replica of the webhook that is not started yet.
    pub(crate) async fn replica(
        &self,
        binary: &Path,
        name: &str,
        args: &[&str],
    ) -> Result<Replica> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let listen = format!("--listen={address}");
        let account = Identity::of(&self.plane, names::NAMESPACE, names::WEBHOOK).await?;
        let program = Program::of(&self.plane, name, binary, &account)?;
        let program = program.with(&[listen.as_str(), "--tls-name=127.0.0.1"]).with(args);
        Ok(Replica { program, address })
    }

    /// Returns the published CA bundle.
    pub(crate) async fn bundle(&self) -> Result<Vec<u8>> {
        let all: Api<MutatingWebhookConfiguration> = Api::all(self.client.clone());
        let found = all
            .get(names::WEBHOOK_CONFIGURATION)
            .await
            .context("read the webhook configuration")?;
        bundle(&found).context("no bundle is published")
    }

    /// Returns the address of a replica and the published CAs.
    pub(crate) async fn target(&self, replica: &Replica) -> Result<Target> {
        Ok(Target { address: replica.address, tls: trusting(&self.bundle().await?)? })
    }
}

/// Returns the CA bundle in a webhook configuration.
#[must_use]
pub(crate) fn bundle(configuration: &MutatingWebhookConfiguration) -> Option<Vec<u8>> {
    let hook = configuration.webhooks.iter().flatten();
    let mut hook = hook.filter(|hook| hook.name == names::CLAIMS_HOOK);
    Some(hook.next()?.client_config.ca_bundle.clone()?.0)
}

impl Replica {
    /// Pins the replica to one processor.
    #[must_use]
    pub(crate) fn pinned(mut self, processor: usize) -> Self {
        self.program = self.program.through(&["taskset", "-c", &processor.to_string()]);
        self
    }

    /// Returns the address of the review port.
    #[must_use]
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the address of the admin port.
    #[must_use]
    pub(crate) fn admin(&self) -> SocketAddr {
        self.program.admin()
    }

    /// Returns the process id.
    pub(crate) fn pid(&self) -> Result<u32> {
        self.program.pid()
    }

    /// Starts the replica and waits until it is ready.
    pub(crate) async fn start(&mut self) -> Result<Duration> {
        self.program.start().await
    }

    /// Stops the replica as a rollout does, and waits until it has exited.
    pub(crate) fn stop(&mut self) -> Result<()> {
        // The wait blocks this thread for the duration of the drain.
        tokio::task::block_in_place(|| self.program.stop())
    }
}
