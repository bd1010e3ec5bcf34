//! HTTP/1.1 on one connection, from its first byte to its end.

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

/// Why a connection ended otherwise than in order.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// The peer broke the protocol, a limit or the connection.
    #[error("the connection failed")]
    Failed(#[source] hyper::Error),
    /// The request in progress took longer than the time that was left.
    #[error("the connection did not end in time")]
    Unfinished,
}

/// Serves requests until the peer closes the connection, it is evicted, or `end` completes with the
/// time that the request in progress may still take.
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
    // Headers are timed by the stream, which tells them from the silence before them.
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
    // A set of one is polled when something happened to it, and not, with the locks that this takes,
    // at each byte that arrives.
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
