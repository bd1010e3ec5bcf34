//! The TLS configuration. Each new connection uses the certificate in the slot, which `rotation/`
//! sets.

use super::clients::Clients;
use fastrak_runtime::tls::{Slot, TlsError, server_config};
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

/// The TLS configuration of connections.
#[derive(Clone)]
pub struct Security {
    pub(super) acceptor: TlsAcceptor,
    pub(super) slot: Arc<Slot>,
    pub(super) asks_clients: bool,
}

impl Security {
    /// Returns a configuration with the certificate in the slot. Without `clients`, no client
    /// certificate is requested.
    pub fn new(slot: Arc<Slot>, clients: Option<Arc<Clients>>) -> Result<Self, TlsError> {
        let asks_clients = clients.is_some();
        let config = server_config(Arc::clone(&slot), clients.map(|clients| clients as _))?;
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), slot, asks_clients })
    }
}
