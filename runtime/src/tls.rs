//! TLS of servers: certificates from PEM, the presented certificate, and the shared settings.

use crate::crypto;
use arc_swap::ArcSwapOption;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{
    ClientHello, NoServerSessionStorage, ResolvesServerCert, VerifierBuilderError,
};
use rustls::sign::CertifiedKey;
use std::sync::Arc;

/// Why TLS cannot be set up.
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
    /// A client CA is not a certificate.
    #[error("one of the CAs is not a certificate")]
    Ca(#[source] rustls::Error),
    /// There is no client CA.
    #[error("there is no client CA")]
    NoCa(#[source] VerifierBuilderError),
    /// TLS cannot be configured.
    #[error("could not set up TLS")]
    Setup(#[source] rustls::Error),
}

/// The certificate that a server presents. Handshakes fail until the first is set.
#[derive(Debug, Default)]
pub struct Slot {
    current: ArcSwapOption<CertifiedKey>,
}

impl Slot {
    /// Sets the certificate to present.
    pub fn set(&self, cert_pem: &str, key_pem: &str) -> Result<(), TlsError> {
        self.current.store(Some(Arc::new(pair(cert_pem, key_pem)?)));
        Ok(())
    }

    /// Returns whether there is a certificate to present.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.current.load().is_some()
    }
}

impl ResolvesServerCert for Slot {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.current.load_full()
    }
}

/// Returns a certificate with its chain and the key that belongs to it.
pub fn pair(cert_pem: &str, key_pem: &str) -> Result<CertifiedKey, TlsError> {
    let chain = certificates(cert_pem.as_bytes())?;
    let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).map_err(TlsError::Key)?;
    CertifiedKey::from_der(chain, key, &crypto::provider()).map_err(TlsError::Pair)
}

/// Returns all certificates of a PEM file.
pub fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(TlsError::Certificate)
}

/// Returns the settings of a server that presents the slot's certificate: TLS 1.2 and 1.3, HTTP/1.1
/// only. Without `clients`, client certificates are not requested.
pub fn server_config(
    slot: Arc<Slot>,
    clients: Option<Arc<dyn ClientCertVerifier>>,
) -> Result<ServerConfig, TlsError> {
    let builder = ServerConfig::builder_with_provider(crypto::provider())
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Setup)?;
    let builder = match clients {
        Some(clients) => builder.with_client_cert_verifier(clients),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(slot);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Resumed sessions skip client verification and would outlive a CA change. An API server does
    // not resume sessions.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}
