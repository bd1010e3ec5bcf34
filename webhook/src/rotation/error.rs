//! Why a look at the certificates came to nothing, and the cause by which it is counted. What is
//! done about it is `controller.rs`'s business.

use super::ca_bundle::BundleError;
use super::cert_bundle::CertBundleError;
use super::metrics::Cause;
use super::secret::SecretError;
use fastrak_runtime::tls::TlsError;

/// Why a turn came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    /// Nothing can be published.
    #[error("the API server does not trust this webhook")]
    Bundle(#[source] BundleError),
    /// There are no certificates.
    #[error("there is no certificate")]
    Secret(#[source] SecretError),
    /// None can be made.
    #[error("could not make a certificate")]
    Make(#[source] CertBundleError),
    /// What was stored cannot be served.
    #[error("the certificate cannot be served")]
    Serve(#[source] TlsError),
    /// There is no end to what is to be done.
    #[error("others keep changing the Secret or the registration, or the Secret cannot be changed")]
    Restless,
}

impl RotationError {
    /// The cause by which it is counted.
    #[must_use]
    pub fn cause(&self) -> Cause {
        match self {
            Self::Bundle(BundleError::NotRegistered) => Cause::Unregistered,
            Self::Bundle(BundleError::Read(_)) => Cause::ReadRegistration,
            Self::Bundle(BundleError::Publish(_)) => Cause::Publish,
            Self::Secret(SecretError::Read(_)) => Cause::ReadSecret,
            Self::Secret(_) => Cause::WriteSecret,
            Self::Make(_) => Cause::Make,
            Self::Serve(_) => Cause::Serve,
            Self::Restless => Cause::Contention,
        }
    }
}
