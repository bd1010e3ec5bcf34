//! During a drain every request is answered.

use crate::server::{Connection, LIMITS, Server, head, request, review};
use anyhow::{Context as _, Result, ensure};
use fastrak_webhook::serve::Limits;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const START: &str = "POST /claims?timeout=2s";

/// Reads the next response on a connection that may stay open.
pub(crate) async fn answer(connection: &mut Connection) -> Result<String> {
    let mut all = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&all).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let lower = head.to_ascii_lowercase();
            let length = lower.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.context("an answer has a length")?.trim().parse()? {
                return Ok(text);
            }
        }
        let mut part = [0; 4096];
        let reading = tokio::time::timeout(Duration::from_secs(10), connection.read(&mut part));
        let count = reading.await.context("no answer")??;
        ensure!(count > 0, "the connection was closed after {text:?}");
        all.extend_from_slice(&part[..count]);
    }
}

#[tokio::test]
async fn during_a_drain_each_response_closes_its_connection() -> Result<()> {
    let drain = Duration::from_millis(1500);
    let server = Server::start(LIMITS, drain).await?;
    let mut kept = server.connect(&[b"http/1.1"]).await?;
    kept.write_all(&request(START)).await?;
    let before = answer(&mut kept).await?.to_ascii_lowercase();
    ensure!(!before.contains("connection: close"), "{before}");

    let start = Instant::now();
    server.shutdown.request();
    kept.write_all(&request(START)).await?;
    let mut new = server.connect(&[b"http/1.1"]).await?;
    new.write_all(&request(START)).await?;
    for connection in [&mut kept, &mut new] {
        let text = answer(connection).await?;
        ensure!(text.starts_with("HTTP/1.1 200"), "{text}");
        ensure!(text.to_ascii_lowercase().contains("connection: close"), "{text}");
        ensure!(crate::server::rest(connection).await?.is_empty(), "it is closed after");
    }
    server.task.await?;
    ensure!(start.elapsed() >= drain, "it ended after {:?}", start.elapsed());
    ensure!(TcpStream::connect(server.address).await.is_err(), "the port is closed");
    Ok(())
}

#[tokio::test]
async fn an_idle_connection_does_not_delay_the_end() -> Result<()> {
    let server = Server::start(LIMITS, Duration::ZERO).await?;
    let mut idle = server.connect(&[b"http/1.1"]).await?;
    idle.write_all(&request(START)).await?;
    answer(&mut idle).await?;
    let start = Instant::now();
    server.shutdown.request();
    server.task.await?;
    ensure!(start.elapsed() < LIMITS.finish, "it took {:?}", start.elapsed());
    ensure!(crate::server::rest(&mut idle).await?.is_empty(), "it is closed");
    Ok(())
}

#[tokio::test]
async fn a_request_that_is_being_sent_at_the_end_is_answered() -> Result<()> {
    let server = Server::start(LIMITS, Duration::ZERO).await?;
    let mut connection = server.connect(&[b"http/1.1"]).await?;
    let body = review("PersistentVolumeClaim");
    let head = head("POST /claims", "application/json", body.len());
    let head = head.replace("Connection: close", "Expect: 100-continue");
    connection.write_all(head.as_bytes()).await?;
    // The server says so when it begins to read the body: from then on the request is under way.
    let mut go_on = [0; "HTTP/1.1 100 Continue\r\n\r\n".len()];
    connection.read_exact(&mut go_on).await?;
    ensure!(go_on.starts_with(b"HTTP/1.1 100"), "{go_on:?}");
    server.shutdown.request();
    connection.write_all(&body).await?;
    let text = answer(&mut connection).await?;
    ensure!(text.starts_with("HTTP/1.1 200"), "{text}");
    server.task.await?;
    Ok(())
}

#[tokio::test]
async fn a_connection_past_its_age_closes_with_its_next_response() -> Result<()> {
    let age = Duration::from_secs(1);
    let server = Server::start(Limits { age, ..LIMITS }, Duration::ZERO).await?;
    let mut connection = server.connect(&[b"http/1.1"]).await?;
    let start = Instant::now();
    loop {
        connection.write_all(&request(START)).await?;
        let text = answer(&mut connection).await?;
        ensure!(text.starts_with("HTTP/1.1 200"), "{text}");
        if text.to_ascii_lowercase().contains("connection: close") {
            break;
        }
        ensure!(start.elapsed() < 3 * age, "it goes on after {:?}", start.elapsed());
    }
    ensure!(start.elapsed() >= age, "it ended after {:?}", start.elapsed());
    ensure!(crate::server::rest(&mut connection).await?.is_empty(), "it is closed after");

    // An idle one stays open, because a request may be on its way.
    let mut silent = server.connect(&[b"http/1.1"]).await?;
    silent.write_all(&request(START)).await?;
    answer(&mut silent).await?;
    let closed = tokio::time::timeout(2 * age, silent.read_u8()).await;
    ensure!(closed.is_err(), "it was closed in silence");
    silent.write_all(&request(START)).await?;
    let text = answer(&mut silent).await?.to_ascii_lowercase();
    ensure!(text.starts_with("http/1.1 200") && text.contains("connection: close"), "{text}");
    Ok(())
}
