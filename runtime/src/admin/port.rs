//! A port that serves a router, in plain text or over TLS.

use super::Limits;
use crate::chain::Chain;
use crate::connections::{
    Accepted, Connection, ConnectionMetrics, ConnectionTable, EVICTION_GRACE,
};
use crate::http1::{self, ConnectionError};
use crate::listener;
use axum::Router;
use axum::http::Request;
use axum::response::Response;
use hyper::body::Incoming;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tower::ServiceExt as _;

/// A bound socket with its limits and TLS settings.
pub(super) struct Port {
    listener: TcpListener,
    pub(super) address: SocketAddr,
    pub(super) limits: Limits,
    /// The TLS settings; none for plain text.
    tls: Option<TlsAcceptor>,
}

impl Port {
    pub(super) async fn bind(
        address: SocketAddr,
        limits: Limits,
        tls: Option<TlsAcceptor>,
    ) -> io::Result<Self> {
        let (listener, address) = listener::bind(address).await?;
        Ok(Self { listener, address, limits, tls })
    }

    /// Serves the router. Never returns.
    pub(super) async fn serve(self, router: Router) -> Infallible {
        let table = ConnectionTable::new(self.limits.connections, ConnectionMetrics::default());
        let mut open = JoinSet::new();
        loop {
            let accepted = table.accept_from(&self.listener).await;
            open.spawn(serve(accepted, self.tls.clone(), router.clone(), self.limits));
            while open.try_join_next().is_some() {}
        }
    }
}

async fn serve(accepted: Accepted, tls: Option<TlsAcceptor>, router: Router, limits: Limits) {
    let Accepted { stream, peer, connection } = accepted;
    let served = match tls {
        None => serve_requests(stream, &connection, router, limits).await,
        Some(tls) => match handshake(stream, &connection, &tls, limits).await {
            Some(stream) => serve_requests(stream, &connection, router, limits).await,
            None => return,
        },
    };
    if let Err(error) = served {
        tracing::debug!(error = %Chain(&error), %peer, "admin connection failed");
    }
}

/// Performs the TLS handshake. Returns nothing if it fails, times out or is evicted.
async fn handshake(
    stream: TcpStream,
    connection: &Connection,
    tls: &TlsAcceptor,
    limits: Limits,
) -> Option<TlsStream<TcpStream>> {
    let handshake = tokio::time::timeout(limits.http.timeouts.header, tls.accept(stream));
    tokio::select! {
        secured = handshake => secured.ok()?.ok(),
        _ = connection.evicted() => None,
    }
}

/// Serves a connection and promotes it at its first request.
async fn serve_requests(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    connection: &Connection,
    router: Router,
    limits: Limits,
) -> Result<(), ConnectionError> {
    let end = async {
        tokio::time::sleep(limits.age).await;
        EVICTION_GRACE
    };
    let respond = |request| {
        connection.promote();
        respond(router.clone(), request)
    };
    http1::serve(stream, connection, limits.http, end, respond).await
}

async fn respond(router: Router, request: Request<Incoming>) -> Response {
    match router.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}
