//! The errors of the rotation, and their causes in metrics.

use super::ca_bundle::BundleError;
use super::cert_bundle::CertBundleError;
use super::metrics::Cause;
use super::mounted::DirectoryError;
use super::secret::SecretError;
use fastrak_runtime::tls::TlsError;

/// Why the rotation failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum RotationError {
    #[error("the API server does not trust this webhook")]
    Bundle(#[source] BundleError),
    #[error("could not load or store the certificates")]
    Secret(#[source] SecretError),
    #[error("could not create a certificate")]
    Make(#[source] CertBundleError),
    /// `--tls-dir` has no usable certificate. The previous one is still served.
    #[error("the certificate in --tls-dir is not usable")]
    Mounted(#[source] DirectoryError),
    #[error("could not serve the certificate")]
    Serve(#[source] TlsError),
    #[error(
        "no progress: other clients keep changing the webhook configuration or the certificates"
    )]
    Contended,
}

impl RotationError {
    #[must_use]
    pub(super) fn cause(&self) -> Cause {
        match self {
            Self::Bundle(BundleError::NoConfiguration) => Cause::NoConfiguration,
            Self::Bundle(BundleError::Read(_)) => Cause::ReadConfiguration,
            Self::Bundle(BundleError::Publish(_)) => Cause::Publish,
            Self::Secret(SecretError::Read(_)) => Cause::ReadSecret,
            Self::Secret(_) => Cause::WriteSecret,
            Self::Make(_) => Cause::Make,
            Self::Mounted(_) => Cause::Mounted,
            Self::Serve(_) => Cause::Serve,
            Self::Contended => Cause::Contention,
        }
    }
}
