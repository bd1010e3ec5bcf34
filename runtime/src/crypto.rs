//! The crypto provider of every TLS configuration. No process-wide default is installed, because
//! another library could change it. (kube's client takes no provider. It uses the only one that is
//! compiled in, which is this one.)

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};

/// Returns the crypto provider.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
