//! Which certificate is shown: the one in the slot, for every connection from then on. It makes no
//! certificate and does not know when one ends; `rotation/` fills the slot.

use arc_swap::ArcSwapOption;
use fastrak_runtime::crypto;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::sync::Arc;

/// The certificate that is shown. Empty until the first is set: handshakes fail until then.
#[derive(Debug, Default)]
pub struct Slot {
    current: ArcSwapOption<CertifiedKey>,
}

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
    /// No such configuration can be made.
    #[error("could not set up TLS")]
    Setup(#[source] rustls::Error),
}

impl Slot {
    /// Shows this certificate from now on.
    pub fn set(&self, cert_pem: &str, key_pem: &str) -> Result<(), TlsError> {
        self.current.store(Some(Arc::new(pair(cert_pem, key_pem)?)));
        Ok(())
    }
}

/// A certificate with its chain, and the key that belongs to it.
pub fn pair(cert_pem: &str, key_pem: &str) -> Result<CertifiedKey, TlsError> {
    let chain = CertificateDer::pem_slice_iter(cert_pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(TlsError::Certificate)?;
    let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).map_err(TlsError::Key)?;
    CertifiedKey::from_der(chain, key, &crypto::provider()).map_err(TlsError::Pair)
}

impl ResolvesServerCert for Slot {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.current.load_full()
    }
}

/// How connections are secured: TLS 1.2 and 1.3, and nothing but HTTP/1.1 inside.
pub fn config(slot: Arc<Slot>) -> Result<ServerConfig, TlsError> {
    let mut config = ServerConfig::builder_with_provider(crypto::provider())
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Setup)?
        .with_no_client_auth()
        .with_cert_resolver(slot);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
