//! Timeouts of requests to the API server. The duration of a watch is not limited: the server ends
//! a watch, and the `watch` module detects a dead one.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response, header};
use hyper::body::{Body, Frame};
use kube::client::Body as Sent;
use tokio::time::{Instant, Sleep};
use tower::{Layer, Service};

type BoxError = Box<dyn Error + Send + Sync>;

/// The layer that wraps the service of a client in a [`Limited`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    pub(crate) limit: Duration,
}

/// A service whose requests fail if a response takes longer than the limit.
#[derive(Debug)]
pub(crate) struct Limited<S> {
    inner: S,
    limit: Duration,
}

/// A body that fails if the next frame takes longer than the limit.
#[derive(Debug)]
pub(crate) struct LimitedBody<B> {
    inner: B,
    /// The limit with its timer, if there is a limit.
    limit: Option<(Duration, Pin<Box<Sleep>>)>,
}

/// A response or a part of it did not arrive in time.
#[derive(Debug, thiserror::Error)]
#[error("the API server sent no {what} within {limit:?}: {request}")]
pub(crate) struct TimedOut {
    what: &'static str,
    limit: Duration,
    request: String,
}

impl<S> Layer<S> for Deadline {
    type Service = Limited<S>;

    fn layer(&self, inner: S) -> Limited<S> {
        Limited { inner, limit: self.limit }
    }
}

impl<S, B> Service<Request<Sent>> for Limited<S>
where
    S: Service<Request<Sent>, Response = Response<B>, Error = BoxError>,
    S::Future: Send + 'static,
{
    type Response = Response<LimitedBody<B>>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Sent>) -> Self::Future {
        let limit = self.limit;
        let body_limit = (!is_stream(&request)).then_some(limit);
        let named = format!("{} {}", request.method(), request.uri().path());
        let response = self.inner.call(request);
        Box::pin(async move {
            let late = |_| TimedOut { what: "response", limit, request: named };
            let response = tokio::time::timeout(limit, response).await.map_err(late)??;
            let limit = body_limit.map(|limit| (limit, Box::pin(tokio::time::sleep(limit))));
            Ok(response.map(|inner| LimitedBody { inner, limit }))
        })
    }
}

impl<B> Body for LimitedBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.inner).poll_frame(cx);
        let Some((limit, timer)) = &mut this.limit else {
            return polled.map_err(Into::into);
        };
        if polled.is_ready() {
            timer.as_mut().reset(Instant::now() + *limit);
            return polled.map_err(Into::into);
        }
        ready!(timer.as_mut().poll(cx));
        let request = "the rest of a body".to_owned();
        let late = TimedOut { what: "data", limit: *limit, request };
        Poll::Ready(Some(Err(late.into())))
    }
}

/// Returns whether the response to `request` is an unlimited stream.
fn is_stream(request: &Request<Sent>) -> bool {
    let query = request.uri().query().unwrap_or_default();
    let endless =
        |pair: &str| matches!(pair, "watch=1" | "watch=true" | "follow=true" | "follow=1");
    query.split('&').any(endless) || request.headers().contains_key(header::UPGRADE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_watches_followed_logs_and_upgrades_are_streams() {
        let streams = |uri: &str| is_stream(&Request::get(uri).body(Sent::empty()).unwrap());
        assert!(streams("/api/v1/pods?watch=true"));
        assert!(streams("/api/v1/pods?&watch=1&timeoutSeconds=290"));
        assert!(streams("/api/v1/namespaces/a/pods/b/log?follow=true"));
        assert!(!streams("/api/v1/pods?watch=false"));
        assert!(!streams("/api/v1/pods?fieldSelector=watch%3Dtrue"));
        assert!(!streams("/api/v1/pods"));
        let upgrade = Request::get("/exec").header("Upgrade", "websocket");
        assert!(is_stream(&upgrade.body(Sent::empty()).unwrap()));
    }
}
