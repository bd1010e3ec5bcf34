//! A TLS server that says whatever a test wants it to: what stands at the address of a webhook and is
//! none, or is another's.

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

/// What it says, given a review.
pub(crate) type Says = fn(&Value) -> (u16, Value);

/// One that runs, until it is dropped.
pub(crate) struct Impostor {
    pub(crate) address: SocketAddr,
    /// The authority of its certificate.
    pub(crate) authority: String,
    task: JoinHandle<()>,
}

/// What its certificate says.
pub(crate) struct Papers {
    pub(crate) name: &'static str,
    pub(crate) validity: Validity,
}

impl Papers {
    /// As they should be for a server on loopback.
    pub(crate) fn good() -> Self {
        let validity = Validity::starting(clock::offset_now(), Time::days(1));
        Self { name: "127.0.0.1", validity }
    }

    /// Their time is over.
    pub(crate) fn expired() -> Self {
        let (now, good) = (clock::offset_now(), Self::good());
        let validity = Validity { not_before: now - Time::days(2), not_after: now - Time::days(1) };
        Self { validity, ..good }
    }
}

impl Impostor {
    pub(crate) async fn start(papers: Papers, says: Says) -> Result<Self> {
        // The authority is always valid: what is wrong is to be the leaf's fault.
        let now = clock::offset_now();
        let lasting = Validity { not_before: now - Time::days(9), not_after: now + Time::days(9) };
        let authority = CertificateAuthority::generate("impostor", lasting)?;
        let leaf = authority.issue(&LeafRequest {
            common_name: "impostor".to_owned(),
            organization: None,
            names: vec![papers.name.to_owned()],
            usage: Usage::Server,
            validity: papers.validity,
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
                tokio::spawn(attend(stream, tls.clone(), says));
            }
        });
        Ok(Self { address, authority: authority.cert_pem().to_owned(), task })
    }
}

impl Drop for Impostor {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Answers one caller. One that does not trust it is no failure of a test.
async fn attend(stream: TcpStream, tls: TlsAcceptor, says: Says) {
    let Ok(stream) = tls.accept(stream).await else { return };
    let service = service_fn(|request: Request<hyper::body::Incoming>| async move {
        let body = request.into_body().collect().await?.to_bytes();
        let review = serde_json::from_slice(&body).unwrap_or_default();
        let (status, answer) = says(&review);
        let response = Response::builder().status(status);
        let response = response.header("content-type", "application/json");
        Ok::<_, hyper::Error>(response.body(Body::from(answer.to_string())).unwrap_or_default())
    });
    let served = hyper::server::conn::http1::Builder::new();
    drop(served.serve_connection(TokioIo::new(stream), service).await);
}

/// A review's answer with these fields in its response.
pub(crate) fn answer(review: &Value, mut response: Value) -> (u16, Value) {
    response["uid"] = review["request"]["uid"].clone();
    let answer = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "response": response,
    });
    (200, answer)
}
