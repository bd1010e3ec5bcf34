//! The webhook's own accept loop: connections, their limits, and how they end. What a request says
//! is `http.rs`'s business, which certificate is shown `tls.rs`'s.
//!
//! At the end it goes on answering for a while. The API server keeps using a connection after the
//! pod has left the Service's endpoints, and endpoints take a moment to spread: so for the time
//! of the drain everything is answered, each answer closes its connection, and only then the
//! socket goes.

pub mod http;
mod pace;
pub mod tls;

use crate::metrics::Metrics;
use fastrak_runtime::shutdown::Shutdown;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use pace::{Paced, Pacer};
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceBuilder;

/// How long each part of a connection may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at a time; more wait in the kernel's backlog.
    pub connections: usize,
    /// The TLS handshake.
    pub handshake: Duration,
    /// A request's header, from its first byte; of the first request from the handshake.
    pub header: Duration,
    /// A request with its body, where the API server asks for no less.
    pub request: Duration,
    /// The silence between two requests. Longer than the API server's own, so that it is the one
    /// to close: a connection closed under a request that is on its way is a failed call.
    pub idle: Duration,
    /// A connection in all, and up to half as much again: so that connections spread over new
    /// replicas, and one that never reads its answer is not kept for ever.
    pub age: Duration,
    /// What is open when the end has come.
    pub finish: Duration,
}

/// What every connection needs.
#[derive(Clone)]
pub struct Counter {
    /// How the connection is secured.
    pub tls: TlsAcceptor,
    /// What answers.
    pub router: axum::Router,
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
}

/// How long to wait when the system has no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// The largest request header.
const HEADER_BYTES: usize = 32 * 1024;

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            handshake: Duration::from_secs(5),
            header: Duration::from_secs(5),
            request: Duration::from_secs(10),
            idle: Duration::from_secs(120),
            age: Duration::from_secs(600),
            finish: Duration::from_secs(10),
        }
    }
}

/// Binds the address, or its IPv4 counterpart where there is no IPv6.
pub async fn bind(address: SocketAddr) -> Result<Bound, ServeError> {
    let listener = match TcpListener::bind(address).await {
        Err(source) if is_without_ipv6(address, &source) => {
            TcpListener::bind(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), address.port()))
                .await
        }
        other => other,
    };
    let bound =
        listener.and_then(|listener| Ok(Bound { address: listener.local_addr()?, listener }));
    bound.map_err(|source| ServeError::Bind { address, source })
}

fn is_without_ipv6(address: SocketAddr, error: &io::Error) -> bool {
    let other_reason =
        matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied);
    address.is_ipv6() && address.ip().is_unspecified() && !other_reason
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
        let (open, closing) = (TaskTracker::new(), CancellationToken::new());
        let room = Arc::new(Semaphore::new(counter.limits.connections));
        let mut end = pin!(async {
            shutdown.requested().await;
            tokio::time::sleep(drain).await;
        });
        loop {
            let next = async {
                let permit = Arc::clone(&room).acquire_owned().await;
                (permit, self.listener.accept().await)
            };
            let accepted = tokio::select! {
                biased;
                () = &mut end => break,
                accepted = next => accepted,
            };
            match accepted {
                (Ok(permit), Ok((stream, peer))) => {
                    let visit = Visit { stream, peer, permit, closing: closing.clone() };
                    open.spawn(attend(visit, counter.clone(), shutdown.clone()));
                }
                (_, Err(error)) => {
                    tracing::warn!(%error, "could not accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
                (Err(_), _) => break,
            }
        }
        drop(self.listener);
        closing.cancel();
        open.close();
        if tokio::time::timeout(counter.limits.finish, open.wait()).await.is_err() {
            tracing::warn!(connections = open.len(), "connections did not end in time");
        }
        Ok(())
    }
}

/// A connection that was accepted.
struct Visit {
    stream: TcpStream,
    peer: SocketAddr,
    permit: OwnedSemaphorePermit,
    closing: CancellationToken,
}

/// Counts a connection as open until it is dropped.
struct Open<'a>(&'a Metrics);

impl<'a> Open<'a> {
    fn count(metrics: &'a Metrics) -> Self {
        metrics.connections.inc();
        Self(metrics)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.connections.dec();
    }
}

async fn attend(visit: Visit, counter: Counter, shutdown: Shutdown) {
    let Visit { stream, peer, permit, closing } = visit;
    let Counter { tls, router, metrics, limits } = counter;
    let _open = Open::count(&metrics);
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, %peer, "could not set TCP_NODELAY");
    }
    let stream = match tokio::time::timeout(limits.handshake, tls.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return refuse(&metrics, peer, &error.to_string()),
        Err(_) => return refuse(&metrics, peer, "no handshake in time"),
    };
    let pacer = Pacer::new();
    let io = TokioIo::new(Paced::new(stream, pacer.clone(), limits.header, limits.idle));
    let service = ServiceBuilder::new()
        .layer_fn(|inner| http::Manners { inner, pacer: pacer.clone(), shutdown: shutdown.clone() })
        .service(router);
    // The pace of a header is kept by `Paced`, which tells it from the silence before it.
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_buf_size(HEADER_BYTES)
        .serve_connection(io, TowerToHyperService::new(service));
    let mut connection = pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = closed_or_old(&closing, age(limits.age, peer)) => {
            connection.as_mut().graceful_shutdown();
            tokio::time::timeout(limits.finish, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, %peer, "a connection ended");
    }
    drop(permit);
}

fn refuse(metrics: &Metrics, peer: SocketAddr, error: &str) {
    metrics.handshake_failures.inc();
    tracing::debug!(error, %peer, "a handshake came to nothing");
}

async fn closed_or_old(closing: &CancellationToken, age: Duration) {
    tokio::select! {
        () = closing.cancelled() => {}
        () = tokio::time::sleep(age) => {}
    }
}

/// The age a connection may reach. The peer's port, which its system chose at random, keeps those
/// that were opened together from ending together.
fn age(least: Duration, peer: SocketAddr) -> Duration {
    least + least / 2 * u32::from(peer.port() % 64) / 64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_of_the_same_age_do_not_end_together() {
        let least = Duration::from_secs(600);
        let ages: Vec<_> = (40_000..40_064)
            .map(|port| age(least, SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)))
            .collect();
        assert!(ages.iter().all(|age| (least..least + least / 2).contains(age)));
        let distinct: std::collections::HashSet<_> = ages.iter().collect();
        assert_eq!(distinct.len(), ages.len());
    }
}
