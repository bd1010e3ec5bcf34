//! Wiring: creates the parts, connects them, and runs them under supervision.

use crate::config::Args;
use crate::lead::{Lead, LeadDependencies};
use crate::metrics::Metrics;
use crate::rotation::{Certificates, Outputs};
use crate::serve::http::ReviewHandler;
use crate::serve::{self, ConnectionContext, ServeError};
use crate::snapshot::watcher::{SnapshotStore, SnapshotWatcher};
use crate::webhook_config::controller::ConfigurationWatch;
use crate::webhook_config::shipped::ShippedError;
use fastrak_runtime::admin::{self, AdminError, Exposed};
use fastrak_runtime::client::{self, ClientError};
use fastrak_runtime::ready::Readiness;
use fastrak_runtime::shutdown::Shutdown;
use fastrak_runtime::supervise::{SuperviseError, Supervisor};
use fastrak_runtime::tls::Slot;
use kube::Client;
use prometheus_client::registry::Registry;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// A webhook whose sockets are bound.
pub struct Webhook {
    args: Args,
    client: Client,
    reviews: serve::Bound,
    admin: admin::Bound,
}

/// Why the webhook has stopped.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The API client could not be created.
    #[error("cannot create the API client")]
    Client(#[source] ClientError),
    /// The review port could not be opened.
    #[error("cannot serve reviews")]
    Serve(#[source] ServeError),
    /// The admin port could not be opened.
    #[error("cannot serve health and metrics")]
    Admin(#[source] AdminError),
    /// The shipped webhook configuration could not be read.
    #[error("cannot watch the webhook configuration")]
    Configuration(#[source] ShippedError),
    /// A task has stopped.
    #[error("a task of the webhook has stopped")]
    Supervise(#[source] SuperviseError),
}

impl Webhook {
    /// Binds the sockets. No connection is accepted yet.
    pub async fn bind(args: Args) -> Result<Self, RunError> {
        let client = client::connect(&args.client).await.map_err(RunError::Client)?;
        let reviews = serve::bind(args.serve.listen).await.map_err(RunError::Serve)?;
        let admin = admin::bind(&args.admin).await.map_err(RunError::Admin)?;
        Ok(Self { args, client, reviews, admin })
    }

    /// Returns the address of the review port.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.reviews.address()
    }

    /// Returns the address of the admin port.
    #[must_use]
    pub fn admin_address(&self) -> SocketAddr {
        self.admin.address()
    }

    /// Returns the address of the metrics port, if there is one.
    #[must_use]
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.admin.metrics_address()
    }

    /// Runs until shutdown is requested.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), RunError> {
        let Self { args, client, reviews, admin } = self;
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        let readiness = Readiness::new();
        let (store, slot) = (SnapshotStore::default(), Arc::new(Slot::default()));
        let settings = args.decide.settings();
        let installation = args.installation.installation();

        let handler = ReviewHandler::new(
            store.snapshot(),
            settings,
            metrics.serving.clone(),
            args.serve.request_limits(),
        );
        let poll = args.rotation.file_poll();
        let opened = ConnectionContext::open(&args.serve, handler, Arc::clone(&slot), poll).await;
        let (context, client_ca) = opened.map_err(RunError::Serve)?;
        let watcher = SnapshotWatcher {
            store: store.clone(),
            namespace: installation.namespace.clone(),
            ready: readiness.handle("snapshot"),
            agent_grace: args.snapshot.agent_grace,
        };
        let lead = Lead::new(
            &args.lead,
            &LeadDependencies {
                client: &client,
                store: &store,
                metrics: &metrics,
                readiness: &readiness,
                settings,
                namespace: &installation.namespace,
                agent_grace: args.snapshot.agent_grace,
            },
        );
        let ready = readiness.handle("certificate");
        let outputs = Outputs { slot, metrics: metrics.rotation.clone(), ready };
        let certificates =
            Certificates::new(&args.rotation, &installation, client.clone(), outputs);
        let drift = metrics.webhook_config.clone();
        let configuration = ConfigurationWatch::new(client.clone(), installation, drift);
        let configuration = configuration.map_err(RunError::Configuration)?;
        let scrapes = metrics.scrapes;
        let exposed = Exposed { readiness, registry, client: client.clone(), scrapes };

        let mut parts = Supervisor::new();
        let grace = args.serve.drain + context.limits.finish + Duration::from_secs(1);
        parts.spawn("reviews", reviews.serve(context, args.serve.drain, shutdown.clone()));
        parts.spawn("snapshot", watcher.run(client, shutdown.clone()));
        parts.spawn("certificate", certificates.run(shutdown.clone()));
        parts.spawn("webhook-configuration", configuration.run(shutdown.clone()));
        if let Some(client_ca) = client_ca {
            parts.spawn("client-ca", client_ca.run(shutdown.clone()));
        }
        lead.spawn(&mut parts, &shutdown);
        parts.spawn_companion("admin", admin.serve(exposed, shutdown.clone()));
        parts.run(shutdown, grace).await.map_err(RunError::Supervise)
    }
}
