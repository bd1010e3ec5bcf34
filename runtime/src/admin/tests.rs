use super::*;
use prometheus_client::metrics::counter::Counter;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const DEADLINE: Duration = Duration::from_secs(10);

struct Running {
    address: SocketAddr,
    readiness: Readiness,
    shutdown: Shutdown,
    requests: Counter,
    _task: JoinSet<Result<(), Infallible>>,
}

async fn start() -> Running {
    start_with(LIMITS).await
}

async fn start_with(limits: Limits) -> Running {
    let args = AdminArgs { admin_addr: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)) };
    let mut bound = bind(&args).await.unwrap();
    bound.limits = limits;
    let address = bound.address();
    assert_ne!(bound.port(), 0);
    let (readiness, shutdown) = (Readiness::new(), Shutdown::manual());
    let (mut registry, requests) = (Registry::default(), Counter::default());
    registry.register("requests", "Requests answered", requests.clone());
    let mut task = JoinSet::new();
    task.spawn(bound.serve(readiness.clone(), registry, shutdown.clone()));
    Running { address, readiness, shutdown, requests, _task: task }
}

/// Sends `bytes` and returns all that comes back until the other side closes.
async fn exchange(address: SocketAddr, bytes: &[u8]) -> String {
    let talk = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // The other side may hang up while we still talk: what it said counts.
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
async fn livez_answers_ok_whatever_waits() {
    let running = start().await;
    let _waits = running.readiness.handle("facts");
    let (status, answer) = ask(running.address, "GET", "/livez").await;
    assert_eq!((status, body(&answer)), (200, "ok"));
}

#[tokio::test]
async fn readyz_follows_the_handles_and_names_who_waits() {
    let running = start().await;
    assert_eq!(ask(running.address, "GET", "/readyz").await.0, 200);
    let (facts, server) = (running.readiness.handle("facts"), running.readiness.handle("server"));
    server.ready();
    facts.not_ready("no node seen");
    let (status, answer) = ask(running.address, "GET", "/readyz").await;
    assert_eq!((status, body(&answer)), (503, "[-] facts: no node seen\n[+] server: ready\n"));
    facts.ready();
    let (status, answer) = ask(running.address, "GET", "/readyz").await;
    assert_eq!((status, body(&answer)), (200, "[+] facts: ready\n[+] server: ready\n"));
    running.readiness.remark("probe").say("nobody can reach it");
    let (status, answer) = ask(running.address, "GET", "/readyz").await;
    assert!((status, body(&answer).ends_with("[!] probe: nobody can reach it\n")) == (200, true));
    facts.not_ready("watch broken");
    assert_eq!(ask(running.address, "GET", "/readyz").await.0, 503);
}

#[tokio::test]
async fn while_shutting_down_it_answers_but_is_not_ready() {
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
    assert!(answer.to_lowercase().contains(&format!("content-type: {OPEN_METRICS}")), "{answer}");
    let body = body(&answer);
    assert!(body.contains("requests_total 3\n") && body.ends_with("# EOF\n"), "{body}");
}

#[tokio::test]
async fn other_paths_and_methods_are_refused() {
    let running = start().await;
    assert_eq!(ask(running.address, "GET", "/").await.0, 404);
    assert_eq!(ask(running.address, "GET", "/livez/x").await.0, 404);
    assert_eq!(ask(running.address, "POST", "/livez").await.0, 405);
    assert_eq!(ask(running.address, "DELETE", "/metrics").await.0, 405);
}

#[tokio::test]
async fn nonsense_and_endless_headers_are_refused() {
    let running = start().await;
    let answer = exchange(running.address, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    let long = format!("GET /livez HTTP/1.1\r\nHost: a\r\nX: {}", "x".repeat(2 * HEADER_BYTES));
    let answer = exchange(running.address, long.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    assert_eq!(ask(running.address, "GET", "/livez").await.0, 200);
}

#[tokio::test]
async fn callers_who_say_nothing_half_a_header_or_never_stop_are_put_out() {
    let short = Duration::from_millis(50);
    let running = start_with(Limits { header: short, ..LIMITS }).await;
    for said in
        [b"".as_slice(), b"GET /livez HTTP/1.1\r\nHo", b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"]
    {
        put_out(running.address, said).await;
    }
    let running = start_with(Limits { connection: short, ..LIMITS }).await;
    put_out(running.address, b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n").await;
}

/// Says something and keeps the connection open; the other side must close it.
async fn put_out(address: SocketAddr, said: &[u8]) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(said).await.unwrap();
    let mut answer = Vec::new();
    let closed = tokio::time::timeout(DEADLINE / 2, stream.read_to_end(&mut answer)).await;
    assert!(closed.is_ok(), "still open after {said:?} and {answer:?}");
}

#[tokio::test]
async fn more_callers_than_there_is_room_for_are_served_as_others_leave() {
    let running = start().await;
    let mut idle = Vec::new();
    for _ in 0..CONNECTIONS {
        idle.push(TcpStream::connect(running.address).await.unwrap());
    }
    let asked = tokio::spawn(ask(running.address, "GET", "/livez"));
    drop(idle);
    let (status, _) = tokio::time::timeout(DEADLINE, asked).await.unwrap().unwrap();
    assert_eq!(status, 200);
}

#[tokio::test]
async fn an_address_that_is_taken_is_an_error_that_names_it() {
    let running = start().await;
    let error = bind(&AdminArgs { admin_addr: running.address }).await.unwrap_err();
    assert!(error.to_string().contains(&running.address.to_string()), "{error}");
}

#[tokio::test]
async fn the_default_address_works_with_and_without_ipv6() {
    let any: SocketAddr = "[::]:0".parse().unwrap();
    let bound = bind(&AdminArgs { admin_addr: any }).await.unwrap();
    assert!(bound.address().ip().is_unspecified());
}

#[test]
fn only_a_missing_ipv6_is_worked_around() {
    let parse = |text: &str| text.parse::<SocketAddr>().unwrap();
    let missing = io::Error::from_raw_os_error(97); // EAFNOSUPPORT
    let taken = io::Error::from(io::ErrorKind::AddrInUse);
    let forbidden = io::Error::from(io::ErrorKind::PermissionDenied);
    assert_eq!(without_ipv6(parse("[::]:8080"), &missing), Some(parse("0.0.0.0:8080")));
    assert_eq!(without_ipv6(parse("[::]:8080"), &taken), None);
    assert_eq!(without_ipv6(parse("[::]:80"), &forbidden), None);
    assert_eq!(without_ipv6(parse("[::1]:8080"), &missing), None);
    assert_eq!(without_ipv6(parse("0.0.0.0:8080"), &missing), None);
}
