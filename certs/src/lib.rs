//! X.509 as values: make an authority, issue leaves from it, read certificates
//! back, and keep an ordered bundle of the authorities to trust.
//!
//! It does no I/O and reads no clock: `now` is always an argument. It knows
//! nothing about where certificates are stored or who presents them. Every key
//! is ECDSA on P-256, every certificate has an end, and none is back-dated by
//! more than [`BACKDATE`].

mod authority;
mod bundle;
mod certificate;
mod error;
mod leaf;
mod pem;
mod subject;
mod validity;

pub use authority::{Authority, KeyPairPem, LeafRequest, Usage, signing_key_pem};
pub use bundle::Bundle;
pub use certificate::Certificate;
pub use error::CertError;
pub use leaf::Leaf;
pub use subject::common_names;
pub use validity::{BACKDATE, Validity, Verdict};
