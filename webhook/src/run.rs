//! Wiring, and nothing else: what a webhook is made of, and which part knows which.

use crate::config::Config;
use crate::lead::{Lead, Needs};
use crate::metrics::Metrics;
use crate::rotation::Certificates;
use crate::serve::{self, Counter, ServeError};
use crate::snapshot::watcher::{SnapshotStore, SnapshotWatcher};
use crate::webhook_config::controller::RegistrationWatch;
use crate::webhook_config::shipped::ShippedError;
use fastrak_api::names;
use fastrak_runtime::admin::{self, AdminError, Exposed};
use fastrak_runtime::client::{self, ClientError};
use fastrak_runtime::ready::Readiness;
use fastrak_runtime::shutdown::Shutdown;
use fastrak_runtime::supervise::{SuperviseError, Supervisor};
use fastrak_runtime::tls::Slot;
use kube::Client;
use kube::runtime::events::{Recorder, Reporter};
use prometheus_client::registry::Registry;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// A webhook whose sockets are bound.
pub struct Webhook {
    config: Config,
    client: Client,
    reviews: serve::Bound,
    admin: admin::Bound,
}

/// Why a webhook did not run, or ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// There is no client.
    #[error("no way to the API server")]
    Client(#[source] ClientError),
    /// Reviews cannot be answered.
    #[error("reviews cannot be answered")]
    Serve(#[source] ServeError),
    /// Health and metrics cannot be served.
    #[error("health and metrics cannot be told")]
    Admin(#[source] AdminError),
    /// The registration cannot be watched.
    #[error("the registration cannot be watched")]
    Registration(#[source] ShippedError),
    /// A part ended.
    #[error("the webhook ended")]
    Supervise(#[source] SuperviseError),
}

impl Webhook {
    /// Binds the sockets. Nothing is answered yet.
    pub async fn bind(config: Config) -> Result<Self, RunError> {
        let client = client::connect(&config.client).await.map_err(RunError::Client)?;
        let reviews = serve::bind(config.listen).await.map_err(RunError::Serve)?;
        let admin = admin::bind(&config.admin).await.map_err(RunError::Admin)?;
        Ok(Self { config, client, reviews, admin })
    }

    /// Where reviews are answered.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.reviews.address()
    }

    /// Where health and metrics are served.
    #[must_use]
    pub fn admin_address(&self) -> SocketAddr {
        self.admin.address()
    }

    /// The address of `/metrics`, if it has a port of its own.
    #[must_use]
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.admin.metrics_address()
    }

    /// Runs until shutdown is requested.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), RunError> {
        let Self { config, client, reviews, admin } = self;
        let mut registry = Registry::default();
        let metrics = Arc::new(Metrics::register(&mut registry));
        let readiness = Readiness::new();
        let (board, slot) = (SnapshotStore::default(), Arc::new(Slot::default()));
        let reporter = Reporter { controller: names::WEBHOOK.to_owned(), instance: None };
        let recorder = Recorder::new(client.clone(), reporter);

        let opened = Counter::open(&config, board.snapshot(), Arc::clone(&slot), &metrics).await;
        let (counter, clients) = opened.map_err(RunError::Serve)?;
        let feed = SnapshotWatcher {
            board: board.clone(),
            namespace: config.namespace.clone(),
            ready: readiness.handle("facts"),
            agent_grace: config.agent_grace,
        };
        let lead = Lead::new(
            &config,
            &Needs {
                client: &client,
                board: &board,
                metrics: &metrics,
                recorder: &recorder,
                readiness: &readiness,
            },
        );
        let certificates = Certificates::new(
            &config,
            client.clone(),
            slot,
            metrics.rotation.clone(),
            readiness.handle("certificate"),
        );
        let scrapes = metrics.serving.scrapes.clone();
        let registration = RegistrationWatch::new(client.clone(), &config, metrics);
        let registration = registration.map_err(RunError::Registration)?;
        let exposed = Exposed { readiness, registry, client: client.clone(), scrapes };

        let mut parts = Supervisor::new();
        parts.spawn("reviews", reviews.serve(counter, config.drain, shutdown.clone()));
        parts.spawn("facts", feed.run(client, shutdown.clone()));
        parts.spawn("certificate", certificates.run(shutdown.clone()));
        parts.spawn("registration", registration.run(shutdown.clone()));
        if let Some(clients) = clients {
            parts.spawn("client-ca", clients.run(shutdown.clone()));
        }
        lead.spawn(&mut parts, &shutdown);
        parts.spawn_companion("admin", admin.serve(exposed, shutdown.clone()));
        let grace = config.drain + config.limits.finish + Duration::from_secs(1);
        parts.run(shutdown, grace).await.map_err(RunError::Supervise)
    }
}
