//! How connections are secured, and which certificate is shown: the one in the slot, for every
//! connection from then on. It makes no certificate and does not know when one ends; `rotation/`
//! fills the slot.

use super::certificates::{TlsError, pair};
use super::clients::Clients;
use arc_swap::ArcSwapOption;
use fastrak_runtime::crypto;
use rustls::ServerConfig;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
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
