//! Requests: which are taken, how much of them is read, and the statuses of those that are not
//! reviews. The answer to a review is made in `review.rs`.

use super::pace::Pacer;
use crate::facts::Facts;
use crate::metrics::Metrics;
use crate::mutate::service::Settings;
use crate::review::{Effect, Subject, answer};
use crate::verdict::Reason;
use arc_swap::ArcSwapOption;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use fastrak_api::names;
use fastrak_runtime::shutdown::Shutdown;
use futures::future::BoxFuture;
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::BodyExt as _;
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::Service;

/// The largest body. The API server takes objects of up to 3 MiB, and a review holds two.
pub const LARGEST: usize = 7 * 1024 * 1024;
/// The bodies that may be in memory at a time, in bytes.
const BUDGET: usize = 4 * LARGEST;

/// What answering needs.
#[derive(Debug)]
pub struct Desk {
    /// What is known of the cluster; none before the first lists are complete.
    pub facts: Arc<ArcSwapOption<Facts>>,
    /// What the operator has configured.
    pub settings: Settings,
    /// What is measured.
    pub metrics: Arc<Metrics>,
    /// How long a request may take.
    pub limit: Duration,
}

/// Why a request is not answered as a review.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("the content type must be application/json")]
    ContentType,
    #[error("the body is larger than {LARGEST} bytes")]
    TooLarge,
    #[error("the body did not come in time")]
    TooSlow,
    #[error("too many bodies at a time")]
    Busy,
    #[error("the body could not be read: {0}")]
    Broken(axum::Error),
    #[error("{0}")]
    NotAReview(#[from] crate::review::NotAReview),
}

/// A body, and the memory that it takes of the budget.
struct Received {
    bytes: Vec<u8>,
    _budget: Option<OwnedSemaphorePermit>,
}

/// The routes.
pub fn router(desk: Desk) -> Router {
    let shared = (Arc::new(desk), Arc::new(Semaphore::new(BUDGET)));
    let handler = |subject| {
        post(move |State((desk, budget)), request| handle(subject, desk, budget, request))
    };
    Router::new()
        .route(names::CLAIMS_PATH, handler(Subject::Claims))
        .route(names::SERVICES_PATH, handler(Subject::Services))
        .with_state(shared)
}

async fn handle(
    subject: Subject,
    desk: Arc<Desk>,
    budget: Arc<Semaphore>,
    request: Request<Body>,
) -> Response {
    let _timed = desk.metrics.time(subject);
    let limit = asked_limit(request.uri()).map_or(desk.limit, |asked| asked.min(desk.limit));
    let answered = match tokio::time::timeout(limit, receive(request, budget)).await {
        Err(_) => Err(Refusal::TooSlow),
        Ok(received) => received.and_then(|received| {
            let facts = desk.facts.load();
            Ok(answer(&received.bytes, subject, facts.as_deref(), desk.settings)?)
        }),
    };
    match answered {
        Ok(answer) => {
            desk.metrics.count(subject, answer.effect, answer.reason);
            ([(header::CONTENT_TYPE, "application/json")], answer.body).into_response()
        }
        Err(refusal) => {
            desk.metrics.count(subject, Effect::Rejected, Reason::NotAReview);
            tracing::debug!(%refusal, "a request was refused");
            (refusal.status(), format!("{refusal}\n")).into_response()
        }
    }
}

async fn receive(request: Request<Body>, budget: Arc<Semaphore>) -> Result<Received, Refusal> {
    if !is_json(request.headers()) {
        return Err(Refusal::ContentType);
    }
    if announced(request.headers()).is_some_and(|length| length > LARGEST) {
        return Err(Refusal::TooLarge);
    }
    let mut body = request.into_body();
    let mut received = Received { bytes: Vec::new(), _budget: None };
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(Refusal::Broken)?.into_data() else { continue };
        received.take(&data, &budget)?;
    }
    Ok(received)
}

impl Received {
    /// Memory is taken from the budget as bytes come, and not as they are announced: to announce
    /// much costs a peer nothing.
    fn take(&mut self, data: &Bytes, budget: &Arc<Semaphore>) -> Result<(), Refusal> {
        if self.bytes.len() + data.len() > LARGEST {
            return Err(Refusal::TooLarge);
        }
        let count = u32::try_from(data.len()).map_err(|_| Refusal::TooLarge)?;
        let more = Arc::clone(budget).try_acquire_many_owned(count).map_err(|_| Refusal::Busy)?;
        match &mut self._budget {
            Some(held) => held.merge(more),
            None => self._budget = Some(more),
        }
        self.bytes.extend_from_slice(data);
        Ok(())
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media = value.unwrap_or_default().split(';').next().unwrap_or_default();
    media.trim().eq_ignore_ascii_case("application/json")
}

fn announced(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The time that the API server says it has left, in its query `timeout=2s`.
fn asked_limit(uri: &Uri) -> Option<Duration> {
    let pairs = uri.query()?.split('&').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.into_iter().find(|(key, _)| *key == "timeout")?;
    let seconds: u16 = value.strip_suffix('s')?.parse().ok()?;
    (seconds > 0).then(|| Duration::from_secs(seconds.into()))
}

impl Refusal {
    const fn status(&self) -> StatusCode {
        match self {
            Self::ContentType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::Broken(_) | Self::NotAReview(_) => StatusCode::BAD_REQUEST,
        }
    }
}

/// What a connection does around each request: it says what it is at, and closes when the end
/// is near.
#[derive(Clone)]
pub(super) struct Manners<S> {
    pub(super) inner: S,
    pub(super) pacer: Pacer,
    pub(super) shutdown: Shutdown,
}

impl<S, B> Service<Request<B>> for Manners<S>
where
    S: Service<Request<B>, Response = Response, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.pacer.serving();
        let (pacer, shutdown) = (self.pacer.clone(), self.shutdown.clone());
        let answer = self.inner.call(request);
        Box::pin(async move {
            let mut response = answer.await?;
            pacer.served();
            if shutdown.is_requested() {
                response
                    .headers_mut()
                    .insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(response)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_deadline_is_read_from_its_query() {
        for (query, seconds) in [
            ("?timeout=2s", Some(2)),
            ("?a=b&timeout=30s", Some(30)),
            ("?timeout=0s", None),
            ("?timeout=2", None),
            ("?timeout=-1s", None),
            ("?timeout=99999999s", None),
            ("?timeout", None),
            ("", None),
        ] {
            let uri: Uri = format!("/claims{query}").parse().unwrap();
            assert_eq!(asked_limit(&uri), seconds.map(Duration::from_secs), "{query}");
        }
    }

    #[test]
    fn json_is_known_by_its_media_type() {
        for (value, json) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("text/json", false),
            ("application/jsonp", false),
            ("", false),
        ] {
            let headers = [(header::CONTENT_TYPE, HeaderValue::from_str(value).unwrap())];
            assert_eq!(is_json(&headers.into_iter().collect()), json, "{value}");
        }
        assert!(!is_json(&HeaderMap::new()));
    }
}
