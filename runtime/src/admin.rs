//! What a process says about itself over plain HTTP: `/livez`, `/readyz` and
//! `/metrics`. It takes no orders, reads no body, and is meant for the node's
//! kubelet and a metrics collector, not for the world.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State as Shared;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use crate::ready::{Readiness, State};
use crate::shutdown::Shutdown;

/// More callers than these wait in the kernel's backlog.
const CONNECTIONS: usize = 64;
const LIMITS: Limits =
    Limits { header: Duration::from_secs(10), connection: Duration::from_secs(300) };
/// The largest request header. Requests here have no body.
const HEADER_BYTES: usize = 16 * 1024;
/// How long to wait when the system has no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Where to answer.
#[derive(Debug, Clone, clap::Args)]
pub struct AdminArgs {
    /// Address of /livez, /readyz and /metrics (plain HTTP).
    #[arg(long, env = "FASTRAK_ADMIN_ADDR", default_value = "[::]:8080", value_name = "ADDRESS")]
    pub admin_addr: SocketAddr,
}

/// A socket that is bound and not yet answered.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
    limits: Limits,
}

/// How long one caller may hold a place.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// Over its request header, silence between two requests included.
    header: Duration,
    /// In all: a caller that never reads its answer is not kept for ever.
    connection: Duration,
}

/// Why nothing can be answered.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The address cannot be had.
    #[error("could not listen on {address} for health and metrics")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Binds the address, or its IPv4 counterpart where there is no IPv6.
pub async fn bind(args: &AdminArgs) -> Result<Bound, AdminError> {
    let address = args.admin_addr;
    let listener = match TcpListener::bind(address).await {
        Ok(listener) => Ok(listener),
        Err(source) => match without_ipv6(address, &source) {
            Some(other) => TcpListener::bind(other).await,
            None => Err(source),
        },
    };
    let with_address = |listener: TcpListener| {
        listener.local_addr().map(|address| Bound { listener, address, limits: LIMITS })
    };
    listener.and_then(with_address).map_err(|source| AdminError::Bind { address, source })
}

impl Bound {
    /// The address that was bound.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The port that was bound, also when any was asked for.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Answers until it is dropped. Once shutdown is requested `/readyz` says so
    /// and answers go on, so that the end of the others can be watched: run it as
    /// a companion ([`crate::supervise::Supervisor::spawn_companion`]).
    pub async fn serve(
        self,
        readiness: Readiness,
        registry: Registry,
        shutdown: Shutdown,
    ) -> Result<(), Infallible> {
        let router = router(Arc::new(About { readiness, registry, shutdown }));
        let room = Arc::new(Semaphore::new(CONNECTIONS));
        let mut callers = JoinSet::new();
        loop {
            let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
                return Ok(());
            };
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    callers.spawn(attend(stream, router.clone(), self.limits, permit));
                }
                Err(error) => {
                    tracing::warn!(%error, "could not accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
            while callers.try_join_next().is_some() {}
        }
    }
}

/// Everything that is told.
struct About {
    readiness: Readiness,
    registry: Registry,
    shutdown: Shutdown,
}

fn router(about: Arc<About>) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(about)
}

async fn attend(stream: TcpStream, router: Router, limits: Limits, _permit: OwnedSemaphorePermit) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header)
        .max_buf_size(HEADER_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    match tokio::time::timeout(limits.connection, connection).await {
        Ok(Ok(())) | Err(_) => {}
        Ok(Err(error)) => tracing::debug!(%error, "connection for health or metrics"),
    }
}

async fn readyz(Shared(about): Shared<Arc<About>>) -> Response {
    let ending = about.shutdown.is_requested();
    let parts = about.readiness.snapshot();
    let ready = !ending && parts.iter().all(|(_, state)| *state == State::Ready);
    let mut body: String = parts.iter().map(line).collect();
    let remarks = about.readiness.remarks();
    body.extend(remarks.iter().map(|(name, text)| format!("[!] {name}: {text}\n")));
    if ending {
        body.push_str("[-] shutting down\n");
    }
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, body).into_response()
}

fn line((name, state): &(&'static str, State)) -> String {
    match state {
        State::Ready => format!("[+] {name}: ready\n"),
        State::Waiting { reason } => format!("[-] {name}: {reason}\n"),
    }
}

async fn metrics(Shared(about): Shared<Arc<About>>) -> Response {
    let mut text = String::new();
    match encode(&mut text, &about.registry) {
        Ok(()) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "could not encode the metrics");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// What to bind instead of every IPv6 address on a machine without IPv6. A port
/// that is taken or forbidden is not IPv6's fault and stays an error.
fn without_ipv6(address: SocketAddr, error: &io::Error) -> Option<SocketAddr> {
    let other_reason =
        matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied);
    let any_ipv6 = address.is_ipv6() && address.ip().is_unspecified();
    (any_ipv6 && !other_reason)
        .then(|| SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), address.port()))
}

#[cfg(test)]
mod tests;
