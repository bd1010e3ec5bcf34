//! What can be wrong with a certificate, a key or a request for one. It does not
//! decide what to do about it, and no variant ever carries key material.

use x509_parser::error::{PEMError, X509Error};

/// Why a certificate could not be made, read or used.
#[derive(Debug, thiserror::Error)]
pub enum CertError {
    /// The text holds no PEM block at all.
    #[error("{what}: no PEM block found (expected -----BEGIN {expected}-----)")]
    NoBlock {
        /// The part that was being read.
        what: &'static str,
        /// The label that would have been right.
        expected: &'static str,
    },
    /// A PEM block is cut short or is not base64.
    #[error("{what}: PEM block {block} is damaged")]
    DamagedBlock {
        /// The part that was being read.
        what: &'static str,
        /// Which block, counted from one.
        block: usize,
        /// What the decoder said.
        #[source]
        source: PEMError,
    },
    /// A PEM block holds something else than what belongs there.
    #[error("{what}: PEM block {block} is a {label:?}, not a {expected:?}")]
    WrongBlock {
        /// The part that was being read.
        what: &'static str,
        /// Which block, counted from one.
        block: usize,
        /// The label found.
        label: String,
        /// The label that would have been right.
        expected: &'static str,
    },
    /// A PEM block is sound, but no certificate is inside.
    #[error("{what}: PEM block {block} does not hold an X.509 certificate")]
    NotACertificate {
        /// The part that was being read.
        what: &'static str,
        /// Which block, counted from one.
        block: usize,
        /// What the parser said.
        #[source]
        source: X509Error,
    },
    /// The private key is not a PKCS#8 ECDSA key on P-256.
    #[error("{what}: not a PKCS#8 private key on the P-256 curve")]
    UnusableKey {
        /// The part that was being read.
        what: &'static str,
        /// What the key loader said.
        #[source]
        source: rcgen::Error,
    },
    /// The certificate's public key is not on P-256.
    #[error("{what}: its public key is not on the P-256 curve")]
    NotP256 {
        /// The part that was being read.
        what: &'static str,
    },
    /// The private key belongs to another certificate.
    #[error("{what}: the private key does not belong to the certificate")]
    KeyMismatch {
        /// The part that was being read.
        what: &'static str,
    },
    /// The certificate may not sign others.
    #[error("authority: the certificate is not a CA that may sign certificates")]
    NotAnAuthority,
    /// The issuer could not be rebuilt from the certificate.
    #[error("authority: its subject or extensions cannot be taken over")]
    LoadIssuer(#[source] rcgen::Error),
    /// A period that ends before it begins, or that X.509 cannot write down.
    #[error("validity: it ends before it begins, or lies outside the years 1950 to 9999")]
    BadValidity,
    /// The wanted period and the authority's have no moment in common.
    #[error("leaf: the authority is not valid at any moment of the wanted period")]
    OutsideAuthority,
    /// A name that is neither a DNS name nor an IP address.
    #[error("leaf: {name:?} is neither a DNS name nor an IP address")]
    BadName {
        /// The name as it was given.
        name: String,
    },
    /// The random generator or the key generator failed.
    #[error("could not generate a key")]
    GenerateKey(#[source] rcgen::Error),
    /// The certificate could not be encoded or signed.
    #[error("could not sign the certificate")]
    Sign(#[source] rcgen::Error),
}
