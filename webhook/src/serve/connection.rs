//! One connection, from its handshake to its end. What a request asks for is answered in `http.rs`.
//!
//! A connection ends by a response that says so, if there is one. Closed in silence, it may be closed
//! under a request that is on its way, which is a failed call: an HTTP/1.1 server has no other way
//! to tell a client not to use a connection again.

use super::Counter;
use super::handshake::{self, Failure};
use super::http::ReviewHandler;
use fastrak_runtime::chain::Chain;
use fastrak_runtime::connections::{Accepted, Connection, EVICTION_GRACE};
use fastrak_runtime::http1::{self, Http1Limits};
use fastrak_runtime::read_timeouts::ReadTimeouts;
use fastrak_runtime::shutdown::Shutdown;
use http::{HeaderValue, Request, Response, header};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

/// What all connections share.
pub(super) struct ServerState {
    pub(super) counter: Counter,
    /// Cancelled when no further connection is accepted.
    pub(super) closing: CancellationToken,
    pub(super) shutdown: Shutdown,
}

/// Answers the requests of one connection, and closes it when its end is near.
struct ConnectionService {
    desk: Arc<ReviewHandler>,
    shutdown: Shutdown,
    /// From here on each response closes the connection.
    closes_at: Instant,
}

/// The largest request header.
const HEADER_BYTES: usize = 32 * 1024;

/// Serves a connection until its end.
pub(super) async fn serve(accepted: Accepted, state: Arc<ServerState>) {
    let Accepted { stream, peer, connection } = accepted;
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, %peer, "could not set TCP_NODELAY");
    }
    let metrics = &state.counter.metrics.serving;
    let secured = tokio::select! {
        secured = handshake::shake(stream, &state.counter) => secured,
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
            tracing::debug!(?cause, error = error.as_deref(), %peer, "no handshake");
        }
    }
}

async fn serve_requests(
    stream: TlsStream<TcpStream>,
    peer: SocketAddr,
    connection: &Connection,
    state: &ServerState,
) {
    let (limits, born) = (state.counter.limits, Instant::now());
    let service = Arc::new(ConnectionService {
        desk: Arc::clone(&state.counter.desk),
        shutdown: state.shutdown.clone(),
        closes_at: born + age(limits.age, peer),
    });
    let end = async {
        tokio::select! {
            () = state.closing.cancelled() => limits.finish,
            // A response would have closed it long ago: its peer reads none, or asks nothing.
            () = tokio::time::sleep_until(born + 2 * limits.age + limits.idle) => EVICTION_GRACE,
        }
    };
    let timeouts = ReadTimeouts { header: limits.header, idle: limits.idle };
    let limits = Http1Limits { header_bytes: HEADER_BYTES, timeouts };
    let served = http1::serve(stream, connection, limits, end, |request| {
        let service = Arc::clone(&service);
        async move { service.answer(request).await }
    });
    if let Err(error) = served.await {
        tracing::debug!(error = %Chain(&error), %peer, "a connection ended");
    }
}

impl ConnectionService {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let mut response = self.desk.answer(request).await;
        if self.shutdown.is_requested() || Instant::now() >= self.closes_at {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
        }
        response
    }
}

/// The age at which a connection is closed. The peer's port, which its system chose at random,
/// keeps connections that were opened together from ending together.
fn age(least: Duration, peer: SocketAddr) -> Duration {
    least + least / 2 * u32::from(peer.port() % 64) / 64
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{IpAddr, Ipv4Addr};

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
