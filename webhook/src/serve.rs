//! The webhook's server: accepts connections and ends them. `connection.rs` serves one connection,
//! `http.rs` one request, `tls.rs` holds the certificate.
//!
//! At the end it goes on answering for a while. The API server keeps using a connection after the
//! pod has left the Service's endpoints, and endpoints take a moment to spread: so for the time
//! of the drain everything is answered, each answer closes its connection, and only then the
//! socket goes.

mod body;
pub mod client_ca;
pub mod clients;
mod connection;
mod handshake;
pub mod http;
pub mod tls;

use self::client_ca::{ClientCa, ClientCaError};
use self::http::ReviewHandler;
use self::tls::Security;
use crate::config::Config;
use crate::metrics::Metrics;
use arc_swap::ArcSwapOption;
use fastrak_admission::snapshot::Snapshot;
use fastrak_runtime::connections::{ConnectionLimits, ConnectionMetrics, ConnectionTable};
use fastrak_runtime::listener;
use fastrak_runtime::shutdown::Shutdown;
use fastrak_runtime::tls::{Slot, TlsError};
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How many connections there may be, and how long each part of one may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections that are served at a time. For one more, the one that has been silent for the
    /// longest has to go.
    pub connections: usize,
    /// Connections that shake hands at a time. For one more, the oldest has to go.
    pub handshakes: usize,
    /// The TLS handshake.
    pub handshake: Duration,
    /// A request's header, from its first byte; of the first request from the handshake.
    pub header: Duration,
    /// The silence between two requests. Longer than the API server's own, so that it is the one
    /// to close: a connection closed under a request that is on its way is a failed call.
    pub idle: Duration,
    /// The age of a connection, and up to half as much again, at which an answer closes it: so that
    /// connections spread over new replicas.
    pub age: Duration,
    /// What is open when the end has come.
    pub finish: Duration,
}

/// What every connection needs.
#[derive(Clone, Debug)]
pub struct Counter {
    /// How the connection is secured.
    pub security: Security,
    /// What answers.
    pub desk: Arc<ReviewHandler>,
    /// What is measured.
    pub metrics: Arc<Metrics>,
    /// How long things may take.
    pub limits: Limits,
}

/// A socket that is bound and not yet answered.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
}

/// Why nothing can be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address cannot be had.
    #[error("could not listen on {address} for reviews")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Connections cannot be secured.
    #[error("connections cannot be secured")]
    Security(#[source] TlsError),
    /// Clients cannot be distinguished.
    #[error("clients cannot be told apart")]
    Clients(#[source] ClientCaError),
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4096,
            handshakes: 1024,
            handshake: Duration::from_secs(5),
            header: Duration::from_secs(5),
            idle: Duration::from_secs(120),
            age: Duration::from_secs(600),
            finish: Duration::from_secs(10),
        }
    }
}

impl Counter {
    /// One that answers by these snapshot and shows what is in the slot, with the file by which clients
    /// are distinguished, if they are.
    pub async fn open(
        config: &Config,
        snapshot: Arc<ArcSwapOption<Snapshot>>,
        slot: Arc<Slot>,
        metrics: &Arc<Metrics>,
    ) -> Result<(Self, Option<ClientCa>), ServeError> {
        let clients = ClientCa::load(&config.clients, config.file_poll, metrics)
            .await
            .map_err(ServeError::Clients)?;
        let security = Security::new(slot, clients.as_ref().map(ClientCa::clients));
        let counter = Self {
            security: security.map_err(ServeError::Security)?,
            desk: Arc::new(ReviewHandler::new(
                snapshot,
                config.services,
                metrics,
                config.allowance,
            )),
            metrics: Arc::clone(metrics),
            limits: config.limits,
        };
        Ok((counter, clients))
    }
}

/// Binds the address.
pub async fn bind(address: SocketAddr) -> Result<Bound, ServeError> {
    let bound = listener::bind(address).await;
    let (listener, bound) = bound.map_err(|source| ServeError::Bind { address, source })?;
    Ok(Bound { listener, address: bound })
}

impl Bound {
    /// The address that was bound.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until shutdown is requested, for `drain` longer, and until what is open is done.
    pub async fn serve(
        self,
        counter: Counter,
        drain: Duration,
        shutdown: Shutdown,
    ) -> Result<(), Infallible> {
        let Limits { handshakes, connections, finish, .. } = counter.limits;
        let connection_limits = ConnectionLimits { pending: handshakes, established: connections };
        let serving = &counter.metrics.serving;
        let metrics = ConnectionMetrics {
            open: serving.connections.clone(),
            evicted: serving.connections_evicted.clone(),
        };
        let table = ConnectionTable::new(connection_limits, metrics);
        let (open, closing) = (TaskTracker::new(), CancellationToken::new());
        let state = Arc::new(connection::ServerState {
            counter,
            closing: closing.clone(),
            shutdown: shutdown.clone(),
        });
        let mut end = pin!(async {
            shutdown.requested().await;
            tokio::time::sleep(drain).await;
        });
        loop {
            tokio::select! {
                biased;
                () = &mut end => break,
                accepted = table.accept_from(&self.listener) => {
                    open.spawn(connection::serve(accepted, Arc::clone(&state)));
                }
            }
        }
        drop(self.listener);
        closing.cancel();
        open.close();
        if tokio::time::timeout(finish, open.wait()).await.is_err() {
            tracing::warn!(connections = open.len(), "connections did not end in time");
        }
        Ok(())
    }
}
