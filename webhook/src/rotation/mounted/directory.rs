//! Reads and checks the directory with the mounted certificate. A directory that is replaced during the
//! read does not match and is read again later.

use fastrak_certs::{Bundle, CertError, Certificate};
use fastrak_runtime::crypto;
use fastrak_runtime::tls::{TlsError, pair};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use sha2::{Digest as _, Sha256};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use time::OffsetDateTime;

/// The keys of a `kubernetes.io/tls` Secret.
const CERT: &str = "tls.crt";
const KEY: &str = "tls.key";
const CA_CERT: &str = "ca.crt";

/// The content of the directory.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) cert_pem: String,
    pub(super) key_pem: String,
    pub(super) chain: CertChain,
    /// The CAs that the API server should trust. Empty if another client writes `caBundle`.
    pub(super) cas: Bundle,
    pub(super) digest: [u8; 32],
    pub(super) expires: OffsetDateTime,
    pub(super) serial: String,
}

/// A leaf certificate and its intermediate certificates.
#[derive(Clone, Debug)]
pub(super) struct CertChain(Vec<CertificateDer<'static>>);

/// Why the certificate in the directory is not usable.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DirectoryError {
    #[error("could not read {0}")]
    Read(&'static str, #[source] io::Error),
    #[error("tls.crt is not a certificate")]
    Certificate(#[source] CertError),
    #[error("tls.key does not match tls.crt")]
    Pair(#[source] TlsError),
    #[error("tls.crt expired at {0}")]
    Expired(OffsetDateTime),
    /// The certificate does not cover the name that the API server uses.
    #[error("tls.crt does not cover the name {0}")]
    Name(String),
    #[error("ca.crt has no CA certificate")]
    NoCa,
    #[error("tls.crt was not issued by a CA in ca.crt")]
    UnknownIssuer,
}

/// Reads the directory. The API server uses the first of `names`.
pub(super) async fn read(
    directory: &Path,
    names: &[String],
    now: OffsetDateTime,
) -> Result<Found, DirectoryError> {
    let cert_pem = text(directory, CERT).await?;
    let key_pem = text(directory, KEY).await?;
    let trusted = match text(directory, CA_CERT).await {
        Err(DirectoryError::Read(_, error)) if error.kind() == io::ErrorKind::NotFound => None,
        other => Some(other?),
    };
    let certificate = Certificate::read(&cert_pem).map_err(DirectoryError::Certificate)?;
    let chain = CertChain(pair(&cert_pem, &key_pem).map_err(DirectoryError::Pair)?.cert.clone());
    if certificate.validity.not_after < now {
        return Err(DirectoryError::Expired(certificate.validity.not_after));
    }
    if let Some(name) = names.first().filter(|name| !certificate.covers(&[(*name).clone()])) {
        return Err(DirectoryError::Name(name.clone()));
    }
    // An issuer that does not know its CA leaves the file empty.
    let trusted = trusted.filter(|text| !text.trim().is_empty());
    let cas = trusted.as_deref().map(Bundle::salvage);
    if cas.as_ref().is_some_and(Bundle::is_empty) {
        return Err(DirectoryError::NoCa);
    }
    let cas = cas.unwrap_or_default();
    if !cas.is_empty() && !chain.is_trusted(&cas.to_pem(), names, now) {
        return Err(DirectoryError::UnknownIssuer);
    }
    let digest = digest(&[&cert_pem, &key_pem, &cas.to_pem()]);
    let (expires, serial) = (certificate.validity.not_after, certificate.serial);
    Ok(Found { cert_pem, key_pem, chain, cas, digest, expires, serial })
}

async fn text(directory: &Path, file: &'static str) -> Result<String, DirectoryError> {
    let text = tokio::fs::read_to_string(directory.join(file)).await;
    text.map_err(|error| DirectoryError::Read(file, error))
}

fn digest(texts: &[&str]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update(text.len().to_be_bytes());
        hash.update(text);
    }
    hash.finalize().into()
}

impl CertChain {
    /// Returns whether a client that trusts `bundle` accepts the leaf for the first of `names`.
    pub(super) fn is_trusted(&self, bundle: &str, names: &[String], now: OffsetDateTime) -> bool {
        self.verify(bundle, names, now).is_some()
    }

    fn verify(&self, bundle: &str, names: &[String], now: OffsetDateTime) -> Option<()> {
        let mut roots = RootCertStore::empty();
        let readable = CertificateDer::pem_slice_iter(bundle.as_bytes()).filter_map(Result::ok);
        roots.add_parsable_certificates(readable);
        let builder =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), crypto::provider());
        let name = ServerName::try_from(names.first()?.as_str()).ok()?;
        let since = Duration::from_secs(u64::try_from(now.unix_timestamp()).ok()?);
        let (leaf, intermediates) = self.0.split_first()?;
        let time = UnixTime::since_unix_epoch(since);
        builder
            .build()
            .ok()?
            .verify_server_cert(leaf, intermediates, &name, &[], time)
            .ok()
            .map(drop)
    }
}
