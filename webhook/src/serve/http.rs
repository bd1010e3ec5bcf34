//! The handling of requests: paths, deadlines, and the HTTP status of a request that is not a
//! review. `fastrak_admission::review` decides about reviews.
//!
//! There is no router. There are two paths and one method, and the API server would wait for the
//! router in each review.

use super::body::{self, BodyError, Budget};
use super::metrics::ServeMetrics;
use arc_swap::ArcSwapOption;
use fastrak_admission::mutate::service::Settings;
use fastrak_admission::review::{Answer, Effect, NotAReview, Subject, answer, shed};
use fastrak_admission::snapshot::Snapshot;
use fastrak_admission::verdict::Reason;
use fastrak_api::names;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

pub use super::body::MAX_BODY;

/// The handler of review requests.
#[derive(Debug)]
pub struct ReviewHandler {
    snapshot: Arc<ArcSwapOption<Snapshot>>,
    settings: Settings,
    metrics: ServeMetrics,
    timeout: Duration,
    permits: Semaphore,
    budget: Budget,
}

/// The limits of requests.
#[derive(Clone, Copy, Debug)]
pub struct RequestLimits {
    /// The maximum duration of a request. The API server may request less.
    pub request: Duration,
    /// The number of reviews that are decided concurrently.
    pub in_flight: usize,
}

/// Why a request is rejected.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error(
        "unknown path; reviews are served at {} and {}",
        names::CLAIMS_PATH,
        names::SERVICES_PATH
    )]
    Path,
    #[error("the method must be POST")]
    Method,
    #[error("the content type must be application/json")]
    ContentType,
    #[error("the request body was not received in time")]
    TooSlow,
    #[error("{0}")]
    Body(BodyError),
    #[error("{0}")]
    NotAReview(NotAReview),
}

/// The API server rounds its remaining time up to whole seconds.
const ROUNDING: Duration = Duration::from_secs(1);

impl ReviewHandler {
    /// Returns a handler that decides by the latest snapshot. There is none before the first lists
    /// are complete.
    #[must_use]
    pub fn new(
        snapshot: Arc<ArcSwapOption<Snapshot>>,
        settings: Settings,
        metrics: ServeMetrics,
        limits: RequestLimits,
    ) -> Self {
        let RequestLimits { request: timeout, in_flight } = limits;
        let permits = Semaphore::new(in_flight.min(Semaphore::MAX_PERMITS));
        Self { snapshot, settings, metrics, timeout, permits, budget: Budget::default() }
    }

    /// Returns the metrics.
    pub(super) const fn metrics(&self) -> &ServeMetrics {
        &self.metrics
    }

    /// Handles a request.
    pub(super) async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let subject = match request.uri().path() {
            names::CLAIMS_PATH => Subject::Claims,
            names::SERVICES_PATH => Subject::Services,
            _ => return Refusal::Path.response(),
        };
        if request.method() != Method::POST {
            return Refusal::Method.response();
        }
        let timer = self.metrics.start_review(subject);
        match self.review(subject, request, timer.start().into()).await {
            Ok(answer) => {
                self.metrics.count_review(subject, answer.effect, answer.reason);
                let mut response = Response::new(Full::new(Bytes::from(answer.body)));
                let json = HeaderValue::from_static("application/json");
                response.headers_mut().insert(header::CONTENT_TYPE, json);
                response
            }
            Err(refusal) => {
                self.metrics.count_review(subject, Effect::Rejected, Reason::NotAReview);
                tracing::debug!(%refusal, "rejected a request");
                refusal.response()
            }
        }
    }

    async fn review(
        &self,
        subject: Subject,
        request: Request<Incoming>,
        start: Instant,
    ) -> Result<Answer, Refusal> {
        if !is_json(request.headers()) {
            return Err(Refusal::ContentType);
        }
        let timeout = requested_timeout(request.uri());
        let timeout = timeout.map_or(self.timeout, |timeout| timeout.min(self.timeout));
        let mut receiving = pin!(body::receive(request, &self.budget));
        // Most bodies arrive with their header and need no timer.
        let received = match futures::poll!(receiving.as_mut()) {
            Poll::Ready(received) => Some(received),
            Poll::Pending => tokio::time::timeout_at(start + timeout, receiving).await.ok(),
        };
        let received = received.ok_or(Refusal::TooSlow)?.map_err(Refusal::Body)?;
        let answered = match self.permit(start + queue_time(timeout)).await {
            Some(_permit) => {
                let snapshot = self.snapshot.load();
                answer(received.bytes(), subject, snapshot.as_deref(), self.settings)
            }
            None => {
                self.metrics.reviews_shed.inc();
                shed(received.bytes())
            }
        };
        answered.map_err(Refusal::NotAReview)
    }

    /// Waits for a permit to decide. Returns `None` after the deadline.
    async fn permit(&self, deadline: Instant) -> Option<SemaphorePermit<'_>> {
        let permit = match self.permits.try_acquire() {
            Ok(permit) => permit,
            Err(_) => tokio::time::timeout_at(deadline, self.permits.acquire()).await.ok()?.ok()?,
        };
        (Instant::now() < deadline).then_some(permit)
    }
}

impl Refusal {
    const fn status(&self) -> StatusCode {
        match self {
            Self::Path => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::ContentType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Body(BodyError::TooLarge) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Body(BodyError::Busy) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Body(BodyError::Broken(_)) | Self::NotAReview(_) => StatusCode::BAD_REQUEST,
        }
    }

    fn response(&self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(Bytes::from(format!("{self}\n"))));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        if matches!(self, Self::Method) {
            headers.insert(header::ALLOW, HeaderValue::from_static("POST"));
        }
        response
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media = value.unwrap_or_default().split(';').next().unwrap_or_default();
    media.trim().eq_ignore_ascii_case("application/json")
}

/// Returns the remaining time of the API server, from its query `timeout=2s`.
fn requested_timeout(uri: &Uri) -> Option<Duration> {
    let mut pairs = uri.query()?.split('&').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(key, _)| *key == "timeout")?;
    let seconds: u16 = value.strip_suffix('s')?.parse().ok()?;
    (seconds > 0).then(|| Duration::from_secs(seconds.into()))
}

/// Returns how long a review may wait for a permit and still be answered in time.
fn queue_time(timeout: Duration) -> Duration {
    timeout - ROUNDING.min(timeout / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_timeout_of_the_api_server_is_read_from_the_query() {
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
            assert_eq!(requested_timeout(&uri), seconds.map(Duration::from_secs), "{query}");
        }
    }

    #[test]
    fn a_review_is_queued_no_longer_than_the_api_server_waits_for_certain() {
        for (timeout, queued) in [(1.0, 0.5), (2.0, 1.0), (10.0, 9.0), (0.1, 0.05)] {
            let timeout = Duration::from_secs_f64(timeout);
            assert_eq!(queue_time(timeout), Duration::from_secs_f64(queued), "{timeout:?}");
        }
    }

    #[test]
    fn json_is_recognised_by_its_media_type() {
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
