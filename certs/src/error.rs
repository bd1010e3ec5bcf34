//! The errors of this crate. No variant carries key material.

use x509_parser::error::{PEMError, X509Error};

/// A certificate or key that cannot be generated, parsed or used.
#[derive(Debug, thiserror::Error)]
pub enum CertError {
    /// The text contains no PEM block.
    #[error("{what}: no PEM block found (expected -----BEGIN {expected}-----)")]
    NoBlock {
        /// The part that was read.
        what: &'static str,
        /// The expected label.
        expected: &'static str,
    },
    /// A PEM block is truncated or is not base64.
    #[error("{0}: PEM block {1} is damaged")]
    DamagedBlock(&'static str, usize, #[source] PEMError),
    /// A PEM block has the wrong label.
    #[error("{what}: PEM block {block} is a {label:?}, not a {expected:?}")]
    WrongBlock {
        /// The part that was read.
        what: &'static str,
        /// The number of the block, from one.
        block: usize,
        /// The label found.
        label: String,
        /// The expected label.
        expected: &'static str,
    },
    /// A PEM block does not contain a certificate.
    #[error("{0}: PEM block {1} is not an X.509 certificate")]
    NotACertificate(&'static str, usize, #[source] X509Error),
    /// The private key is not a PKCS#8 ECDSA key on P-256.
    #[error("{0}: not a PKCS#8 private key on the P-256 curve")]
    UnusableKey(&'static str, #[source] rcgen::Error),
    /// The certificate's public key is not on P-256.
    #[error("{0}: its public key is not on the P-256 curve")]
    NotP256(&'static str),
    /// The private key belongs to another certificate.
    #[error("{0}: the private key does not belong to the certificate")]
    KeyMismatch(&'static str),
    /// The certificate may not sign other certificates.
    #[error("CA: the certificate is not a CA that may sign certificates")]
    NotACa,
    /// The certificate has a subject or an extension that rcgen cannot use for an issuer.
    #[error("CA: its subject or extensions are not supported")]
    LoadIssuer(#[source] rcgen::Error),
    /// A validity that X.509 cannot encode.
    #[error("validity: notAfter is before notBefore, or a year is not from 1950 to 9999")]
    BadValidity,
    /// The requested validity does not overlap that of the CA.
    #[error("leaf: the requested validity does not overlap the validity of the CA")]
    OutsideCaValidity,
    /// A name that is neither a DNS name nor an IP address.
    #[error("leaf: {0:?} is neither a DNS name nor an IP address")]
    BadName(String),
    /// Key generation failed.
    #[error("could not generate a key")]
    GenerateKey(#[source] rcgen::Error),
    /// The certificate could not be encoded or signed.
    #[error("could not sign the certificate")]
    Sign(#[source] rcgen::Error),
}
