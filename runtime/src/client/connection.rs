//! The connection to the API server. A process has one HTTP/2 connection, and all requests and
//! watches are streams on it. kube's own builder offers only HTTP/1.1, which needs a connection for
//! each watch. Proxies in the environment are ignored.

use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::retry::RetryPolicy;
use kube::client::{Body, ConfigExt as _, RustlsTlsError};
use kube::{Config, Error};
use std::time::Duration;
use tower::retry::RetryLayer;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceBuilder};

/// The service that sends requests.
pub(super) type Service =
    BoxCloneSyncService<http::Request<Body>, http::Response<hyper::body::Incoming>, BoxError>;

const CONNECT: Duration = Duration::from_secs(5);

/// The read timeout, which detects a vanished peer that supports only HTTP/1.1. A server ends a
/// watch after at most 290 s (`watch` requests that and waits 5 s longer), so healthy watches do
/// not time out.
const READ_TIMEOUT: Duration = Duration::from_secs(330);

/// The flow control windows of a stream and of the connection. A watch that is not read for a
/// while, because earlier objects are still being processed, must not block the others.
const STREAM_WINDOW: u32 = 64 << 10;
const CONNECTION_WINDOW: u32 = 1 << 20;

/// The HTTP/2 pings on a connection with open streams. A vanished peer is detected after the sum of
/// both times.
#[derive(Clone, Copy, Debug)]
pub struct Pings {
    /// The time between two pings.
    pub interval: Duration,
    /// The time in which the peer must answer.
    pub timeout: Duration,
}

impl Default for Pings {
    /// Returns the pings of a process for which a minute does not matter.
    fn default() -> Self {
        Self { interval: Duration::from_secs(30), timeout: Duration::from_secs(10) }
    }
}

/// Returns the service for a configuration. Sends no request.
pub(super) fn service(config: &Config, pings: Pings) -> Result<Service, Error> {
    let client = client(config, pings)?;
    let retry = config.default_retry.then(|| RetryLayer::new(RetryPolicy::server_retry()));
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(retry)
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(client);
    Ok(BoxCloneSyncService::new(service))
}

type Connector = TimeoutConnector<HttpsConnector<HttpConnector>>;

fn client(config: &Config, pings: Pings) -> Result<Client<Connector, Body>, Error> {
    let mut connector = TimeoutConnector::new(https(config)?);
    connector.set_connect_timeout(Some(CONNECT));
    connector.set_read_timeout(Some(READ_TIMEOUT));
    // Otherwise the idle time of a pooled connection counts towards the timeout.
    connector.set_reset_reader_on_write(true);
    Ok(Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .http2_keep_alive_interval(pings.interval)
        .http2_keep_alive_timeout(pings.timeout)
        .http2_initial_stream_window_size(STREAM_WINDOW)
        .http2_initial_connection_window_size(CONNECTION_WINDOW)
        .build(connector))
}

fn https(config: &Config) -> Result<HttpsConnector<HttpConnector>, Error> {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    let tls = config.rustls_client_config()?;
    let mut builder = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
    if let Some(name) = &config.tls_server_name {
        let invalid = |error| Error::RustlsTls(RustlsTlsError::InvalidServerName(error));
        let name = name.clone().try_into().map_err(invalid)?;
        builder = builder.with_server_name_resolver(FixedServerNameResolver::new(name));
    }
    Ok(builder.enable_http1().enable_http2().wrap_connector(connector))
}

#[cfg(test)]
mod tests;
