//! A connection, from its handshake to its end. `http.rs` handles the requests.
//!
//! A connection is closed by a response with `Connection: close`, if there is one. Otherwise a
//! request may be sent while it is closed, and fails: HTTP/1.1 has no other way to announce the
//! end.

use super::ConnectionContext;
use super::handshake::{self, Failure};
use fastrak_runtime::chain::Chain;
use fastrak_runtime::connections::{Accepted, Connection, EVICTION_GRACE};
use fastrak_runtime::http1::{self, Http1Limits};
use fastrak_runtime::read_timeouts::ReadTimeouts;
use fastrak_runtime::shutdown::Shutdown;
use http::{HeaderValue, header};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

/// The state that all connections share.
pub(super) struct ServerState {
    pub(super) context: ConnectionContext,
    /// Cancelled when the server stops accepting connections.
    pub(super) closing: CancellationToken,
    pub(super) shutdown: Shutdown,
}

/// The maximum size of a request header.
const HEADER_BYTES: usize = 32 * 1024;

/// Serves a connection until its end.
pub(super) async fn serve(accepted: Accepted, state: Arc<ServerState>) {
    let Accepted { stream, peer, connection } = accepted;
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, %peer, "could not set TCP_NODELAY");
    }
    let metrics = &state.context.metrics;
    let secured = tokio::select! {
        secured = handshake::accept(stream, &state.context) => secured,
        _ = connection.evicted() => Err(Failure::evicted()),
    };
    match secured {
        Ok(stream) => {
            connection.promote();
            serve_requests(stream, peer, &connection, &state).await;
        }
        Err(failure) => {
            metrics.count_failure(failure.cause);
            let Failure { cause, error } = failure;
            tracing::debug!(?cause, error = error.as_deref(), %peer, "the handshake failed");
        }
    }
}

async fn serve_requests(
    stream: TlsStream<TcpStream>,
    peer: SocketAddr,
    connection: &Connection,
    state: &ServerState,
) {
    let (limits, start) = (state.context.limits, Instant::now());
    // A response closes the connection during a drain and when it is too old.
    let closes_at = start + age(limits.age, peer);
    let end = async {
        tokio::select! {
            () = state.closing.cancelled() => limits.finish,
            // A response would have closed it: the peer reads none, or sends no request.
            () = tokio::time::sleep_until(start + 2 * limits.age + limits.idle) => EVICTION_GRACE,
        }
    };
    let timeouts = ReadTimeouts { header: limits.header, idle: limits.idle };
    let limits = Http1Limits { header_bytes: HEADER_BYTES, timeouts };
    let served = http1::serve(stream, connection, limits, end, |request| async move {
        let mut response = state.context.handler.answer(request).await;
        if state.shutdown.is_requested() || Instant::now() >= closes_at {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
        }
        response
    });
    if let Err(error) = served.await {
        tracing::debug!(error = %Chain(&error), %peer, "the connection was interrupted");
    }
}

/// Returns the age at which a connection is closed. It depends on the peer's port, which is random,
/// so connections that were opened together are not closed together.
fn age(least: Duration, peer: SocketAddr) -> Duration {
    least + least / 2 * u32::from(peer.port() % 64) / 64
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{IpAddr, Ipv4Addr};

    #[test]
    fn connections_opened_together_are_not_closed_together() {
        let least = Duration::from_secs(600);
        let ages: Vec<_> = (40_000..40_064)
            .map(|port| age(least, SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)))
            .collect();
        assert!(ages.iter().all(|age| (least..least + least / 2).contains(age)));
        let distinct: std::collections::HashSet<_> = ages.iter().collect();
        assert_eq!(distinct.len(), ages.len());
    }
}
