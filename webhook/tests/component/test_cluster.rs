//! A control plane with fastrak's manifests applied, and the webhook in this process, registered by
//! its address on loopback in place of its Service.

use crate::http;
use anyhow::{Context as _, Result, ensure};
use clap::Parser as _;
use fastrak_api::names;
use fastrak_runtime::shutdown::Shutdown;
use fastrak_testkit::objects::service;
use fastrak_testkit::webhook_configuration::set_urls;
use fastrak_testkit::{ControlPlane, Identity, Options, apply_manifests, eventually};
use fastrak_webhook::config::{Args, Config};
use fastrak_webhook::run::Webhook;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Service};
use k8s_openapi::api::events::v1::Event;
use kube::api::{ListParams, PostParams};
use kube::{Api, Client};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::JoinHandle;

/// Longer than anything awaited here takes on a loaded machine.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// Control planes at a time: each is two or three processes that want a core.
static ROOM: Semaphore = Semaphore::const_new(2);

/// A control plane with the manifests applied, and who the webhook is there.
pub(crate) struct TestCluster {
    pub(crate) plane: ControlPlane,
    /// The administrator.
    pub(crate) client: Client,
    identity: Identity,
    _room: SemaphorePermit<'static>,
}

/// A webhook that runs.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    /// The port of the guarded metrics, if there is one.
    pub(crate) metrics_port: Option<SocketAddr>,
    shutdown: Shutdown,
    task: JoinHandle<Result<(), fastrak_webhook::run::RunError>>,
}

impl TestCluster {
    pub(crate) async fn start(options: Options) -> Result<Self> {
        let room = ROOM.acquire().await?;
        let plane = ControlPlane::start(options).await?;
        apply(&plane).await?;
        let identity = Identity::of(&plane, names::NAMESPACE, names::WEBHOOK).await?;
        let client = plane.client().await?;
        Ok(Self { plane, client, identity, _room: room })
    }

    /// The administrator's view of the objects of one namespace.
    pub(crate) fn api<K>(&self, namespace: &str) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// Applies the manifests again, as an upgrade does.
    pub(crate) async fn apply(&self) -> Result<()> {
        apply(&self.plane).await
    }

    /// The file by which the webhook reaches the API server.
    pub(crate) fn kubeconfig(&self) -> String {
        self.identity.kubeconfig_path().display().to_string()
    }

    /// A client that is the webhook.
    pub(crate) async fn us(&self) -> Result<Client> {
        self.identity.client().await
    }

    /// Settings for a webhook on free ports of loopback.
    pub(crate) fn config(&self, flags: &[&str]) -> Result<Config> {
        let kubeconfig = self.kubeconfig();
        let usual = [
            "fastrak-webhook",
            "--listen=127.0.0.1:0",
            "--admin-addr=127.0.0.1:0",
            "--tls-name=127.0.0.1",
            "--drain=0",
            "--certificate-poll=1",
            "--kubeconfig",
            &kubeconfig,
        ];
        let args = usual.into_iter().chain(flags.iter().copied());
        let mut config = Config::from(Args::try_parse_from(args)?);
        // Unless a test says otherwise, nobody waits longer than a test has to.
        if !flags.iter().any(|flag| flag.starts_with("--repair-delay")) {
            config.repair_delay = Duration::from_millis(200);
        }
        Ok(config)
    }

    /// A webhook that runs and of which nobody knows.
    pub(crate) async fn run(&self, flags: &[&str]) -> Result<Running> {
        self.run_as(self.config(flags)?).await
    }

    /// The same, with settings that no flag has.
    pub(crate) async fn run_as(&self, config: Config) -> Result<Running> {
        let webhook = Webhook::bind(config).await?;
        let (address, admin) = (webhook.address(), webhook.admin_address());
        let metrics_port = webhook.metrics_address();
        let shutdown = Shutdown::manual();
        let task = tokio::spawn(webhook.run(shutdown.clone()));
        Ok(Running { address, admin, metrics_port, shutdown, task })
    }

    /// A webhook that runs, is ready, and is asked by the API server.
    pub(crate) async fn webhook(&self, flags: &[&str]) -> Result<Running> {
        let running = self.run(flags).await?;
        self.register(running.address).await?;
        running.is_ready().await?;
        self.is_asked().await?;
        Ok(running)
    }

    /// Registers an address in place of the Service, as an administrator who runs the webhook
    /// outside of the cluster would.
    pub(crate) async fn register(&self, address: SocketAddr) -> Result<()> {
        set_urls(&self.client, address).await
    }

    /// Waits until the API server asks the webhook: it learns of a registration by a watch.
    pub(crate) async fn is_asked(&self) -> Result<()> {
        let services: Api<Service> = self.api("default");
        let probe = service("probe").load_balancer().port(80).build("default");
        let params = PostParams { dry_run: true, ..PostParams::default() };
        eventually(SOON, "the API server asks the webhook", || async {
            let answer = services.create(&params, &probe).await?;
            let decision = annotation(&answer.metadata, names::BALANCER_DECISION);
            decision.context("it did not")
        })
        .await
        .map(drop)
    }

    /// Waits until an event of this reason is recorded on the object of this name in `default`.
    pub(crate) async fn is_told(&self, reason: &str, name: &str, says: &str) -> Result<()> {
        self.is_told_in("default", reason, name, says).await
    }

    /// The same in another namespace.
    pub(crate) async fn is_told_in(
        &self,
        namespace: &str,
        reason: &str,
        name: &str,
        says: &str,
    ) -> Result<()> {
        let events: Api<Event> = self.api(namespace);
        eventually(SOON, format!("{reason} is told of {name}"), || async {
            let all = events.list(&ListParams::default()).await?;
            let told = all.items.into_iter().find(|event| {
                event.reason.as_deref() == Some(reason)
                    && event.regarding.as_ref().and_then(|on| on.name.as_deref()) == Some(name)
            });
            let note = told.and_then(|event| event.note).context("it is not")?;
            ensure!(note.contains(says), "{note}");
            Ok(())
        })
        .await
    }

    /// Creates a claim.
    pub(crate) async fn claim(
        &self,
        claim: &PersistentVolumeClaim,
    ) -> Result<PersistentVolumeClaim> {
        let namespace = claim.metadata.namespace.clone().context("a claim has a namespace")?;
        let claims: Api<PersistentVolumeClaim> = self.api(&namespace);
        Ok(claims.create(&PostParams::default(), claim).await?)
    }
}

async fn apply(plane: &ControlPlane) -> Result<()> {
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/base");
    apply_manifests(plane, &base).await.map(drop)
}

impl Running {
    /// Waits until it says that it is ready.
    pub(crate) async fn is_ready(&self) -> Result<()> {
        eventually(SOON, "the webhook is ready", || async {
            let (status, body) = http::get(self.admin, "/readyz").await?;
            ensure!(status == 200, "{status}: {body}");
            Ok(())
        })
        .await
    }

    /// What it says of itself.
    pub(crate) async fn metrics(&self) -> Result<String> {
        Ok(http::get(self.admin, "/metrics").await?.1)
    }

    /// Ends it on the spot, as a crash would: nothing is finished and nothing given back.
    pub(crate) async fn kill(self) {
        self.task.abort();
        drop(self.task.await);
    }

    /// Asks it to end, and waits until it has.
    pub(crate) async fn stop(self) -> Result<()> {
        self.shutdown.request();
        Ok(self.task.await??)
    }
}

/// An annotation of an object.
pub(crate) fn annotation(
    metadata: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta,
    key: &str,
) -> Option<String> {
    metadata.annotations.as_ref()?.get(key).cloned()
}

/// A label of an object.
pub(crate) fn label(
    metadata: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta,
    key: &str,
) -> Option<String> {
    metadata.labels.as_ref()?.get(key).cloned()
}
