//! The server answers invalid input with the reason or closes the connection, in time, and
//! continues to serve other clients.

use crate::server::{LIMITS, REQUEST, Server, head, request, rest, review};
use anyhow::{Result, ensure};
use fastrak_webhook::serve::http::MAX_BODY;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;

const JSON: &str = "application/json";

async fn server() -> Result<Server> {
    Server::start(LIMITS, Duration::ZERO).await
}

/// Sends a valid review and checks that it is answered.
async fn still_serves(server: &Server) -> Result<()> {
    let (status, body) =
        server.ask("POST /claims?timeout=2s", JSON, &review("PersistentVolumeClaim")).await?;
    ensure!(status == 200 && body.contains("\"allowed\":true"), "{status}: {body}");
    Ok(())
}

#[tokio::test]
async fn an_invalid_request_is_answered_with_the_reason() -> Result<()> {
    let server = server().await?;
    let good = review("PersistentVolumeClaim");
    let half = &good[..good.len() / 2];
    for (start, content_type, body, status, says) in [
        ("POST /claims", JSON, &b""[..], 400, "is empty"),
        ("POST /claims", JSON, b"{]", 400, "not an AdmissionReview"),
        ("POST /claims", JSON, half, 400, "is truncated"),
        ("POST /claims", JSON, b"\xff\xfe", 400, "not an AdmissionReview"),
        ("POST /claims", JSON, br#"{"apiVersion":"v1","kind":"Pod"}"#, 400, "\"Pod\""),
        ("POST /services", JSON, b"[]", 400, "is expected"),
        ("POST /services", JSON, b"7", 400, "not an AdmissionReview"),
        ("POST /claims", "text/plain", &good, 415, "application/json"),
        ("POST /nowhere", JSON, &good, 404, ""),
        ("POST /", JSON, &good, 404, ""),
        ("GET /claims", JSON, b"", 405, ""),
        ("PUT /claims", JSON, &good, 405, ""),
        ("DELETE /services", JSON, b"", 405, ""),
    ] {
        let (got, text) = server.ask(start, content_type, body).await?;
        ensure!(got == status && text.contains(says), "{start} {body:?}: {got} {text}");
    }
    still_serves(&server).await
}

#[tokio::test]
async fn another_kind_of_object_is_allowed_with_a_warning() -> Result<()> {
    let server = server().await?;
    for (path, kind) in [("/claims", "Pod"), ("/services", "PersistentVolumeClaim")] {
        let (status, body) = server.ask(&format!("POST {path}"), JSON, &review(kind)).await?;
        ensure!(status == 200, "{status}: {body}");
        let answer: serde_json::Value = serde_json::from_str(&body)?;
        assert_eq!(answer["response"]["allowed"], true);
        assert_eq!(answer["response"]["warnings"].as_array().map(Vec::len), Some(1));
        assert_eq!(answer["response"]["auditAnnotations"]["reason"], "wrong_kind");
    }
    Ok(())
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_with_and_without_a_length() -> Result<()> {
    let server = server().await?;
    let announced = head("POST /claims", JSON, MAX_BODY + 1);
    let (status, text) = crate::http::parse(&server.exchange(announced.as_bytes()).await?)?;
    ensure!(status == 413 && text.contains("larger than"), "{status}: {text}");

    let mut connection = server.connect(&[b"http/1.1"]).await?;
    let start = format!(
        "POST /claims HTTP/1.1\r\nHost: x\r\nContent-Type: {JSON}\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    connection.write_all(start.as_bytes()).await?;
    let chunk = [format!("{:x}\r\n", 1 << 20).as_bytes(), &vec![b' '; 1 << 20], b"\r\n"].concat();
    for _ in 0..9 {
        if connection.write_all(&chunk).await.is_err() {
            break;
        }
    }
    let (status, _) = crate::http::parse(&rest(&mut connection).await?)?;
    ensure!(status == 413, "{status}");

    still_serves(&server).await
}

#[tokio::test]
async fn the_largest_body_is_answered_and_one_byte_more_is_not() -> Result<()> {
    let server = server().await?;
    let mut body = review("PersistentVolumeClaim");
    body.resize(MAX_BODY, b' ');
    let (status, text) = server.ask("POST /claims", JSON, &body).await?;
    ensure!(status == 200 && text.contains("\"allowed\":true"), "{status}: {text}");
    body.push(b' ');
    let (status, text) = server.ask("POST /claims", JSON, &body).await?;
    ensure!(status == 413 && text.contains("larger than"), "{status}: {text}");
    for (length, expected) in [(MAX_BODY, 200), (MAX_BODY + 1, 413)] {
        let start = format!(
            "POST /claims HTTP/1.1\r\nHost: x\r\nContent-Type: {JSON}\r\nConnection: close\r\n\
             Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n"
        );
        let sent = [start.as_bytes(), &body[..length], b"\r\n0\r\n\r\n"].concat();
        let (status, _) = crate::http::parse(&server.exchange(&sent).await?)?;
        ensure!(status == expected, "{length} bytes in a chunk: {status}");
    }
    still_serves(&server).await
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() -> Result<()> {
    let server = server().await?;
    let good = request("POST /claims");
    let mut connection = server.connect(&[b"http/1.1"]).await?;
    connection.write_all(&[&good[..], &good[..], b"\0\x01 rubbish\r\n\r\n"].concat()).await?;
    let text = String::from_utf8_lossy(&rest(&mut connection).await?).into_owned();
    assert_eq!(text.matches("HTTP/1.1 200").count(), 2, "{text}");
    assert_eq!(text.matches("HTTP/1.1 400").count(), 1, "{text}");
    still_serves(&server).await
}

#[tokio::test]
async fn a_body_that_does_not_arrive_times_out() -> Result<()> {
    let server = server().await?;
    for given in [REQUEST, Duration::from_secs(3600)] {
        let start = format!("POST /claims?timeout={}s", given.as_secs().max(1));
        let (status, text) =
            crate::http::parse(&server.exchange(head(&start, JSON, 100).as_bytes()).await?)?;
        ensure!(status == 408 && text.contains("in time"), "{status}: {text}");
    }
    still_serves(&server).await
}

#[tokio::test]
async fn a_header_that_does_not_arrive_times_out() -> Result<()> {
    let server = server().await?;
    for sent in [&b""[..], b"POST /cl", b"POST /claims HTTP/1.1\r\nHost: x\r\n"] {
        assert_eq!(server.exchange(sent).await?, b"", "{sent:?}");
    }
    still_serves(&server).await
}

#[tokio::test]
async fn bytes_that_are_not_http_are_refused() -> Result<()> {
    let server = server().await?;
    for sent in [&b"\0\0\0\0\r\n\r\n"[..], b"GET\r\n\r\n", b"POST /claims HTTP/9.9\r\n\r\n"] {
        let answer = server.exchange(sent).await?;
        ensure!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 400"), "{answer:?}");
    }
    let large = format!("POST /claims HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(100_000));
    let answer = server.exchange(large.as_bytes()).await?;
    ensure!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{answer:?}");
    still_serves(&server).await
}

#[tokio::test]
async fn http_2_is_refused_by_protocol_and_by_preface() -> Result<()> {
    let server = server().await?;
    ensure!(server.connect(&[b"h2"]).await.is_err(), "only HTTP/1.1 is served");
    let both = server.connect(&[b"h2", b"http/1.1"]).await?;
    assert_eq!(both.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    let answer = server.exchange(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await?;
    ensure!(!answer.windows(3).any(|bytes| bytes == b"200"), "{answer:?}");
    still_serves(&server).await
}

#[tokio::test]
async fn a_connection_serves_many_reviews() -> Result<()> {
    let server = server().await?;
    let mut connection = server.connect(&[b"http/1.1"]).await?;
    let body = review("PersistentVolumeClaim");
    let request = [
        head("POST /claims", JSON, body.len()).replace("Connection: close\r\n", "").as_bytes(),
        &body,
    ]
    .concat();
    for _ in 0..20 {
        connection.write_all(&request).await?;
        let answer = crate::drains::answer(&mut connection).await?;
        ensure!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    Ok(())
}
