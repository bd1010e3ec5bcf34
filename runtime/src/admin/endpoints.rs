//! The paths of the admin port and of the metrics port.

use super::METRICS_PATH;
use super::access::{Access, Denied};
use super::scrapes::{self, ScrapeMetrics};
use crate::chain::Chain;
use crate::ready::{Readiness, State};
use crate::shutdown::Shutdown;
use axum::Router;
use axum::extract::State as Shared;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use std::sync::Arc;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The data of `/readyz`.
pub(super) struct Status {
    pub(super) readiness: Readiness,
    pub(super) shutdown: Shutdown,
}

/// The metrics and the access check of the metrics port.
pub(super) struct GuardedMetrics {
    pub(super) registry: Registry,
    pub(super) access: Access,
    pub(super) scrapes: ScrapeMetrics,
}

/// Routes `/livez` and `/readyz`.
pub(super) fn health(status: Status) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok" }))
        .route("/readyz", get(readyz))
        .with_state(Arc::new(status))
}

/// Routes `/metrics` without an access check.
pub(super) fn metrics(registry: Registry) -> Router {
    let handler = async |Shared(registry): Shared<Arc<Registry>>| encoded(&registry);
    Router::new().route(METRICS_PATH, get(handler)).with_state(Arc::new(registry))
}

/// Routes `/metrics` with an access check.
pub(super) fn guarded_metrics(guarded: GuardedMetrics) -> Router {
    Router::new().route(METRICS_PATH, get(guarded_scrape)).with_state(Arc::new(guarded))
}

/// Routes `/metrics` of the plain port to a message that refers to the metrics port.
pub(super) fn moved_metrics() -> Router {
    let text = "/metrics is served over TLS at --metrics-addr, for clients that may get /metrics\n";
    Router::new().route(METRICS_PATH, get(async move || (StatusCode::NOT_FOUND, text)))
}

async fn readyz(Shared(status): Shared<Arc<Status>>) -> Response {
    let ending = status.shutdown.is_requested();
    let parts = status.readiness.snapshot();
    let ready = !ending && parts.iter().all(|(_, state)| *state == State::Ready);
    let mut body: String = parts.iter().map(line).collect();
    let remarks = status.readiness.remarks();
    body.extend(remarks.iter().map(|(name, text)| format!("[!] {name}: {text}\n")));
    if ending {
        body.push_str("[-] shutting down\n");
    }
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, body).into_response()
}

fn line((name, state): &(&'static str, State)) -> String {
    match state {
        State::Ready => format!("[+] {name}: ready\n"),
        State::Waiting { reason } => format!("[-] {name}: {reason}\n"),
    }
}

async fn guarded_scrape(
    Shared(guarded): Shared<Arc<GuardedMetrics>>,
    headers: HeaderMap,
) -> Response {
    let checked = guarded.access.check(&headers).await;
    let outcome = scrapes::outcome(&checked);
    guarded.scrapes.get_or_create(&[("outcome", outcome)]).inc();
    match checked {
        Ok(()) => encoded(&guarded.registry),
        Err(denied) => refusal(&denied),
    }
}

fn refusal(denied: &Denied) -> Response {
    tracing::debug!(error = %Chain(denied), "refused a scrape");
    let mut response = (denied.status(), format!("{denied}\n")).into_response();
    if denied.status() == StatusCode::UNAUTHORIZED {
        let bearer = HeaderValue::from_static("Bearer");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, bearer);
    }
    response
}

fn encoded(registry: &Registry) -> Response {
    let mut text = String::new();
    match encode(&mut text, registry) {
        Ok(()) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "could not encode the metrics");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
