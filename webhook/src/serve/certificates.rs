//! Certificates as they are read from PEM, for those who show them and those who look at them. It does not
//! know who trusts one.

use fastrak_runtime::crypto;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use rustls::server::VerifierBuilderError;
use rustls::sign::CertifiedKey;

/// Why a certificate cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate is not PEM.
    #[error("the certificate is not PEM")]
    Certificate(#[source] pem::Error),
    /// The key is not PEM.
    #[error("the key is not PEM")]
    Key(#[source] pem::Error),
    /// The key cannot be used, or belongs to another certificate.
    #[error("the key cannot be used with the certificate")]
    Pair(#[source] rustls::Error),
    /// An authority of the clients' is no certificate.
    #[error("one of the authorities is not a certificate")]
    Authority(#[source] rustls::Error),
    /// There are no authorities.
    #[error("nobody could be trusted by it")]
    Authorities(#[source] VerifierBuilderError),
    /// No such configuration can be made.
    #[error("could not set up TLS")]
    Setup(#[source] rustls::Error),
}

/// A certificate with its chain, and the key that belongs to it.
pub fn pair(cert_pem: &str, key_pem: &str) -> Result<CertifiedKey, TlsError> {
    let chain = certificates(cert_pem.as_bytes())?;
    let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).map_err(TlsError::Key)?;
    CertifiedKey::from_der(chain, key, &crypto::provider()).map_err(TlsError::Pair)
}

pub(super) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(TlsError::Certificate)
}
