//! The HTTP endpoints of a process: `/livez` and `/readyz` for the kubelet, `/metrics` for a
//! metrics collector. They ignore request bodies and change nothing.
//!
//! `/metrics` is served on the same plain port, or on a separate TLS port with authorization by the
//! API server.

mod access;
mod certificate;
mod endpoints;
mod port;
mod scrapes;

pub use self::scrapes::ScrapeMetrics;

use self::access::Access;
use self::certificate::CertificateDirectory;
use self::endpoints::{GuardedMetrics, Status};
use self::port::Port;
use crate::connections::ConnectionLimits;
use crate::http1::Http1Limits;
use crate::read_timeouts::ReadTimeouts;
use crate::ready::Readiness;
use crate::shutdown::Shutdown;
use crate::tls::{Slot, TlsError, server_config};
use kube::Client;
use prometheus_client::registry::Registry;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio_rustls::TlsAcceptor;

const METRICS_PATH: &str = "/metrics";

const LIMITS: Limits = Limits {
    connections: ConnectionLimits { pending: 256, established: 64 },
    http: Http1Limits {
        // Requests here have no body and a short header.
        header_bytes: 16 * 1024,
        // Keeps the connection of a collector that scrapes once a minute.
        timeouts: ReadTimeouts { header: Duration::from_secs(2), idle: Duration::from_secs(90) },
    },
    age: Duration::from_secs(300),
};

/// The flags of the health and metrics endpoints.
#[derive(Debug, Clone, clap::Args)]
pub struct AdminArgs {
    /// Address of /livez and /readyz, and of /metrics unless --metrics-addr is set (plain HTTP).
    #[arg(long, env = "FASTRAK_ADMIN_ADDR", default_value = "[::]:8080", value_name = "ADDRESS")]
    pub admin_addr: SocketAddr,
    /// Address of /metrics over TLS, for clients that RBAC allows to get /metrics.
    #[arg(
        long,
        env = "FASTRAK_METRICS_ADDR",
        value_name = "ADDRESS",
        requires = "metrics_tls_dir"
    )]
    pub metrics_addr: Option<SocketAddr>,
    /// Directory with the certificate of --metrics-addr (tls.crt, tls.key), reloaded on change.
    #[arg(
        long,
        env = "FASTRAK_METRICS_TLS_DIR",
        value_name = "DIRECTORY",
        requires = "metrics_addr"
    )]
    pub metrics_tls_dir: Option<PathBuf>,
}

/// The bound sockets of the endpoints.
pub struct Bound {
    plain: Port,
    metrics: Option<MetricsPort>,
}

struct MetricsPort {
    port: Port,
    directory: PathBuf,
    slot: Arc<Slot>,
}

/// The data that the endpoints serve.
pub struct Exposed {
    /// The readiness for `/readyz`.
    pub readiness: Readiness,
    /// The metrics for `/metrics`.
    pub registry: Registry,
    /// The client for token and access reviews.
    pub client: Client,
    /// The number of scrapes of the metrics port.
    pub scrapes: ScrapeMetrics,
}

/// The limits of a port. Connections are never refused, because the kubelet kills a process whose
/// `/livez` does not respond.
#[derive(Debug, Clone, Copy)]
struct Limits {
    connections: ConnectionLimits,
    http: Http1Limits,
    /// The maximum age of a connection. It closes connections whose peer does not read the
    /// response.
    age: Duration,
}

/// Why the endpoints cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// An address cannot be bound.
    #[error("could not listen on {0} for health and metrics")]
    Bind(SocketAddr, #[source] io::Error),
    /// TLS cannot be configured.
    #[error("could not set up TLS for metrics")]
    Tls(#[source] TlsError),
}

/// Binds the addresses.
pub async fn bind(args: &AdminArgs) -> Result<Bound, AdminError> {
    let plain = bind_port(args.admin_addr, None).await?;
    let metrics = match (args.metrics_addr, &args.metrics_tls_dir) {
        (Some(address), Some(directory)) => {
            let slot = Arc::new(Slot::default());
            let config = server_config(Arc::clone(&slot), None).map_err(AdminError::Tls)?;
            let port = bind_port(address, Some(TlsAcceptor::from(Arc::new(config)))).await?;
            Some(MetricsPort { port, directory: directory.clone(), slot })
        }
        _ => None,
    };
    Ok(Bound { plain, metrics })
}

async fn bind_port(address: SocketAddr, tls: Option<TlsAcceptor>) -> Result<Port, AdminError> {
    let port = Port::bind(address, LIMITS, tls).await;
    port.map_err(|error| AdminError::Bind(address, error))
}

impl Bound {
    /// Returns the address of `/livez` and `/readyz`.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.plain.address
    }

    /// Returns the address of `/metrics` if it has a separate port.
    #[must_use]
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics.as_ref().map(|metrics| metrics.port.address)
    }

    /// Serves until the future is dropped. During shutdown the endpoints still respond, and
    /// `/readyz` reports the shutdown: run this as a companion
    /// ([`crate::supervise::Supervisor::spawn_companion`]).
    pub async fn serve(self, exposed: Exposed, shutdown: Shutdown) -> Result<(), Infallible> {
        let Exposed { readiness, registry, client, scrapes } = exposed;
        let Some(metrics) = self.metrics else {
            let health = endpoints::health(Status { readiness, shutdown });
            return Err(self.plain.serve(health.merge(endpoints::metrics(registry))).await);
        };
        let remark = readiness.remark("metrics certificate");
        let certificate =
            CertificateDirectory { path: metrics.directory, slot: metrics.slot, remark };
        let guarded = GuardedMetrics { registry, access: Access::new(client), scrapes };
        let health = endpoints::health(Status { readiness, shutdown });
        let (never, _, _) = tokio::join!(
            self.plain.serve(health.merge(endpoints::moved_metrics())),
            metrics.port.serve(endpoints::guarded_metrics(guarded)),
            certificate.run(),
        );
        Err(never)
    }
}

#[cfg(test)]
mod tests;
