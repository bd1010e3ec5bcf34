//! How connections are secured, and which certificate is shown: the one in the slot, for every
//! connection from then on. It makes no certificate and does not know when one ends; `rotation/`
//! fills the slot.

use super::clients::Clients;
use arc_swap::ArcSwapOption;
use fastrak_runtime::crypto;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use rustls::server::{
    ClientHello, NoServerSessionStorage, ResolvesServerCert, VerifierBuilderError,
};
use rustls::sign::CertifiedKey;
use std::fmt;
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

/// How connections are secured.
#[derive(Clone)]
pub struct Security {
    pub(super) acceptor: TlsAcceptor,
    pub(super) slot: Arc<Slot>,
    pub(super) asks_clients: bool,
}

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

impl Slot {
    /// Shows this certificate from now on.
    pub fn set(&self, cert_pem: &str, key_pem: &str) -> Result<(), TlsError> {
        self.current.store(Some(Arc::new(pair(cert_pem, key_pem)?)));
        Ok(())
    }

    /// Whether there is a certificate to show.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.current.load().is_some()
    }
}

/// A certificate with its chain, and the key that belongs to it.
pub fn pair(cert_pem: &str, key_pem: &str) -> Result<CertifiedKey, TlsError> {
    let chain = certificates(cert_pem.as_bytes())?;
    let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).map_err(TlsError::Key)?;
    CertifiedKey::from_der(chain, key, &crypto::provider()).map_err(TlsError::Pair)
}

impl ResolvesServerCert for Slot {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.current.load_full()
    }
}

impl Security {
    /// TLS 1.2 and 1.3, and nothing but HTTP/1.1 inside. Without `clients` nobody is asked for a
    /// certificate.
    pub fn new(slot: Arc<Slot>, clients: Option<Arc<Clients>>) -> Result<Self, TlsError> {
        let builder = ServerConfig::builder_with_provider(crypto::provider())
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Setup)?;
        let asks_clients = clients.is_some();
        let builder = match clients {
            Some(clients) => builder.with_client_cert_verifier(clients),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::clone(&slot) as _);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // A session that is taken up again shows no certificate: it would outlive the trust in the one
        // that it was begun with. And an API server takes none up, so to keep them were for nothing.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), slot, asks_clients })
    }
}

impl fmt::Debug for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Security").field("asks_clients", &self.asks_clients).finish_non_exhaustive()
    }
}

pub(super) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(TlsError::Certificate)
}
