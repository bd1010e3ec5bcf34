use super::*;
use axum::Router;
use axum::body::Body as Answer;
use axum::routing::get;
use futures::{AsyncReadExt as _, Stream, StreamExt as _};
use http::Request;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use kube::Client;
use serde_json::Value;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

const DEADLINE: Duration = Duration::from_secs(10);
const LARGE: usize = 4 << 20;

/// An API server in miniature, over TLS.
struct Server {
    port: u16,
    connections: Arc<AtomicUsize>,
}

fn acceptor(protocols: &[&str]) -> TlsAcceptor {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.unwrap().with_no_client_auth();
    let mut config = config.with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

/// One line, then silence for ever, as of a watch.
fn silent() -> impl Stream<Item = Result<&'static str, Infallible>> {
    futures::stream::once(async { Ok("{}\n") }).chain(futures::stream::pending())
}

async fn serve(acceptor: TlsAcceptor, router: Router, stream: TcpStream) {
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let (io, service) = (TokioIo::new(stream), TowerToHyperService::new(router));
    let _closed = if is_http2 {
        let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        builder.serve_connection(io, service).await
    } else {
        hyper::server::conn::http1::Builder::new().serve_connection(io, service).await
    };
}

async fn server(protocols: &[&str]) -> Server {
    let acceptor = acceptor(protocols);
    let router = Router::new()
        .route("/version", get(|| async { r#"{"major":"1"}"# }))
        .route("/watch", get(|| async { Answer::from_stream(silent()) }))
        .route("/large", get(|| async { vec![b'x'; LARGE] }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let connections = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&connections);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            let (acceptor, router) = (acceptor.clone(), router.clone());
            count.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(serve(acceptor, router, stream));
        }
    });
    Server { port, connections }
}

fn client(port: u16, pings: Pings) -> Client {
    let mut config = Config::new(format!("https://127.0.0.1:{port}").parse().unwrap());
    config.accept_invalid_certs = true;
    let service = service(&config, pings).unwrap();
    Client::new(service, "default")
}

fn ask(path: &str) -> Request<Vec<u8>> {
    Request::get(path).body(Vec::new()).unwrap()
}

async fn watch(client: &Client) -> impl futures::AsyncBufRead + use<> {
    let mut stream = Box::pin(client.request_stream(ask("/watch")).await.unwrap());
    let mut first = [0; 3];
    stream.read_exact(&mut first).await.unwrap();
    stream
}

async fn is_answered(client: &Client) {
    let asked = client.request::<Value>(ask("/version"));
    let version = tokio::time::timeout(DEADLINE, asked).await.unwrap().unwrap();
    assert_eq!(version["major"], "1");
}

#[tokio::test]
async fn watches_and_requests_share_one_connection() {
    let server = server(&["h2", "http/1.1"]).await;
    let client = client(server.port, Pings::default());
    is_answered(&client).await;
    let _watches = (watch(&client).await, watch(&client).await, watch(&client).await);
    is_answered(&client).await;
    assert_eq!(server.connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn http1_is_used_if_the_server_does_not_support_http2() {
    let server = server(&["http/1.1"]).await;
    let client = client(server.port, Pings::default());
    let _watch = watch(&client).await;
    is_answered(&client).await;
    assert_eq!(server.connections.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn an_unread_response_does_not_block_the_others() {
    let server = server(&["h2"]).await;
    let client = client(server.port, Pings::default());
    let mut unread = Vec::new();
    for _ in 0..10 {
        unread.push(client.request_stream(ask("/large")).await.unwrap());
    }
    is_answered(&client).await;
    let mut text = Vec::new();
    Box::pin(unread.remove(0)).read_to_end(&mut text).await.unwrap();
    assert_eq!(text.len(), LARGE);
    assert_eq!(server.connections.load(Ordering::Relaxed), 1);
}

/// Forwards connections to a port until it is frozen; then nothing passes and nothing is closed.
async fn freezable(port: u16) -> (u16, Arc<Notify>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = listener.local_addr().unwrap().port();
    let freeze = Arc::new(Notify::new());
    let frozen = Arc::clone(&freeze);
    tokio::spawn(async move {
        let (mut down, _) = listener.accept().await.unwrap();
        let mut up = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        tokio::select! {
            _ = copy_bidirectional(&mut down, &mut up) => {}
            () = frozen.notified() => std::future::pending().await,
        }
    });
    (own, freeze)
}

#[tokio::test]
async fn a_watch_ends_when_the_peer_has_vanished() {
    let server = server(&["h2"]).await;
    let (port, freeze) = freezable(server.port).await;
    let second = Duration::from_secs(1);
    let client = client(port, Pings { interval: second, timeout: second });
    let mut watch = Box::pin(watch(&client).await);
    freeze.notify_one();
    let mut next = [0; 1];
    let read = tokio::time::timeout(DEADLINE, watch.read(&mut next)).await;
    read.unwrap().unwrap_err();
}
