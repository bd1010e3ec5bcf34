//! The review server: accepts connections and drains them at shutdown. `connection.rs` serves a
//! connection, `http.rs` a request, `tls.rs` holds the certificate.
//!
//! A drain keeps responding for a while. The API server reuses connections after the pod has left
//! the endpoints of the Service, and endpoints take a moment to propagate. During the drain every
//! request gets a response that closes its connection; then the socket is closed.

mod body;
pub mod client_ca;
pub mod clients;
mod connection;
mod handshake;
pub mod http;
pub mod metrics;
pub mod tls;

use self::client_ca::{ClientAuthArgs, ClientCa, ClientCaError};
use self::http::{RequestLimits, ReviewHandler};
use self::metrics::ServeMetrics;
use self::tls::Security;
use fastrak_api::duration::parse_or_seconds;
use fastrak_runtime::connections::{ConnectionLimits, ConnectionTable};
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

/// The maximum duration of a request. The API server may request less.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// The flags of the review server.
#[derive(Clone, Debug, clap::Args)]
pub struct ServeArgs {
    /// Address for the reviews of the API server (HTTPS).
    #[arg(long, env = "FASTRAK_LISTEN", default_value = "[::]:8443", value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// How long reviews are still answered after a shutdown signal, in seconds.
    #[arg(long, env = "FASTRAK_DRAIN", default_value = "5", value_name = "SECONDS", value_parser = parse_or_seconds)]
    pub drain: Duration,
    /// Maximum number of connections; a new one evicts the one that has been idle longest.
    #[arg(long, env = "FASTRAK_MAX_CONNECTIONS", default_value = "4096", value_name = "NUMBER", value_parser = at_least_one)]
    pub max_connections: usize,
    /// Maximum number of concurrent reviews; others wait, and are admitted unchanged if they would
    /// be late.
    #[arg(long, env = "FASTRAK_MAX_IN_FLIGHT", default_value = "64", value_name = "NUMBER", value_parser = at_least_one)]
    pub max_in_flight: usize,
    /// Client certificates.
    #[command(flatten)]
    pub clients: ClientAuthArgs,
}

/// The limits of connections.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The number of established connections. A new one evicts the one that has been idle longest.
    pub connections: usize,
    /// The number of concurrent handshakes. A new one evicts the oldest.
    pub handshakes: usize,
    /// The duration of a TLS handshake.
    pub handshake: Duration,
    /// The time in which a request header must be complete, from its first byte. For the first
    /// request, from the handshake.
    pub header: Duration,
    /// The idle time between two requests. It is longer than the API server's, so the API server is
    /// the one that closes: a request that is sent on a connection being closed fails.
    pub idle: Duration,
    /// The age from which a response closes its connection, plus up to half of it, so connections
    /// spread over new replicas.
    pub age: Duration,
    /// How long open connections may take to complete after the drain.
    pub finish: Duration,
}

/// What every connection needs.
#[derive(Clone)]
pub struct ConnectionContext {
    /// The TLS configuration.
    pub security: Security,
    /// The handler of requests.
    pub handler: Arc<ReviewHandler>,
    /// The metrics.
    pub metrics: ServeMetrics,
    /// The limits.
    pub limits: Limits,
}

/// A bound socket that accepts no connection yet.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
}

/// Why the server could not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address could not be bound.
    #[error("could not listen on {0} for reviews")]
    Bind(SocketAddr, #[source] io::Error),
    /// The TLS configuration is invalid.
    #[error("could not configure TLS")]
    Security(#[source] TlsError),
    /// The client CA could not be loaded.
    #[error("could not configure client certificates")]
    Clients(#[source] ClientCaError),
}

impl ServeArgs {
    /// Returns the limits of connections.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits { connections: self.max_connections, ..Limits::default() }
    }

    /// Returns the limits of requests.
    #[must_use]
    pub const fn request_limits(&self) -> RequestLimits {
        RequestLimits { request: REQUEST_TIMEOUT, in_flight: self.max_in_flight }
    }
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

impl ConnectionContext {
    /// Creates the context of connections with the certificate in the slot, and the client CA if
    /// client certificates are requested. The CA file is read every `poll`.
    pub async fn open(
        args: &ServeArgs,
        handler: ReviewHandler,
        slot: Arc<Slot>,
        poll: Duration,
    ) -> Result<(Self, Option<ClientCa>), ServeError> {
        let metrics = handler.metrics().clone();
        let client_ca = ClientCa::load(&args.clients, poll, &metrics).await;
        let client_ca = client_ca.map_err(ServeError::Clients)?;
        let security = Security::new(slot, client_ca.as_ref().map(ClientCa::clients));
        let security = security.map_err(ServeError::Security)?;
        let context = Self { security, handler: Arc::new(handler), metrics, limits: args.limits() };
        Ok((context, client_ca))
    }
}

/// Binds an address.
pub async fn bind(address: SocketAddr) -> Result<Bound, ServeError> {
    let bound = listener::bind(address).await;
    let (listener, bound) = bound.map_err(|error| ServeError::Bind(address, error))?;
    Ok(Bound { listener, address: bound })
}

impl Bound {
    /// Returns the bound address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until shutdown is requested, then for `drain`, then until open connections have
    /// completed.
    pub async fn serve(
        self,
        context: ConnectionContext,
        drain: Duration,
        shutdown: Shutdown,
    ) -> Result<(), Infallible> {
        let Limits { handshakes, connections, finish, .. } = context.limits;
        let connection_limits = ConnectionLimits { pending: handshakes, established: connections };
        let table = ConnectionTable::new(connection_limits, context.metrics.of_connections());
        let (open, closing) = (TaskTracker::new(), CancellationToken::new());
        let state = Arc::new(connection::ServerState {
            context,
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
            tracing::warn!(
                connections = open.len(),
                "closed connections that did not complete in time"
            );
        }
        Ok(())
    }
}

/// Parses a limit.
fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err("expected a whole number from 1".to_owned()),
    }
}
