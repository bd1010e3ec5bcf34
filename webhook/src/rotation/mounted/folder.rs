//! The folder with the operator's certificate: read, and checked to be of one piece. A folder that
//! is swapped while it is read does not fit, and is read again later. It serves nothing.

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

/// The names of a `kubernetes.io/tls` Secret's keys.
const CERT: &str = "tls.crt";
const KEY: &str = "tls.key";
const AUTHORITIES: &str = "ca.crt";

/// What was found.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) cert_pem: String,
    pub(super) key_pem: String,
    pub(super) chain: Chained,
    /// Whom the API server is to trust; none where that is another's business.
    pub(super) authorities: Bundle,
    pub(super) digest: [u8; 32],
    pub(super) ends: OffsetDateTime,
    pub(super) serial: String,
}

/// A leaf, and the certificates that lead from it to an authority.
#[derive(Clone, Debug)]
pub(super) struct Chained(Vec<CertificateDer<'static>>);

/// Why what is in the folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// A file cannot be read.
    #[error("could not read {file}")]
    Read {
        /// Which.
        file: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The certificate cannot be read.
    #[error("tls.crt is no certificate")]
    Certificate(#[source] CertError),
    /// Key and certificate do not fit.
    #[error("tls.crt and tls.key do not fit")]
    Pair(#[source] TlsError),
    /// The certificate has expired.
    #[error("tls.crt ended at {0}")]
    Ended(OffsetDateTime),
    /// The certificate is not for us.
    #[error("tls.crt is not for {0}")]
    Name(String),
    /// There is nobody to trust in the file that says whom to trust.
    #[error("ca.crt holds no certificate that may sign others")]
    NoAuthority,
    /// The authorities have not signed the certificate.
    #[error("tls.crt does not lead to ca.crt")]
    Stranger,
}

/// Reads the folder. The first of `names` is the one that the API server calls.
pub(super) async fn read(
    folder: &Path,
    names: &[String],
    now: OffsetDateTime,
) -> Result<Found, FolderError> {
    let cert_pem = text(folder, CERT).await?;
    let key_pem = text(folder, KEY).await?;
    let trusted = match text(folder, AUTHORITIES).await {
        Err(FolderError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => None,
        other => Some(other?),
    };
    let says = Certificate::read(&cert_pem).map_err(FolderError::Certificate)?;
    let chain = Chained(pair(&cert_pem, &key_pem).map_err(FolderError::Pair)?.cert.clone());
    if says.validity.not_after < now {
        return Err(FolderError::Ended(says.validity.not_after));
    }
    if let Some(name) = names.first().filter(|name| !says.covers(&[(*name).clone()])) {
        return Err(FolderError::Name(name.clone()));
    }
    // An issuer that knows nothing of its authority leaves the file empty.
    let trusted = trusted.filter(|text| !text.trim().is_empty());
    let authorities = trusted.as_deref().map(Bundle::salvage);
    if authorities.as_ref().is_some_and(Bundle::is_empty) {
        return Err(FolderError::NoAuthority);
    }
    let authorities = authorities.unwrap_or_default();
    if !authorities.is_empty() && !chain.is_trusted(&authorities.to_pem(), names, now) {
        return Err(FolderError::Stranger);
    }
    let digest = digest(&[&cert_pem, &key_pem, &authorities.to_pem()]);
    let (ends, serial) = (says.validity.not_after, says.serial);
    Ok(Found { cert_pem, key_pem, chain, authorities, digest, ends, serial })
}

async fn text(folder: &Path, file: &'static str) -> Result<String, FolderError> {
    let text = tokio::fs::read_to_string(folder.join(file)).await;
    text.map_err(|source| FolderError::Read { file, source })
}

fn digest(texts: &[&str]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update(text.len().to_be_bytes());
        hash.update(text);
    }
    hash.finalize().into()
}

impl Chained {
    /// Returns whether somebody who trusts this bundle would take the leaf for the first of these
    /// names.
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
        let (leaf, between) = self.0.split_first()?;
        let time = UnixTime::since_unix_epoch(since);
        builder.build().ok()?.verify_server_cert(leaf, between, &name, &[], time).ok().map(drop)
    }
}
