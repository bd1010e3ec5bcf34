//! Failed TLS handshakes are counted by cause and do not delay other clients.

use crate::server::{LIMITS, Server, connect};
use anyhow::{Context as _, Result, ensure};
use fastrak_testkit::eventually;
use fastrak_webhook::serve::metrics::HandshakeFailure;
use rustls::pki_types::ServerName;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

const SOON: Duration = Duration::from_secs(10);

async fn server() -> Result<Server> {
    Server::start(LIMITS, Duration::ZERO).await
}

/// Sends bytes and returns the response until the server closes the connection.
async fn response(server: &Server, sent: &[u8]) -> Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server.address).await?;
    stream.write_all(sent).await?;
    let mut answer = Vec::new();
    let reading = stream.read_to_end(&mut answer);
    drop(tokio::time::timeout(SOON, reading).await.context("it is not closed")?);
    Ok(answer)
}

async fn is_counted(server: &Server, cause: HandshakeFailure, count: u64) -> Result<()> {
    let counter = server.metrics.serving.handshake_failures.clone();
    eventually(SOON, format!("{count} of {cause:?}"), || async {
        let found = counter.get_or_create(&[("cause", cause.as_str())]).get();
        if found == count { Ok(()) } else { Err(anyhow::anyhow!("{found}")) }
    })
    .await
}

async fn still_serves(server: &Server) -> Result<()> {
    let mut connection = server.connect(&[b"http/1.1"]).await?;
    connection.write_all(&crate::server::request("POST /claims")).await?;
    let text = crate::drains::answer(&mut connection).await?;
    ensure!(text.starts_with("HTTP/1.1 200"), "{text}");
    Ok(())
}

/// Returns the ClientHello of a client whose newest TLS version is this one.
fn hello(version: u8) -> Vec<u8> {
    let mut body = vec![3, version];
    body.extend([7; 32]);
    // No session, two cipher suites, no compression, and how the server may sign.
    body.extend([0, 0, 4, 0xc0, 0x2b, 0x00, 0x2f, 1, 0, 0, 8, 0, 13, 0, 4, 0, 2, 4, 3]);
    let length = body.len() as u8;
    [&[22, 3, 1, 0, length + 4, 1, 0, 0, length], &body[..]].concat()
}

#[tokio::test]
async fn a_handshake_that_does_not_arrive_times_out() -> Result<()> {
    let server = server().await?;
    response(&server, b"").await?;
    response(&server, &hello(3)[..20]).await?;
    is_counted(&server, HandshakeFailure::Timeout, 2).await?;
    still_serves(&server).await
}

#[tokio::test]
async fn what_is_not_tls_is_refused() -> Result<()> {
    let server = server().await?;
    for sent in [&b"GET /claims HTTP/1.1\r\n\r\n"[..], b"\x16\x03\x01\xff\xff", b"SSH-2.0-x\r\n"] {
        response(&server, sent).await?;
    }
    is_counted(&server, HandshakeFailure::Protocol, 3).await?;
    still_serves(&server).await
}

#[tokio::test]
async fn versions_before_1_2_are_refused_by_an_alert() -> Result<()> {
    let server = server().await?;
    for version in [0, 1, 2] {
        let answer = response(&server, &hello(version)).await?;
        // An alert, fatal: protocol version.
        ensure!(answer.len() == 7 && answer[0] == 21, "{answer:?}");
        assert_eq!(answer[5..], [2, 70], "{answer:?}");
    }
    is_counted(&server, HandshakeFailure::Protocol, 3).await?;
    still_serves(&server).await
}

#[tokio::test]
async fn an_aborted_handshake_is_counted() -> Result<()> {
    let server = server().await?;
    let mut stream = TcpStream::connect(server.address).await?;
    stream.write_all(&hello(3)[..20]).await?;
    drop(stream);
    is_counted(&server, HandshakeFailure::Io, 1).await?;
    still_serves(&server).await
}

#[tokio::test]
async fn a_client_that_expects_another_name_is_counted() -> Result<()> {
    let server = server().await?;
    let stream = TcpStream::connect(server.address).await?;
    let name = ServerName::try_from("another.example")?;
    let connecting = TlsConnector::from(Arc::new(server.client()?)).connect(name, stream).await;
    ensure!(connecting.is_err(), "the certificate is for another name");
    is_counted(&server, HandshakeFailure::Alert, 1).await?;
    still_serves(&server).await
}

#[tokio::test]
async fn a_connection_aborted_within_a_record_is_closed() -> Result<()> {
    let server = server().await?;
    let connection = connect(server.address, server.client()?).await?;
    let (mut stream, _) = connection.into_inner();
    // The start of a longer record.
    stream.write_all(&[23, 3, 3, 0, 200, 1, 2, 3]).await?;
    drop(stream);
    eventually(SOON, "no connection is counted any more", || async {
        server.metrics.serving.connections.get() == 0
    })
    .await?;
    still_serves(&server).await
}
