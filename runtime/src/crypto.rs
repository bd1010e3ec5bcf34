//! The one crypto provider, for every TLS configuration that we write ourselves.
//! It installs nothing process-wide: a default that one library sets and another
//! reads is an accident waiting for a dependency. (kube's client takes no provider;
//! it falls back on the only one compiled in, which is this one.)

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};

/// The provider to pass to every TLS configuration.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
