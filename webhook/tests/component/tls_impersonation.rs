//! A TLS server with any answer and any certificate, in place of a webhook.

use anyhow::Result;
use axum::body::Body;
use fastrak_certs::{CertificateAuthority, LeafRequest, Usage, Validity};
use fastrak_runtime::{clock, crypto};
use http::{Request, Response};
use http_body_util::BodyExt as _;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use time::Duration as Time;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// Returns the status and the body for a review.
pub(crate) type Respond = fn(&Value) -> (u16, Value);

/// A server that runs until it is dropped.
pub(crate) struct FakeServer {
    pub(crate) address: SocketAddr,
    /// The CA certificate.
    pub(crate) ca: String,
    task: JoinHandle<()>,
}

/// The name and the validity of a server certificate.
pub(crate) struct FakeCertificate {
    pub(crate) name: &'static str,
    pub(crate) validity: Validity,
}

impl FakeCertificate {
    /// Returns a valid certificate of a loopback server.
    pub(crate) fn good() -> Self {
        let validity = Validity::starting(clock::offset_now(), Time::days(1));
        Self { name: "127.0.0.1", validity }
    }

    /// Returns an expired certificate.
    pub(crate) fn expired() -> Self {
        let (now, good) = (clock::offset_now(), Self::good());
        let validity = Validity { not_before: now - Time::days(2), not_after: now - Time::days(1) };
        Self { validity, ..good }
    }
}

impl FakeServer {
    pub(crate) async fn start(certificate: FakeCertificate, respond: Respond) -> Result<Self> {
        // The CA is always valid, so that only the leaf can be the cause of an error.
        let now = clock::offset_now();
        let lasting = Validity { not_before: now - Time::days(9), not_after: now + Time::days(9) };
        let ca = CertificateAuthority::generate("fake_server", lasting)?;
        let leaf = ca.issue(&LeafRequest {
            common_name: "fake_server".to_owned(),
            organization: None,
            names: vec![certificate.name.to_owned()],
            usage: Usage::Server,
            validity: certificate.validity,
        })?;
        let chain = vec![CertificateDer::from_pem_slice(leaf.cert_pem.as_bytes())?];
        let key = PrivateKeyDer::from_pem_slice(leaf.key_pem.as_bytes())?;
        let config = ServerConfig::builder_with_provider(crypto::provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let tls = TlsAcceptor::from(Arc::new(config));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, tls.clone(), respond));
            }
        });
        Ok(Self { address, ca: ca.cert_pem().to_owned(), task })
    }
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Serves one connection. A client that does not trust the server is not a failure of the test.
async fn serve(stream: TcpStream, tls: TlsAcceptor, respond: Respond) {
    let Ok(stream) = tls.accept(stream).await else { return };
    let service = service_fn(|request: Request<hyper::body::Incoming>| async move {
        let body = request.into_body().collect().await?.to_bytes();
        let review = serde_json::from_slice(&body).unwrap_or_default();
        let (status, answer) = respond(&review);
        let response = Response::builder().status(status);
        let response = response.header("content-type", "application/json");
        Ok::<_, hyper::Error>(response.body(Body::from(answer.to_string())).unwrap_or_default())
    });
    let served = hyper::server::conn::http1::Builder::new();
    drop(served.serve_connection(TokioIo::new(stream), service).await);
}

/// Returns the answer to a review with these fields in its response.
pub(crate) fn answer(review: &Value, mut response: Value) -> (u16, Value) {
    response["uid"] = review["request"]["uid"].clone();
    let answer = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "response": response,
    });
    (200, answer)
}
