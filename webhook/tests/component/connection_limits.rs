//! Limits of connections: a client with a request is answered, however many others are connected.

use crate::server::{Connection, LIMITS, Server, connect, request};
use anyhow::{Context as _, Result, ensure};
use fastrak_testkit::eventually;
use fastrak_webhook::serve::Limits;
use fastrak_webhook::serve::metrics::HandshakeFailure;
use futures::{StreamExt as _, TryStreamExt as _};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

const SOON: Duration = Duration::from_secs(10);
/// The longest wait of a client on a busy machine.
const MOMENT: Duration = Duration::from_secs(5);
const HALF_OPEN: usize = 10_000;
const KEPT: usize = 2_000;
/// The number of concurrent handshakes.
const AT_ONCE: usize = 4;

async fn ask(connection: &mut Connection) -> Result<()> {
    connection.write_all(&request("POST /claims?timeout=2s")).await?;
    let text = crate::drains::answer(connection).await?;
    ensure!(text.starts_with("HTTP/1.1 200"), "{text}");
    Ok(())
}

async fn is_answered(server: &Server) -> Result<()> {
    let asking = async { ask(&mut server.connect(&[b"http/1.1"]).await?).await };
    tokio::time::timeout(MOMENT, asking).await.context("a client waited too long")?
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_half_open_handshakes_do_not_block_other_clients() -> Result<()> {
    let (handshake, age) = (Duration::from_secs(60), Duration::from_secs(3600));
    let limits = Limits { handshakes: 256, handshake, age, ..LIMITS };
    let server = Server::start(limits, Duration::ZERO).await?;
    let mut kept = server.connect(&[b"http/1.1"]).await?;
    ask(&mut kept).await?;
    let mut held = Vec::with_capacity(HALF_OPEN);
    for count in 0..HALF_OPEN {
        let mut stream = TcpStream::connect(server.address).await?;
        // Some send nothing, some the start of a handshake.
        if count % 2 == 0 {
            stream.write_all(b"\x16\x03\x01\x00").await?;
        }
        held.push(stream);
        if count % 500 == 499 {
            is_answered(&server).await.with_context(|| format!("after {count}"))?;
            ask(&mut kept).await.context("an older connection is not served any more")?;
        }
    }
    let evicted = [("cause", HandshakeFailure::Evicted.as_str())];
    eventually(SOON, "the oldest are evicted", || async {
        let evicted = server.metrics.serving.handshake_failures.get_or_create(&evicted).get();
        let open = server.metrics.serving.connections.get();
        evicted >= (HALF_OPEN - limits.handshakes) as u64 && open <= 258
    })
    .await?;
    is_answered(&server).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_connections_are_kept_and_served() -> Result<()> {
    // Sessions are not resumed, and a handshake takes tens of milliseconds in a debug build: the
    // last connection is opened long after the first.
    let (idle, age) = (Duration::from_secs(3600), Duration::from_secs(3600));
    let limits = Limits { connections: KEPT, handshake: SOON, header: SOON, idle, age, ..LIMITS };
    let server = Server::start(limits, Duration::ZERO).await?;
    let config = Arc::new(server.client()?);
    let begun = (0..KEPT).map(|_| async {
        let mut connection = connect(server.address, Arc::clone(&config)).await?;
        ask(&mut connection).await?;
        anyhow::Ok(connection)
    });
    let begun = futures::stream::iter(begun).buffer_unordered(AT_ONCE);
    let mut kept: Vec<_> = begun.try_collect().await?;
    assert_eq!(server.metrics.serving.connections.get(), 2_000);
    for connection in &mut kept {
        ask(connection).await?;
    }
    assert_eq!(server.metrics.serving.connections_evicted.get(), 0);
    Ok(())
}

#[tokio::test]
async fn at_the_limit_the_connection_that_was_idle_longest_is_closed() -> Result<()> {
    let limits = Limits { connections: 2, handshake: SOON, header: SOON, ..LIMITS };
    let server = Server::start(limits, Duration::ZERO).await?;
    let mut first = server.connect(&[b"http/1.1"]).await?;
    ask(&mut first).await?;
    let mut second = server.connect(&[b"http/1.1"]).await?;
    ask(&mut second).await?;
    ask(&mut first).await?;
    let start = Instant::now();
    is_answered(&server).await?;
    ensure!(start.elapsed() < MOMENT, "it took {:?}", start.elapsed());
    ensure!(crate::server::rest(&mut second).await?.is_empty(), "the idle one is closed");
    ask(&mut first).await?;
    assert_eq!(server.metrics.serving.connections_evicted.get(), 1);
    Ok(())
}
