//! One connection, from its handshake to its end. What it is asked is `http.rs`'s business.
//!
//! A connection ends by an answer that says so wherever that can be had. Closed while it is silent, it
//! may be closed under a request that is on its way, which is a failed call: a server of HTTP/1.1
//! has no other way to tell a client not to use it again.

use super::Counter;
use super::crowd::Guest;
use super::handshake::{self, Failure};
use super::http::Desk;
use super::pace::{Paced, Pacer};
use fastrak_runtime::shutdown::Shutdown;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use http::{HeaderValue, Request, Response, header};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

/// What connections share.
pub(super) struct House {
    pub(super) counter: Counter,
    /// Cancelled when nothing new is taken any more.
    pub(super) closing: CancellationToken,
    pub(super) shutdown: Shutdown,
}

/// A connection that was accepted.
pub(super) struct Visit {
    pub(super) stream: TcpStream,
    pub(super) peer: SocketAddr,
    pub(super) guest: Guest,
}

/// What a connection does around each request: it says what it is at, and closes when its end is near.
struct Manners {
    desk: Arc<Desk>,
    pacer: Pacer,
    shutdown: Shutdown,
    old: Instant,
}

/// The largest request header.
const HEADER_BYTES: usize = 32 * 1024;
/// What one that has to go may still take to be answered.
const FAREWELL: Duration = Duration::from_secs(1);

/// Attends to a connection until its end.
pub(super) async fn attend(visit: Visit, house: Arc<House>) {
    let Visit { stream, peer, guest } = visit;
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, %peer, "could not set TCP_NODELAY");
    }
    let metrics = &house.counter.metrics.serving;
    let secured = tokio::select! {
        secured = handshake::shake(stream, &house.counter) => secured,
        () = guest.has_to_go() => Err(Failure::evicted()),
    };
    match secured {
        Ok(stream) => {
            guest.sit();
            serve(stream, peer, &guest, &house).await;
        }
        Err(failure) => {
            metrics.count_failure(failure.cause);
            let Failure { cause, error } = failure;
            tracing::debug!(?cause, error = error.as_deref(), %peer, "no handshake");
        }
    }
}

async fn serve(stream: TlsStream<TcpStream>, peer: SocketAddr, guest: &Guest, house: &House) {
    let (limits, born) = (house.counter.limits, Instant::now());
    let manners = Arc::new(Manners {
        desk: Arc::clone(&house.counter.desk),
        pacer: guest.pacer().clone(),
        shutdown: house.shutdown.clone(),
        old: born + age(limits.age, peer),
    });
    let io = Paced::new(stream, guest.pacer().clone(), limits.header, limits.idle);
    let service = service_fn(move |request| {
        let manners = Arc::clone(&manners);
        async move { manners.answer(request).await }
    });
    // The pace of a header is kept by `Paced`, which tells it from the silence before it.
    let connection = http1::Builder::new()
        .header_read_timeout(None)
        .max_buf_size(HEADER_BYTES)
        .serve_connection(TokioIo::new(io), service);
    let mut connection = pin!(connection);
    let end = async {
        tokio::select! {
            () = house.closing.cancelled() => limits.finish,
            () = guest.has_to_go() => FAREWELL,
            // An answer would have closed it long ago: its peer reads none, or asks nothing.
            () = tokio::time::sleep_until(born + 2 * limits.age + limits.idle) => FAREWELL,
        }
    };
    // A set of one: it is looked at when something of it has happened, and not, with the three locks
    // that this takes, at every byte that comes.
    let mut ends: FuturesUnordered<_> = std::iter::once(end).collect();
    let patience = tokio::select! {
        biased;
        result = connection.as_mut() => {
            if let Err(error) = result {
                tracing::debug!(%error, %peer, "a connection ended");
            }
            return;
        }
        Some(patience) = ends.next() => patience,
    };
    connection.as_mut().graceful_shutdown();
    if tokio::time::timeout(patience, connection).await.is_err() {
        tracing::debug!(%peer, "a connection did not end in time");
    }
}

impl Manners {
    async fn answer(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        self.pacer.serving();
        let mut response = self.desk.answer(request).await;
        self.pacer.served();
        if self.shutdown.is_requested() || Instant::now() >= self.old {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
        }
        Ok(response)
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
