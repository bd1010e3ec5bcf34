//! An HTTP/1.1 server connection.

use crate::connections::Connection;
use crate::read_timeouts::{ReadTimeouts, TimedStream};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::error::Error;
use std::pin::pin;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};

/// The limits of what a peer may send.
#[derive(Clone, Copy, Debug)]
pub struct Http1Limits {
    /// The largest request header, in bytes.
    pub header_bytes: usize,
    /// The time limits.
    pub timeouts: ReadTimeouts,
}

/// Why a connection was not closed gracefully.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// The peer violated the protocol, exceeded a limit or closed the connection.
    #[error("the connection failed")]
    Failed(#[source] hyper::Error),
    /// The request in progress exceeded the grace period.
    #[error("the request in progress exceeded the grace period")]
    Unfinished,
}

/// Serves requests until the peer closes the connection, the connection is evicted, or `end`
/// completes. `end` returns the grace period of the request in progress.
pub async fn serve<I, F, B>(
    stream: I,
    connection: &Connection,
    limits: Http1Limits,
    end: impl Future<Output = Duration>,
    respond: impl Fn(Request<Incoming>) -> F,
) -> Result<(), ConnectionError>
where
    I: AsyncRead + AsyncWrite + Unpin,
    F: Future<Output = Response<B>>,
    B: Body + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let activity = connection.activity();
    let stream = TimedStream::new(stream, activity.clone(), limits.timeouts);
    let service = service_fn(|request| {
        activity.request_received();
        let response = respond(request);
        async move {
            let response = response.await;
            activity.response_made();
            Ok::<_, Infallible>(response)
        }
    });
    // The stream has the header timeout, because it distinguishes a header from the idle time
    // before.
    let serving = http1::Builder::new()
        .header_read_timeout(None)
        .max_buf_size(limits.header_bytes)
        .serve_connection(TokioIo::new(stream), service);
    let mut serving = pin!(serving);
    let end = async {
        tokio::select! {
            time_left = end => time_left,
            time_left = connection.evicted() => time_left,
        }
    };
    // A set polls its future only after a wakeup. A plain future would be polled, and take its
    // locks, at each byte that arrives.
    let mut ends: FuturesUnordered<_> = std::iter::once(end).collect();
    let time_left = tokio::select! {
        biased;
        result = serving.as_mut() => return result.map_err(ConnectionError::Failed),
        Some(time_left) = ends.next() => time_left,
    };
    serving.as_mut().graceful_shutdown();
    match tokio::time::timeout(time_left, serving).await {
        Ok(result) => result.map_err(ConnectionError::Failed),
        Err(_) => Err(ConnectionError::Unfinished),
    }
}
