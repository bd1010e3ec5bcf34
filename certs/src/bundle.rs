//! An ordered set of certificates to trust, as a caBundle carries it. It keeps
//! the order in which certificates were added, because a reader compares the
//! text, and never drops one unless asked to.

use time::OffsetDateTime;

use crate::{CertError, pem};

const WHAT: &str = "bundle";
const ADDED: &str = "certificate to trust";
const ASKED: &str = "certificate to judge";

/// The certificates to trust, each of them once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bundle {
    ders: Vec<Vec<u8>>,
}

impl Bundle {
    /// A bundle that trusts nobody.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The bundle in `text`: any number of certificates, comments between them,
    /// duplicates dropped. Blank text is an empty bundle; text without a single
    /// block, or with a block that is not a certificate, is an error.
    pub fn parse(text: &str) -> Result<Self, CertError> {
        let found = pem::certificates(WHAT, text)?;
        if found.is_empty() && !text.trim().is_empty() {
            return Err(CertError::NoBlock { what: WHAT, expected: pem::CERTIFICATE });
        }
        let mut bundle = Self::new();
        for der in found {
            bundle.push(der);
        }
        Ok(bundle)
    }

    /// The authorities that can still be read in a text that anybody may have written: damaged
    /// blocks, keys and certificates that may not sign are left out.
    #[must_use]
    pub fn salvage(text: &str) -> Self {
        let mut bundle = Self::new();
        let signs = |der: &Vec<u8>| pem::parse(WHAT, 1, der).is_ok_and(|cert| pem::may_sign(&cert));
        for der in pem::readable_certificates(text).into_iter().filter(signs) {
            bundle.push(der);
        }
        bundle
    }

    /// Adds the first certificate in `cert_pem` at the end; false when it was there.
    pub fn add(&mut self, cert_pem: &str) -> Result<bool, CertError> {
        Ok(self.push(pem::first_certificate(ADDED, cert_pem)?))
    }

    /// Drops every certificate that has ended by `now`; returns how many. One that
    /// has not begun stays: it is the next authority.
    pub fn prune_expired(&mut self, now: OffsetDateTime) -> usize {
        let before = self.ders.len();
        self.ders.retain(|der| match pem::parse(WHAT, 1, der) {
            Ok(cert) => pem::validity(&cert).not_after >= now,
            Err(_) => false,
        });
        before - self.ders.len()
    }

    /// Whether the very certificate in `cert_pem` is here.
    #[must_use]
    pub fn contains(&self, cert_pem: &str) -> bool {
        pem::first_certificate(ASKED, cert_pem).is_ok_and(|der| self.ders.contains(&der))
    }

    /// Whether a certificate here, valid at `now`, signed the one in `leaf_pem`,
    /// which is valid too. Garbage is not trusted.
    #[must_use]
    pub fn trusts(&self, leaf_pem: &str, now: OffsetDateTime) -> bool {
        let Ok(der) = pem::first_certificate(ASKED, leaf_pem) else {
            return false;
        };
        let Ok(leaf) = pem::parse(ASKED, 1, &der) else {
            return false;
        };
        let vouches = |authority: &Vec<u8>| {
            pem::parse(WHAT, 1, authority)
                .is_ok_and(|authority| pem::vouches(&authority, &leaf, now))
        };
        self.ders.iter().any(vouches)
    }

    /// All of it as PEM text, in order.
    #[must_use]
    pub fn to_pem(&self) -> String {
        self.ders.iter().map(|der| pem::encode_certificate(der)).collect()
    }

    /// Each certificate as PEM text, in order.
    pub fn iter(&self) -> impl Iterator<Item = String> + '_ {
        self.ders.iter().map(|der| pem::encode_certificate(der))
    }

    /// How many certificates are here.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ders.len()
    }

    /// Whether nobody is trusted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ders.is_empty()
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
