//! A leaf certificate that a server is about to present, checked against its private key. The
//! caller checks its validity.

use std::net::IpAddr;

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;

use crate::{CertError, Certificate, pem};

const WHAT: &str = "leaf";

/// A leaf certificate whose private key is known to match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// The certificate.
    pub certificate: Certificate,
    der: Vec<u8>,
}

impl Leaf {
    /// Loads the first certificate of a chain and its private key, both on P-256, from PEM text.
    pub fn load(cert_pem: &str, key_pem: &str) -> Result<Self, CertError> {
        let der = pem::first_certificate(WHAT, cert_pem)?;
        let key = pem::private_key(WHAT, key_pem)?;
        let cert = pem::parse(WHAT, 1, &der)?;
        pem::check_key(WHAT, &key, &cert)?;
        Ok(Self { certificate: Certificate::of(&cert), der })
    }

    /// Returns whether the CA in `ca_pem` signed the leaf; false if `ca_pem` is not a certificate.
    #[must_use]
    pub fn is_signed_by(&self, ca_pem: &str) -> bool {
        let Ok(der) = pem::first_certificate(WHAT, ca_pem) else { return false };
        match (pem::parse(WHAT, 1, &der), pem::parse(WHAT, 1, &self.der)) {
            (Ok(ca), Ok(own)) => pem::signed(&ca, &own),
            _ => false,
        }
    }
}

pub(crate) fn names(cert: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(alternative)) = cert.subject_alternative_name() else {
        return Vec::new();
    };
    alternative.value.general_names.iter().filter_map(name).collect()
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(dns) => Some((*dns).to_owned()),
        GeneralName::IPAddress(octets) => address(octets).map(|address| address.to_string()),
        _ => None,
    }
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(octets).map(IpAddr::from).ok();
    four.or_else(|| <[u8; 16]>::try_from(octets).map(IpAddr::from).ok())
}

#[cfg(test)]
mod tests;
