//! However many come, whoever has something to ask is heard.

use crate::server::{Connection, LIMITS, Server, connect, request};
use anyhow::{Context as _, Result, ensure};
use fastrak_testkit::eventually;
use fastrak_webhook::metrics::{HandshakeFailure, HandshakeLabel};
use fastrak_webhook::serve::Limits;
use futures::{StreamExt as _, TryStreamExt as _};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

const SOON: Duration = Duration::from_secs(10);
/// What a good client waits at most, on a machine that does other things too. The API server
/// waits for two seconds.
const MOMENT: Duration = Duration::from_secs(1);
const HALF_OPEN: usize = 10_000;
const KEPT: usize = 2_000;
/// As many of those are made at a time.
const AT_ONCE: usize = 4;

async fn ask(connection: &mut Connection) -> Result<()> {
    connection.write_all(&request("POST /claims?timeout=2s")).await?;
    let text = crate::drains::answer(connection).await?;
    ensure!(text.starts_with("HTTP/1.1 200"), "{text}");
    Ok(())
}

async fn is_heard(server: &Server) -> Result<()> {
    let asking = async { ask(&mut server.connect(&[b"http/1.1"]).await?).await };
    tokio::time::timeout(MOMENT, asking).await.context("a good client was kept waiting")?
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_half_open_handshakes_keep_nobody_out() -> Result<()> {
    let limits = Limits { handshakes: 256, handshake: Duration::from_secs(60), ..LIMITS };
    let server = Server::start(limits, Duration::ZERO).await?;
    let mut kept = server.connect(&[b"http/1.1"]).await?;
    ask(&mut kept).await?;
    let mut held = Vec::with_capacity(HALF_OPEN);
    for count in 0..HALF_OPEN {
        let mut stream = TcpStream::connect(server.address).await?;
        // Some say nothing at all, some begin.
        if count % 2 == 0 {
            stream.write_all(b"\x16\x03\x01\x00").await?;
        }
        held.push(stream);
        if count % 500 == 499 {
            is_heard(&server).await.with_context(|| format!("after {count}"))?;
            ask(&mut kept).await.context("who was there before is not heard any more")?;
        }
    }
    let evicted = HandshakeLabel { cause: HandshakeFailure::Evicted };
    eventually(SOON, "the oldest have gone", || async {
        let evicted = server.metrics.serving.handshake_failures.get_or_create(&evicted).get();
        let open = server.metrics.serving.connections.get();
        evicted >= (HALF_OPEN - limits.handshakes) as u64 && open <= 258
    })
    .await?;
    is_heard(&server).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_connections_are_kept_and_served() -> Result<()> {
    // No session is taken up again, and a handshake takes tens of milliseconds in a program that is not
    // optimised: the last connection is made long after the first.
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
async fn for_one_more_connection_the_longest_silent_one_goes() -> Result<()> {
    let limits = Limits { connections: 2, handshake: SOON, header: SOON, ..LIMITS };
    let server = Server::start(limits, Duration::ZERO).await?;
    let mut first = server.connect(&[b"http/1.1"]).await?;
    ask(&mut first).await?;
    let mut second = server.connect(&[b"http/1.1"]).await?;
    ask(&mut second).await?;
    ask(&mut first).await?;
    let start = Instant::now();
    is_heard(&server).await?;
    ensure!(start.elapsed() < MOMENT, "it took {:?}", start.elapsed());
    ensure!(crate::server::rest(&mut second).await?.is_empty(), "the silent one is closed");
    ask(&mut first).await?;
    assert_eq!(server.metrics.serving.connections_evicted.get(), 1);
    Ok(())
}
