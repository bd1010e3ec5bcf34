use super::*;
use crate::client::from_kubeconfig_text;
use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Node;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;

const DEADLINE: Duration = Duration::from_secs(30);
/// How many objects there are, and how many bytes the largest have.
const OBJECTS: usize = 40;
const LARGE: usize = 2 << 20;

/// An API server in miniature, which has some objects and then a change of the first.
#[derive(Clone, Default)]
struct Server {
    refuses: bool,
    limits: Arc<Mutex<Vec<usize>>>,
}

fn object(number: usize) -> Value {
    let ballast = if (10..13).contains(&number) { "x".repeat(LARGE) } else { String::new() };
    let version = number.to_string();
    json!({"metadata": {"name": format!("n{number:02}"), "resourceVersion": version}, "x": ballast})
}

fn line(kind: &str, object: &Value) -> String {
    format!("{}\n", json!({"type": kind, "object": object}))
}

async fn answer(
    State(server): State<Server>,
    Query(query): Query<HashMap<String, String>>,
) -> impl IntoResponse {
    let changed = json!({"metadata": {"name": "n00", "resourceVersion": "101"}});
    let change = line("MODIFIED", &changed) + &line("NOVEL", &json!({"metadata": 7}));
    if query.contains_key("sendInitialEvents") {
        if server.refuses {
            let status =
                json!({"kind": "Status", "status": "Failure", "code": 422, "reason": "Invalid"});
            return (StatusCode::UNPROCESSABLE_ENTITY, status.to_string());
        }
        let all: String = (0..OBJECTS).map(|number| line("ADDED", &object(number))).collect();
        let end = json!({"metadata": {
            "resourceVersion": "100", "annotations": {"k8s.io/initial-events-end": "true"},
        }});
        return (StatusCode::OK, all + &line("BOOKMARK", &end) + &change);
    }
    if query.contains_key("watch") {
        assert_eq!(query["resourceVersion"], "100");
        return (StatusCode::OK, change);
    }
    let limit: usize = query["limit"].parse().unwrap();
    let start: usize = query.get("continue").map_or(0, |token| token.parse().unwrap());
    server.limits.lock().unwrap().push(limit);
    let end = (start + limit).min(OBJECTS);
    let token = if end < OBJECTS { end.to_string() } else { String::new() };
    let items: Vec<_> = (start..end).map(object).collect();
    let page = json!({"metadata": {"resourceVersion": "100", "continue": token}, "items": items});
    (StatusCode::OK, page.to_string())
}

/// What a client sees of the server up to the first change.
async fn seen(server: &Server) -> Vec<Event<String>> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().fallback(answer).with_state(server.clone());
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = hyper_util::service::TowerToHyperService::new(router.clone());
            let io = hyper_util::rt::TokioIo::new(stream);
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(io, service));
        }
    });
    let kubeconfig = format!(
        "apiVersion: v1
kind: Config
current-context: it
contexts: [{{name: it, context: {{cluster: it, user: it}}}}]
clusters: [{{name: it, cluster: {{server: 'http://{address}'}}}}]
users: [{{name: it, user: {{}}}}]
"
    );
    let client = from_kubeconfig_text(&kubeconfig).await.unwrap();
    let read = |text: &str| {
        let object: Value = serde_json::from_str(text)?;
        Ok(object["metadata"]["name"].as_str().unwrap_or_default().to_owned())
    };
    let mut events = pin!(Watch::all::<Node>(client, read).events());
    let mut seen = Vec::new();
    loop {
        let event = tokio::time::timeout(DEADLINE, events.next()).await.unwrap().unwrap();
        seen.push(event);
        if matches!(seen.last(), Some(Event::Apply(_))) {
            return seen;
        }
    }
}

fn assert_complete(seen: &[Event<String>]) {
    assert!(
        matches!(seen, [Event::Init, .., Event::InitDone, Event::Apply(name)] if name == "n00")
    );
    let listed: Vec<_> = seen[1..seen.len() - 2]
        .iter()
        .map(|event| match event {
            Event::InitApply(name) => name.clone(),
            other => panic!("{other:?}"),
        })
        .collect();
    let all: Vec<_> = (0..OBJECTS).map(|number| format!("n{number:02}")).collect();
    assert_eq!(listed, all);
}

#[tokio::test]
async fn a_list_is_streamed_and_then_watched() {
    let server = Server::default();
    assert_complete(&seen(&server).await);
    assert!(server.limits.lock().unwrap().is_empty(), "nothing is listed in pages");
}

#[tokio::test]
async fn lists_fall_back_to_pages_of_bounded_bytes() {
    let server = Server { refuses: true, ..Server::default() };
    assert_complete(&seen(&server).await);
    let limits = server.limits.lock().unwrap();
    // A page of twenty, and then one of five, has all three large objects and is given up. They
    // come one by one, and pages grow again behind them.
    assert_eq!(limits[..10], [5, 20, 5, 20, 5, 1, 1, 1, 1, 4], "{limits:?}");
}
