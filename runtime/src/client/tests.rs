use super::*;
use crate::chain::Chain;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::routing::get;
use clap::Parser;
use futures::{AsyncBufReadExt as _, StreamExt as _, TryStreamExt as _};
use http::Request;
use serde_json::Value;
use std::convert::Infallible;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::Notify;

const DEADLINE: Duration = Duration::from_secs(10);
const LIMIT: Duration = Duration::from_secs(1);

#[derive(Parser)]
struct Program {
    #[command(flatten)]
    client: ClientArgs,
}

/// An API server in miniature; `release` lets its stalled answers go on.
struct Server {
    address: String,
    release: Arc<Notify>,
}

async fn server() -> Server {
    let release = Arc::new(Notify::new());
    let router = Router::new()
        .route("/version", get(|| async { r#"{"major":"1"}"# }))
        .route("/silent", get(std::future::pending::<()>))
        .route("/stalls", get(stalls))
        .with_state(Arc::clone(&release));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = hyper_util::service::TowerToHyperService::new(router.clone());
            let io = hyper_util::rt::TokioIo::new(stream);
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(io, service));
        }
    });
    Server { address, release }
}

/// One line at once, the other when released.
async fn stalls(State(release): State<Arc<Notify>>) -> Body {
    let first = futures::stream::once(async { Ok::<_, Infallible>("{\"first\":1}\n") });
    let second = futures::stream::once(async move {
        release.notified().await;
        Ok("{\"second\":2}\n")
    });
    Body::from_stream(first.chain(second))
}

fn kubeconfig(server: &str) -> String {
    format!(
        "apiVersion: v1
kind: Config
current-context: it
contexts: [{{name: it, context: {{cluster: it, user: it}}}}]
clusters: [{{name: it, cluster: {{server: '{server}', insecure-skip-tls-verify: true}}}}]
users: [{{name: it, user: {{}}}}]
"
    )
}

async fn impatient(server: &Server) -> Client {
    let kubeconfig = Kubeconfig::from_yaml(&kubeconfig(&server.address)).unwrap();
    build(resolve(kubeconfig).await.unwrap(), LIMIT, Pings::default()).unwrap()
}

fn ask(path: &str) -> Request<Vec<u8>> {
    Request::get(path).body(Vec::new()).unwrap()
}

async fn fails(client: &Client, path: &str) -> String {
    let asked = client.request::<Value>(ask(path));
    let error = tokio::time::timeout(DEADLINE, asked).await.unwrap().unwrap_err();
    Chain(&error).to_string()
}

#[tokio::test]
async fn a_kubeconfig_as_text_reaches_its_server() {
    let server = server().await;
    let client = from_kubeconfig_text(&kubeconfig(&server.address)).await.unwrap();
    let version: Value = client.request(ask("/version")).await.unwrap();
    assert_eq!(version["major"], "1");
}

#[tokio::test]
async fn a_kubeconfig_file_reaches_its_server() {
    let server = server().await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config");
    std::fs::write(&path, kubeconfig(&server.address)).unwrap();
    let args = ClientArgs { kubeconfig: Some(path), kube_timeout: DEADLINE };
    let client = connect(&args).await.unwrap();
    let version: Value = client.request(ask("/version")).await.unwrap();
    assert_eq!(version["major"], "1");
}

#[tokio::test]
async fn a_request_without_a_response_times_out() {
    let client = impatient(&server().await).await;
    let error = fails(&client, "/silent").await;
    assert!(error.contains("no response within 1s: GET /silent"), "{error}");
}

#[tokio::test]
async fn a_response_that_stalls_times_out() {
    let client = impatient(&server().await).await;
    let error = fails(&client, "/stalls").await;
    assert!(error.contains("no data within 1s"), "{error}");
}

#[tokio::test]
async fn a_silent_watch_does_not_time_out() {
    let server = server().await;
    let client = impatient(&server).await;
    let stream = client.request_stream(ask("/stalls?watch=true")).await.unwrap();
    let mut lines = std::pin::pin!(stream.lines());
    assert_eq!(lines.try_next().await.unwrap().unwrap(), "{\"first\":1}");
    // This takes the whole limit, so the watch has been silent for longer.
    fails(&client, "/silent").await;
    server.release.notify_one();
    let second = tokio::time::timeout(DEADLINE, lines.try_next()).await.unwrap();
    assert_eq!(second.unwrap().unwrap(), "{\"second\":2}");
}

#[tokio::test]
async fn a_tls_client_needs_no_process_wide_crypto_provider() {
    // Panics once a second provider is compiled in and rustls cannot choose.
    from_kubeconfig_text(&kubeconfig("https://127.0.0.1:6443")).await.unwrap();
}

#[tokio::test]
async fn the_error_of_a_missing_file_names_the_file_and_the_flag() {
    let path = PathBuf::from("/nonexistent/config");
    let args = ClientArgs { kubeconfig: Some(path), kube_timeout: LIMIT };
    let error = connect(&args).await.map(drop).unwrap_err();
    let text = Chain(&error).to_string();
    assert!(text.contains("/nonexistent/config") && text.contains("--kubeconfig"), "{text}");
}

#[tokio::test]
async fn invalid_kubeconfig_text_is_an_error() {
    let error = from_kubeconfig_text("a: [").await.map(drop).unwrap_err();
    assert!(matches!(error, ClientError::Parse(_)), "{error:?}");
    let error = from_kubeconfig_text("apiVersion: v1\nkind: Config\n").await.map(drop).unwrap_err();
    assert!(matches!(error, ClientError::Resolve(_)), "{error:?}");
}

#[tokio::test]
async fn a_proxy_is_refused_and_named() {
    let text = kubeconfig("https://127.0.0.1:6443");
    let text = text.replace("insecure-skip", "proxy-url: 'http://proxy:3128', insecure-skip");
    let error = from_kubeconfig_text(&text).await.map(drop).unwrap_err();
    assert!(matches!(&error, ClientError::Proxy(proxy) if proxy == "http://proxy:3128"));
}

#[test]
fn outside_a_cluster_the_error_describes_both_options() {
    let source = InClusterError::ReadEnvironmentVariable(std::env::VarError::NotPresent);
    let text = Chain(&ClientError::NotInCluster(source)).to_string();
    assert!(text.starts_with("not in a cluster and no --kubeconfig given: "), "{text}");
}

#[test]
fn the_flags_are_parsed_strictly() {
    let parse = |args: &[&str]| Program::try_parse_from([&["p"], args].concat());
    let program = parse(&["--kubeconfig", "/a", "--kube-timeout", "7s"]).unwrap();
    assert_eq!(program.client.kubeconfig, Some(PathBuf::from("/a")));
    assert_eq!(program.client.kube_timeout, Duration::from_secs(7));
    for wrong in ["0", "-1", "1h", "", "s", "70000"] {
        assert!(parse(&["--kube-timeout", wrong]).is_err(), "{wrong:?}");
    }
}
