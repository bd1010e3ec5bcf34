//! An ordered set of trusted CA certificates, as in a `caBundle`. It keeps the order in which
//! certificates were added, because callers compare the PEM text.

use time::OffsetDateTime;

use crate::{CertError, pem};

const WHAT: &str = "bundle";
const ADDED: &str = "certificate to trust";
const CHECKED: &str = "certificate to check";

/// An ordered set of trusted certificates.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bundle {
    ders: Vec<Vec<u8>>,
}

impl Bundle {
    /// Returns an empty bundle.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Parses PEM certificates with comments between them, and drops duplicates. Blank text is an
    /// empty bundle. Other text without a PEM block, or with a block that is not a certificate, is
    /// an error.
    pub fn parse(text: &str) -> Result<Self, CertError> {
        let found = pem::certificates(WHAT, text)?;
        if found.is_empty() && !text.trim().is_empty() {
            return Err(CertError::NoBlock { what: WHAT, expected: pem::CERTIFICATE });
        }
        Ok(Self::of(found))
    }

    /// Parses the CA certificates of an untrusted text. Skips damaged blocks, keys and certificates
    /// that may not sign.
    #[must_use]
    pub fn salvage(text: &str) -> Self {
        let signs = |der: &Vec<u8>| pem::parse(WHAT, 1, der).is_ok_and(|cert| pem::may_sign(&cert));
        Self::of(pem::readable_certificates(text).into_iter().filter(signs))
    }

    /// Appends the first certificate in `cert_pem`. Returns false if the bundle contains it
    /// already.
    pub fn add(&mut self, cert_pem: &str) -> Result<bool, CertError> {
        Ok(self.push(pem::first_certificate(ADDED, cert_pem)?))
    }

    /// Removes the certificates that have expired at `now` and returns their number. Keeps
    /// certificates that are not valid yet, such as the next CA.
    pub fn prune_expired(&mut self, now: OffsetDateTime) -> usize {
        let before = self.ders.len();
        self.ders.retain(|der| match pem::parse(WHAT, 1, der) {
            Ok(cert) => pem::validity(&cert).not_after >= now,
            Err(_) => false,
        });
        before - self.ders.len()
    }

    /// Returns whether the bundle contains the certificate in `cert_pem`.
    #[must_use]
    pub fn contains(&self, cert_pem: &str) -> bool {
        pem::first_certificate(CHECKED, cert_pem).is_ok_and(|der| self.ders.contains(&der))
    }

    /// Returns whether the certificate in `leaf_pem` and a CA of the bundle that signed it are both
    /// valid at `now`; false if `leaf_pem` is not a certificate.
    #[must_use]
    pub fn trusts(&self, leaf_pem: &str, now: OffsetDateTime) -> bool {
        let Ok(der) = pem::first_certificate(CHECKED, leaf_pem) else { return false };
        let Ok(leaf) = pem::parse(CHECKED, 1, &der) else { return false };
        self.ders
            .iter()
            .any(|der| pem::parse(WHAT, 1, der).is_ok_and(|ca| pem::is_trusted_by(&leaf, &ca, now)))
    }

    /// Returns all certificates as one PEM text, in order.
    #[must_use]
    pub fn to_pem(&self) -> String {
        self.iter().collect()
    }

    /// Iterates over the certificates as PEM text, in order.
    pub fn iter(&self) -> impl Iterator<Item = String> + '_ {
        self.ders.iter().map(|der| pem::encode_certificate(der))
    }

    /// Returns the number of certificates.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ders.len()
    }

    /// Returns whether the bundle contains no certificate.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ders.is_empty()
    }

    fn of(ders: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let mut bundle = Self::new();
        for der in ders {
            bundle.push(der);
        }
        bundle
    }

    fn push(&mut self, der: Vec<u8>) -> bool {
        let new = !self.ders.contains(&der);
        if new {
            self.ders.push(der);
        }
        new
    }
}

#[cfg(test)]
mod tests;
