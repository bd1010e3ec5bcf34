//! Requests: which are taken, how long they may take, and the statuses of those that are not
//! reviews. The answer to a review is made in `review.rs`.
//!
//! There are two paths and one method, so nothing is routed: what a router does for each request is
//! a part of what a review costs, and the API server waits for it.

use super::body::{self, BodyError, Budget};
use crate::metrics::Metrics;
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

pub use super::body::LARGEST;

/// What answering needs.
#[derive(Debug)]
pub struct ReviewHandler {
    snapshot: Arc<ArcSwapOption<Snapshot>>,
    settings: Settings,
    metrics: Arc<Metrics>,
    limit: Duration,
    turns: Semaphore,
    budget: Budget,
}

/// How much may be asked at a time.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    /// How long a request may take, where the API server asks for no less.
    pub request: Duration,
    /// How many reviews may be decided at a time.
    pub in_flight: usize,
}

/// Why a request is not answered as a review.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error(
        "there is nothing here; reviews are taken at {} and {}",
        names::CLAIMS_PATH,
        names::SERVICES_PATH
    )]
    Path,
    #[error("the method must be POST")]
    Method,
    #[error("the content type must be application/json")]
    ContentType,
    #[error("the body did not come in time")]
    TooSlow,
    #[error("{0}")]
    Body(BodyError),
    #[error("{0}")]
    NotAReview(NotAReview),
}

/// The API server rounds the time that it has left up to whole seconds.
const ROUNDING: Duration = Duration::from_secs(1);

impl ReviewHandler {
    /// Answers by these snapshot; none are known before the first lists are complete.
    #[must_use]
    pub fn new(
        snapshot: Arc<ArcSwapOption<Snapshot>>,
        settings: Settings,
        metrics: &Arc<Metrics>,
        allowance: Allowance,
    ) -> Self {
        let Allowance { request: limit, in_flight } = allowance;
        let turns = Semaphore::new(in_flight.min(Semaphore::MAX_PERMITS));
        let metrics = Arc::clone(metrics);
        Self { snapshot, settings, metrics, limit, turns, budget: Budget::default() }
    }

    /// Answers a request.
    pub(super) async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let subject = match request.uri().path() {
            names::CLAIMS_PATH => Subject::Claims,
            names::SERVICES_PATH => Subject::Services,
            _ => return Refusal::Path.response(),
        };
        if request.method() != Method::POST {
            return Refusal::Method.response();
        }
        let timed = self.metrics.time(subject);
        match self.reviewed(subject, request, timed.start().into()).await {
            Ok(answer) => {
                self.metrics.count(subject, answer.effect, answer.reason);
                let mut response = Response::new(Full::new(Bytes::from(answer.body)));
                let json = HeaderValue::from_static("application/json");
                response.headers_mut().insert(header::CONTENT_TYPE, json);
                response
            }
            Err(refusal) => {
                self.metrics.count(subject, Effect::Rejected, Reason::NotAReview);
                tracing::debug!(%refusal, "a request was refused");
                refusal.response()
            }
        }
    }

    async fn reviewed(
        &self,
        subject: Subject,
        request: Request<Incoming>,
        start: Instant,
    ) -> Result<Answer, Refusal> {
        if !is_json(request.headers()) {
            return Err(Refusal::ContentType);
        }
        let asked = asked_limit(request.uri()).map_or(self.limit, |asked| asked.min(self.limit));
        let mut receiving = pin!(body::receive(request, &self.budget));
        // Most bodies come with their header, and want no timer.
        let received = match futures::poll!(receiving.as_mut()) {
            Poll::Ready(received) => Some(received),
            Poll::Pending => tokio::time::timeout_at(start + asked, receiving).await.ok(),
        };
        let received = received.ok_or(Refusal::TooSlow)?.map_err(Refusal::Body)?;
        let answered = match self.turn(start + patience(asked)).await {
            Some(_turn) => {
                let snapshot = self.snapshot.load();
                answer(received.bytes(), subject, snapshot.as_deref(), self.settings)
            }
            None => {
                self.metrics.serving.reviews_shed.inc();
                shed(received.bytes())
            }
        };
        answered.map_err(Refusal::NotAReview)
    }

    /// A turn to decide, unless it comes too late to be of use.
    async fn turn(&self, deadline: Instant) -> Option<SemaphorePermit<'_>> {
        let turn = match self.turns.try_acquire() {
            Ok(turn) => turn,
            Err(_) => tokio::time::timeout_at(deadline, self.turns.acquire()).await.ok()?.ok()?,
        };
        (Instant::now() < deadline).then_some(turn)
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

/// The time that the API server says it has left, in its query `timeout=2s`.
fn asked_limit(uri: &Uri) -> Option<Duration> {
    let mut pairs = uri.query()?.split('&').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(key, _)| *key == "timeout")?;
    let seconds: u16 = value.strip_suffix('s')?.parse().ok()?;
    (seconds > 0).then(|| Duration::from_secs(seconds.into()))
}

/// How long to wait for a turn, so that the answer still comes in time to be heard.
fn patience(asked: Duration) -> Duration {
    asked - ROUNDING.min(asked / 2)
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
    fn a_turn_is_waited_for_no_longer_than_the_api_server_surely_waits() {
        for (asked, waited) in [(1.0, 0.5), (2.0, 1.0), (10.0, 9.0), (0.1, 0.05)] {
            let asked = Duration::from_secs_f64(asked);
            assert_eq!(patience(asked), Duration::from_secs_f64(waited), "{asked:?}");
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
