//! A connection of a client that takes less processor time than the servers: HTTP/1.1 over TLS 1.3
//! with prepared requests, which reads only the checked parts of a response. It does not reconnect.

use super::review::Review;
use anyhow::{Context, Result, bail, ensure};
use fastrak_runtime::crypto;
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Far more than the size of a response.
const LARGEST: usize = 64 * 1024;

/// The start of the patch in a response.
const PATCH: &[u8] = br#""patch":""#;

/// A server and the CAs that it must have.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// The address.
    pub(crate) address: SocketAddr,
    /// The TLS configuration.
    pub(crate) tls: Arc<ClientConfig>,
}

/// An open connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TlsStream<TcpStream>,
    buffer: Vec<u8>,
    /// The offsets of the uid and the patch in the last response. A server writes them at the same
    /// place each time, so that they need not be searched.
    uid_at: usize,
    patch_at: usize,
}

/// The checked parts of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Whether it changes the object.
    pub(crate) patched: bool,
    /// Whether the server ends the connection.
    pub(crate) closes: bool,
}

/// Returns a configuration that trusts this bundle. Sessions are not resumed, so that each
/// connection verifies the server's certificate.
pub(crate) fn trusting(bundle_pem: &[u8]) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(bundle_pem) {
        roots.add(certificate.context("read a bundle")?).context("trust a certificate")?;
    }
    ensure!(!roots.is_empty(), "the bundle is empty");
    let mut config = ClientConfig::builder_with_provider(crypto::provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .context("set up TLS")?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

impl Connection {
    /// Connects, and verifies the server's certificate.
    pub(crate) async fn open(target: &Target) -> Result<Self> {
        let stream = TcpStream::connect(target.address).await.context("connect")?;
        stream.set_nodelay(true).context("set TCP_NODELAY")?;
        let name = ServerName::IpAddress(target.address.ip().into());
        let connector = TlsConnector::from(Arc::clone(&target.tls));
        let stream = connector.connect(name, stream).await.context("TLS handshake")?;
        Ok(Self { stream, buffer: Vec::with_capacity(4096), uid_at: 0, patch_at: 0 })
    }

    /// Sends a review and reads its response, which must have the uid of the review.
    pub(crate) async fn call(&mut self, review: &mut Review, number: u64) -> Result<Answer> {
        self.stream.write_all(review.numbered(number)).await.context("send")?;
        self.stream.flush().await.context("send")?;
        self.buffer.clear();
        let head = loop {
            self.read_more().await?;
            if let Some(head) = head(&self.buffer)? {
                break head;
            }
        };
        while self.buffer.len() < head.body_at + head.length {
            self.read_more().await?;
        }
        let body = &self.buffer[head.body_at..head.body_at + head.length];
        let uid = place(body, review.uid(), self.uid_at).context("an answer without the uid")?;
        let patch = place(body, PATCH, self.patch_at);
        (self.uid_at, self.patch_at) = (uid, patch.unwrap_or_default());
        Ok(Answer { patched: patch.is_some(), closes: head.closes })
    }

    /// Returns whether the server has left the connection open since the last answer.
    pub(crate) async fn is_open(&mut self) -> bool {
        let mut byte = [0];
        // Between two calls only the end of the connection can be read.
        tokio::select! {
            biased;
            _ = self.stream.read(&mut byte) => false,
            () = std::future::ready(()) => true,
        }
    }

    /// Returns the server's certificate.
    #[must_use]
    pub(crate) fn certificate(&self) -> Option<&CertificateDer<'static>> {
        self.stream.get_ref().1.peer_certificates()?.first()
    }

    /// Closes the connection in order.
    pub(crate) async fn close(mut self) {
        // The server may have closed it already.
        drop(self.stream.shutdown().await);
    }

    async fn read_more(&mut self) -> Result<()> {
        ensure!(self.buffer.len() < LARGEST, "an answer that does not end");
        let read = self.stream.read_buf(&mut self.buffer).await.context("read an answer")?;
        ensure!(read > 0, "the connection ended before the answer");
        Ok(())
    }
}

/// The used parts of a response header.
struct Head {
    body_at: usize,
    length: usize,
    closes: bool,
}

/// Parses the header if it is complete.
fn head(bytes: &[u8]) -> Result<Option<Head>> {
    let Some(end) = find(bytes, b"\r\n\r\n") else { return Ok(None) };
    let text = std::str::from_utf8(&bytes[..end]).context("a header that is not UTF-8")?;
    let mut lines = text.split("\r\n");
    let status = lines.next().unwrap_or_default();
    if !status.starts_with("HTTP/1.1 200") {
        bail!("{status}: {}", String::from_utf8_lossy(&bytes[end..]).trim());
    }
    let (mut length, mut closes) = (None, false);
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().ok();
        } else if name.eq_ignore_ascii_case("connection") {
            closes = value.trim().eq_ignore_ascii_case("close");
        }
    }
    let length = length.context("an answer without its length")?;
    Ok(Some(Head { body_at: end + 4, length, closes }))
}

/// Returns the offset of a text: first where it was before, then anywhere.
fn place(text: &[u8], wanted: &[u8], was: usize) -> Option<usize> {
    let there = text.get(was..).is_some_and(|rest| rest.starts_with(wanted));
    if there { Some(was) } else { find(text, wanted) }
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    let first = *wanted.first()?;
    let mut from = 0;
    while let Some(at) = text[from..].iter().position(|byte| *byte == first) {
        if text[from + at..].starts_with(wanted) {
            return Some(from + at);
        }
        from += at + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_once_it_is_whole() {
        let text = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
        assert!(head(&text[..40]).unwrap().is_none());
        let head = head(text).unwrap().unwrap();
        assert_eq!((&text[head.body_at..], head.length, head.closes), (&b"{}"[..], 2, true));
    }

    #[test]
    fn the_error_of_another_status_has_the_status_and_the_body() {
        let error = head(b"HTTP/1.1 503 Busy\r\n\r\ntoo many").err().unwrap().to_string();
        assert!(error.contains("503") && error.contains("too many"), "{error}");
        assert!(head(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }

    #[test]
    fn a_text_is_found_where_it_is() {
        assert_eq!(find(b"ababc", b"abc"), Some(2));
        assert_eq!((place(b"ababc", b"abc", 2), place(b"ababc", b"abc", 9)), (Some(2), Some(2)));
        assert_eq!((find(b"ab", b"abc"), find(b"", b"a"), find(b"a", b"")), (None, None, None));
    }
}
