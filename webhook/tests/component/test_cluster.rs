//! A control plane with fastrak's manifests, and the webhook in this process. The webhook
//! configuration has the loopback address of the webhook instead of its Service.

use crate::http;
use anyhow::{Context as _, Result, ensure};
use clap::Parser as _;
use fastrak_api::names;
use fastrak_runtime::shutdown::Shutdown;
use fastrak_testkit::fixtures::webhook_args;
use fastrak_testkit::objects::service;
use fastrak_testkit::webhook_configuration::set_urls;
use fastrak_testkit::{ControlPlane, Identity, Options, apply_manifests, eventually};
use fastrak_webhook::config::Args;
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

/// The timeout of waits, long enough for a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// The number of concurrent control planes. Each has two or three processes that need a core.
static PERMITS: Semaphore = Semaphore::const_new(2);

/// A control plane with the manifests, and the identity of the webhook.
pub(crate) struct TestCluster {
    pub(crate) plane: ControlPlane,
    /// A client of the administrator.
    pub(crate) client: Client,
    identity: Identity,
    _permit: SemaphorePermit<'static>,
}

/// A running webhook.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    /// The address of the TLS port of metrics, if it is enabled.
    pub(crate) metrics_port: Option<SocketAddr>,
    shutdown: Shutdown,
    task: JoinHandle<Result<(), fastrak_webhook::run::RunError>>,
}

impl TestCluster {
    pub(crate) async fn start(options: Options) -> Result<Self> {
        let permit = PERMITS.acquire().await?;
        let plane = ControlPlane::start(options).await?;
        apply(&plane).await?;
        let identity = Identity::of(&plane, names::NAMESPACE, names::WEBHOOK).await?;
        let client = plane.client().await?;
        Ok(Self { plane, client, identity, _permit: permit })
    }

    /// Returns the API of a kind in one namespace, as the administrator.
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

    /// Returns the kubeconfig of the webhook.
    pub(crate) fn kubeconfig(&self) -> String {
        self.identity.kubeconfig_path().display().to_string()
    }

    /// Creates a client with the identity of the webhook.
    pub(crate) async fn us(&self) -> Result<Client> {
        self.identity.client().await
    }

    /// Returns the configuration of a webhook on free loopback ports.
    pub(crate) fn config(&self, flags: &[&str]) -> Result<Args> {
        let mut args = Args::try_parse_from(webhook_args(&self.identity, flags))?;
        // A short delay, unless the test sets another.
        if !flags.iter().any(|flag| flag.starts_with("--repair-delay")) {
            args.lead.repair.repair_delay = Duration::from_millis(200);
        }
        Ok(args)
    }

    /// Starts a webhook that the API server does not call yet.
    pub(crate) async fn run(&self, flags: &[&str]) -> Result<Running> {
        self.run_as(self.config(flags)?).await
    }

    /// Starts a webhook with this configuration.
    pub(crate) async fn run_as(&self, config: Args) -> Result<Running> {
        let webhook = Webhook::bind(config).await?;
        let (address, admin) = (webhook.address(), webhook.admin_address());
        let metrics_port = webhook.metrics_address();
        let shutdown = Shutdown::manual();
        let task = tokio::spawn(webhook.run(shutdown.clone()));
        Ok(Running { address, admin, metrics_port, shutdown, task })
    }

    /// Starts a webhook and waits until it is ready and the API server calls it.
    pub(crate) async fn webhook(&self, flags: &[&str]) -> Result<Running> {
        let running = self.run(flags).await?;
        self.register(running.address).await?;
        running.is_ready().await?;
        self.is_asked().await?;
        Ok(running)
    }

    /// Sets the webhook's address in the webhook configuration instead of the Service.
    pub(crate) async fn register(&self, address: SocketAddr) -> Result<()> {
        set_urls(&self.client, address).await
    }

    /// Sets an address that nobody serves in the webhook configuration, and waits until the API server
    /// no longer calls the webhook.
    pub(crate) async fn unregister(&self) -> Result<()> {
        self.register("127.0.0.1:9".parse()?).await?;
        eventually(SOON, "the API server does not call the webhook", || async {
            ensure!(self.dry_decision().await?.is_none(), "it was called");
            Ok(())
        })
        .await
    }

    /// Waits until the API server calls the webhook. It watches webhook configurations.
    pub(crate) async fn is_asked(&self) -> Result<()> {
        eventually(SOON, "the API server calls the webhook", || async {
            self.dry_decision().await?.context("it was not called")
        })
        .await
        .map(drop)
    }

    /// Returns the decision about a Service that is not created.
    async fn dry_decision(&self) -> Result<Option<String>> {
        let probe = service("probe").load_balancer().port(80).build("default");
        let params = PostParams { dry_run: true, ..PostParams::default() };
        let answer = self.api::<Service>("default").create(&params, &probe).await?;
        Ok(annotation(&answer.metadata, names::BALANCER_DECISION))
    }

    /// Waits until an event of this reason is recorded on the object of this name in `default`.
    pub(crate) async fn has_event(&self, reason: &str, name: &str, says: &str) -> Result<()> {
        self.has_event_in("default", reason, name, says).await
    }

    /// Waits for an event in another namespace.
    pub(crate) async fn has_event_in(
        &self,
        namespace: &str,
        reason: &str,
        name: &str,
        says: &str,
    ) -> Result<()> {
        let events: Api<Event> = self.api(namespace);
        eventually(SOON, format!("event {reason} on {name}"), || async {
            let all = events.list(&ListParams::default()).await?;
            let found = all.items.into_iter().filter(|event| {
                event.reason.as_deref() == Some(reason)
                    && event.regarding.as_ref().and_then(|on| on.name.as_deref()) == Some(name)
            });
            let notes: Vec<_> = found.filter_map(|event| event.note).collect();
            ensure!(notes.iter().any(|note| note.contains(says)), "{notes:?}");
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
    /// Waits until the webhook is ready.
    pub(crate) async fn is_ready(&self) -> Result<()> {
        eventually(SOON, "the webhook is ready", || async {
            let (status, body) = http::get(self.admin, "/readyz").await?;
            ensure!(status == 200, "{status}: {body}");
            Ok(())
        })
        .await
    }

    /// Returns the metrics.
    pub(crate) async fn metrics(&self) -> Result<String> {
        Ok(http::get(self.admin, "/metrics").await?.1)
    }

    /// Waits until the metrics contain all of these lines at the same time.
    pub(crate) async fn shows(&self, lines: &[&str]) -> Result<()> {
        eventually(SOON, format!("the metrics contain {lines:?}"), || async {
            let metrics = self.metrics().await?;
            for line in lines {
                ensure!(metrics.lines().any(|have| have == *line), "{metrics}");
            }
            Ok(())
        })
        .await
    }

    /// Stops the webhook like a crash: nothing is finished or released.
    pub(crate) async fn kill(self) {
        self.task.abort();
        drop(self.task.await);
    }

    /// Stops the webhook in order and waits until it has stopped.
    pub(crate) async fn stop(self) -> Result<()> {
        self.shutdown.request();
        Ok(self.task.await??)
    }
}

/// Returns an annotation of an object.
pub(crate) fn annotation(
    metadata: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta,
    key: &str,
) -> Option<String> {
    metadata.annotations.as_ref()?.get(key).cloned()
}

/// Returns a label of an object.
pub(crate) fn label(
    metadata: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta,
    key: &str,
) -> Option<String> {
    metadata.labels.as_ref()?.get(key).cloned()
}
