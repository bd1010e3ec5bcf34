//! The cluster of the bench: a real API server, a node that is an object alone, fastrak's manifests as
//! they ship, and as many replicas of the webhook as are asked for. The webhook is the ServiceAccount
//! that it is in a cluster; only its address differs, since nothing here routes a Service.

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

/// A cluster that fastrak's manifests were applied to.
pub(crate) struct BenchCluster {
    plane: ControlPlane,
    client: Client,
}

/// A webhook that runs or can be started.
#[derive(Debug)]
pub(crate) struct Replica {
    program: Program,
    address: SocketAddr,
}

impl BenchCluster {
    /// Starts it. The API server calls the webhook at this port.
    pub(crate) async fn start(port: u16) -> Result<Self> {
        let plane = ControlPlane::start(Options::api_only()).await?;
        let client = plane.client().await?;
        fake_node(&client, NODE).await?;
        apply_manifests(&plane, &base()).await?;
        remove_workloads(&client).await?;
        set_urls(&client, (Ipv4Addr::LOCALHOST, port).into()).await?;
        Ok(Self { plane, client })
    }

    /// A client with the administrator's rights.
    #[must_use]
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// A folder for files that live as long as the cluster.
    pub(crate) fn folder(&self, name: &str) -> Result<PathBuf> {
        self.plane.scratch_dir(name)
    }

    /// Where the logs of what runs beside the cluster belong.
    #[must_use]
    pub(crate) fn logs(&self) -> PathBuf {
        self.plane.logs_dir()
    }

    /// Keeps all logs; where they will be.
    pub(crate) fn keep_logs(&self) -> PathBuf {
        self.plane.keep_logs()
    }

    /// The means to be the webhook's ServiceAccount.
    pub(crate) async fn kubeconfig(&self) -> Result<PathBuf> {
        let account = Identity::of(&self.plane, names::NAMESPACE, names::WEBHOOK).await?;
        Ok(account.kubeconfig_path().to_owned())
    }

    /// A replica of the webhook, which is not started yet.
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

    /// The authorities by which the API server knows the webhook, as published now.
    pub(crate) async fn bundle(&self) -> Result<Vec<u8>> {
        let all: Api<MutatingWebhookConfiguration> = Api::all(self.client.clone());
        let found = all.get(names::WEBHOOK_CONFIGURATION).await.context("read the registration")?;
        bundle(&found).context("no bundle is published")
    }

    /// Where a replica is called, and whom to believe there now.
    pub(crate) async fn target(&self, replica: &Replica) -> Result<Target> {
        Ok(Target { address: replica.address, tls: trusting(&self.bundle().await?)? })
    }
}

/// What a registration says of whom to believe.
#[must_use]
pub(crate) fn bundle(configuration: &MutatingWebhookConfiguration) -> Option<Vec<u8>> {
    let hook = configuration.webhooks.iter().flatten();
    let mut hook = hook.filter(|hook| hook.name == names::CLAIMS_HOOK);
    Some(hook.next()?.client_config.ca_bundle.clone()?.0)
}

impl Replica {
    /// Has it keep to one processor.
    #[must_use]
    pub(crate) fn pinned(mut self, processor: usize) -> Self {
        self.program = self.program.through(&["taskset", "-c", &processor.to_string()]);
        self
    }

    /// Where it answers reviews.
    #[must_use]
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it tells whether it is ready.
    #[must_use]
    pub(crate) fn admin(&self) -> SocketAddr {
        self.program.admin()
    }

    /// Its process.
    pub(crate) fn pid(&self) -> Result<u32> {
        self.program.pid()
    }

    /// Starts it and waits until it is ready.
    pub(crate) async fn start(&mut self) -> Result<Duration> {
        self.program.start().await
    }

    /// Ends it as a rollout would, and waits until it has exited.
    pub(crate) fn stop(&mut self) -> Result<()> {
        // The wait takes as long as the drain does, in which this thread serves nobody else.
        tokio::task::block_in_place(|| self.program.stop())
    }
}
