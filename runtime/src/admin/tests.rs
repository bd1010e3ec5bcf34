use super::*;
use prometheus_client::metrics::counter::Counter;
use std::net::Ipv4Addr;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const DEADLINE: Duration = Duration::from_secs(10);

struct Running {
    address: SocketAddr,
    readiness: Readiness,
    shutdown: Shutdown,
    requests: Counter,
    _task: JoinSet<Result<(), Infallible>>,
}

fn args(admin_addr: SocketAddr) -> AdminArgs {
    AdminArgs { admin_addr, metrics_addr: None, metrics_tls_dir: None }
}

/// A client that is never used.
fn unused_client() -> Client {
    let unused = tower::service_fn(|_: http::Request<kube::client::Body>| async {
        Err::<http::Response<kube::client::Body>, _>(io::Error::from(io::ErrorKind::NotConnected))
    });
    Client::new(unused, "default")
}

async fn start() -> Running {
    start_with(LIMITS).await
}

async fn start_with(limits: Limits) -> Running {
    let mut bound = bind(&args(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))).await.unwrap();
    bound.plain.limits = limits;
    let address = bound.address();
    let (readiness, shutdown) = (Readiness::new(), Shutdown::manual());
    let (mut registry, requests) = (Registry::default(), Counter::default());
    registry.register("requests", "Requests answered", requests.clone());
    let mut task = JoinSet::new();
    let (readiness_shown, client) = (readiness.clone(), unused_client());
    let scrapes = ScrapeMetrics::default();
    let exposed = Exposed { readiness: readiness_shown, registry, client, scrapes };
    task.spawn(bound.serve(exposed, shutdown.clone()));
    Running { address, readiness, shutdown, requests, _task: task }
}

/// Sends `bytes` and returns everything received until the server closes the connection.
async fn exchange(address: SocketAddr, bytes: &[u8]) -> String {
    let talk = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // The server may close the connection before everything is sent. Its response counts.
        let sent = stream.write_all(bytes).await;
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer).await;
        assert!(sent.is_ok() && read.is_ok() || !answer.is_empty(), "{sent:?} {read:?}");
        String::from_utf8(answer).unwrap()
    };
    tokio::time::timeout(DEADLINE, talk).await.unwrap()
}

async fn ask(address: SocketAddr, method: &str, path: &str) -> (u16, String) {
    let request = format!("{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let answer = exchange(address, request.as_bytes()).await;
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer)
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}

#[tokio::test]
async fn livez_responds_ok_even_if_a_part_is_not_ready() {
    let running = start().await;
    let _waits = running.readiness.handle("cache");
    let (status, answer) = ask(running.address, "GET", "/livez").await;
    assert_eq!((status, body(&answer)), (200, "ok"));
}

#[tokio::test]
async fn readyz_names_the_parts_that_are_not_ready() {
    let running = start().await;
    assert_eq!(ask(running.address, "GET", "/readyz").await.0, 200);
    let (cache, server) = (running.readiness.handle("cache"), running.readiness.handle("server"));
    server.ready();
    cache.not_ready("no node seen");
    let (status, answer) = ask(running.address, "GET", "/readyz").await;
    assert_eq!((status, body(&answer)), (503, "[-] cache: no node seen\n[+] server: ready\n"));
    cache.ready();
    let (status, answer) = ask(running.address, "GET", "/readyz").await;
    assert_eq!((status, body(&answer)), (200, "[+] cache: ready\n[+] server: ready\n"));
    running.readiness.remark("probe").set("not reachable");
    let (status, answer) = ask(running.address, "GET", "/readyz").await;
    assert!((status, body(&answer).ends_with("[!] probe: not reachable\n")) == (200, true));
    cache.not_ready("watch broken");
    assert_eq!(ask(running.address, "GET", "/readyz").await.0, 503);
}

#[tokio::test]
async fn during_shutdown_readyz_responds_not_ready() {
    let running = start().await;
    running.shutdown.request();
    let (status, answer) = ask(running.address, "GET", "/readyz").await;
    assert_eq!((status, body(&answer)), (503, "[-] shutting down\n"));
    assert_eq!(ask(running.address, "GET", "/livez").await.0, 200);
}

#[tokio::test]
async fn metrics_are_open_metrics_text() {
    let running = start().await;
    running.requests.inc_by(3);
    let (status, answer) = ask(running.address, "GET", "/metrics").await;
    assert_eq!(status, 200);
    assert!(
        answer
            .to_lowercase()
            .contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8"),
        "{answer}"
    );
    let body = body(&answer);
    assert!(body.contains("requests_total 3\n") && body.ends_with("# EOF\n"), "{body}");
}

#[tokio::test]
async fn other_paths_and_methods_are_rejected() {
    let running = start().await;
    assert_eq!(ask(running.address, "GET", "/").await.0, 404);
    assert_eq!(ask(running.address, "GET", "/livez/x").await.0, 404);
    assert_eq!(ask(running.address, "POST", "/livez").await.0, 405);
    assert_eq!(ask(running.address, "DELETE", "/metrics").await.0, 405);
}

#[tokio::test]
async fn invalid_and_too_large_headers_are_rejected() {
    let running = start().await;
    let answer = exchange(running.address, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    let long = format!(
        "GET /livez HTTP/1.1\r\nHost: a\r\nX: {}",
        "x".repeat(2 * LIMITS.http.header_bytes)
    );
    let answer = exchange(running.address, long.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    assert_eq!(ask(running.address, "GET", "/livez").await.0, 200);
}

#[tokio::test]
async fn silent_trickling_idle_and_old_connections_are_closed() {
    let short = Duration::from_millis(50);
    let timeouts = ReadTimeouts { header: short, idle: short };
    let http = Http1Limits { timeouts, ..LIMITS.http };
    let running = start_with(Limits { http, ..LIMITS }).await;
    for sent in
        [b"".as_slice(), b"GET /livez HTTP/1.1\r\nHo", b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"]
    {
        is_closed(running.address, sent).await;
    }
    let running = start_with(Limits { age: short, ..LIMITS }).await;
    is_closed(running.address, b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n").await;
}

/// Sends bytes and checks that the server closes the connection.
async fn is_closed(address: SocketAddr, sent: &[u8]) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(sent).await.unwrap();
    let mut answer = Vec::new();
    let closed = tokio::time::timeout(DEADLINE / 2, stream.read_to_end(&mut answer)).await;
    assert!(closed.is_ok(), "still open after {sent:?} and {answer:?}");
}

/// Checks that every path responds. The kubelet's timeout is a second; the machine may be busy.
async fn all_paths_respond(address: SocketAddr) {
    for path in ["/livez", "/readyz", "/metrics"] {
        let asked = tokio::time::timeout(Duration::from_secs(5), ask(address, "GET", path));
        assert_eq!(asked.await.unwrap_or_else(|_| panic!("no answer: {path}")).0, 200);
    }
}

#[tokio::test]
async fn silent_and_trickling_connections_do_not_block_requests() {
    // No connection reaches the limit of its age or header during the test.
    let timeouts = ReadTimeouts { header: DEADLINE * 6, ..LIMITS.http.timeouts };
    let http = Http1Limits { timeouts, ..LIMITS.http };
    let running = start_with(Limits { http, ..LIMITS }).await;
    let mut held = Vec::new();
    for count in 0..600 {
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        if count % 3 == 0 {
            stream.write_all(b"GET /livez HTTP/1.1\r\nX").await.unwrap();
        }
        held.push(stream);
        if count % 100 == 99 {
            all_paths_respond(running.address).await;
        }
    }
    // Writes go to connections that were not evicted.
    for stream in held.iter_mut().rev().take(LIMITS.connections.pending / 2) {
        stream.write_all(b"x").await.unwrap();
    }
    all_paths_respond(running.address).await;
}

#[tokio::test]
async fn idle_connections_do_not_block_requests() {
    let running = start().await;
    let mut held = Vec::new();
    for _ in 0..2 * LIMITS.connections.established {
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        stream.write_all(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        let mut first = [0; 15];
        stream.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"HTTP/1.1 200 OK");
        held.push(stream);
    }
    all_paths_respond(running.address).await;
}

#[tokio::test]
async fn the_error_of_an_address_in_use_names_the_address() {
    let running = start().await;
    let error = bind(&args(running.address)).await.map(drop).unwrap_err();
    assert!(error.to_string().contains(&running.address.to_string()), "{error}");
}
