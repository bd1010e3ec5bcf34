//! The connection to the API server: one for each process, over HTTP/2, on which all requests and
//! watches are streams. kube's own builder offers the server HTTP/1.1 alone, with which each open
//! watch takes a connection of its own. A proxy of the environment is never used.

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

/// What sends a request and returns the answer.
pub(super) type Service =
    BoxCloneSyncService<http::Request<Body>, http::Response<hyper::body::Incoming>, BoxError>;

const CONNECT: Duration = Duration::from_secs(5);

/// A peer that vanished under a watch is noticed after the sum.
pub(super) const PINGS: Pings =
    Pings { interval: Duration::from_secs(30), timeout: Duration::from_secs(10) };

/// The same for a server that speaks HTTP/1.1 alone. The server ends a watch after at most 290 s
/// (`watch` asks for that and gives up 5 s later), so this never cuts a healthy one.
const SILENCE: Duration = Duration::from_secs(330);

/// What the server may send before somebody reads it, on a stream and on all of them. A watch that is
/// not read for a while, because the objects before are still worked on, must not stop the others.
const STREAM_WINDOW: u32 = 64 << 10;
const CONNECTION_WINDOW: u32 = 1 << 20;

/// How often a connection with open streams is asked for a sign of life, and how long the answer may
/// take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pings {
    interval: Duration,
    timeout: Duration,
}

/// The service for a configuration. Nothing is sent yet.
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
    connector.set_read_timeout(Some(SILENCE));
    // Without this, the time that a pooled connection lay idle counts as silence.
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
