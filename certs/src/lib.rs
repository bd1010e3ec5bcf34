//! X.509 certificates as values: generates CAs, issues leaf certificates, parses certificates, and
//! keeps ordered bundles of trusted CAs.
//!
//! The crate does no I/O and reads no clock: `now` is always an argument. Every key that it
//! generates is ECDSA on P-256. Every certificate expires and is backdated by [`BACKDATE`].

mod bundle;
mod ca;
mod certificate;
mod error;
mod leaf;
mod pem;
mod subject;
mod validity;

pub use bundle::Bundle;
pub use ca::{CertificateAuthority, KeyPairPem, LeafRequest, Usage, signing_key_pem};
pub use certificate::Certificate;
pub use error::CertError;
pub use leaf::Leaf;
pub use subject::common_names;
pub use validity::{BACKDATE, Validity, Verdict};
