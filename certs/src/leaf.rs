//! A certificate with its key as someone is about to serve it: what it says and
//! whether the two belong together. It does not judge time; the caller asks its
//! [`Validity`].

use std::net::IpAddr;

use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;

use crate::{CertError, Validity, pem};

const WHAT: &str = "leaf";

/// What a leaf certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    der: Vec<u8>,
    validity: Validity,
    names: Vec<String>,
    serial: String,
}

impl Leaf {
    /// The leaf that these two texts describe. Of a chain, the first certificate;
    /// the key must be its own.
    pub fn load(cert_pem: &str, key_pem: &str) -> Result<Self, CertError> {
        let der = pem::first_certificate(WHAT, cert_pem)?;
        let key = pem::private_key(WHAT, key_pem)?;
        let cert = pem::parse(WHAT, 1, &der)?;
        if !pem::is_p256(&cert) {
            return Err(CertError::NotP256 { what: WHAT });
        }
        if !pem::belongs(&key, &cert) {
            return Err(CertError::KeyMismatch { what: WHAT });
        }
        let (validity, names) = (pem::validity(&cert), names(&cert));
        let serial = cert.raw_serial_as_string();
        Ok(Self { der, validity, names, serial })
    }

    /// When the leaf counts.
    #[must_use]
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// The DNS names and IP addresses that it is for.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Its serial number in hexadecimal, to tell one leaf from another in a log.
    #[must_use]
    pub fn serial(&self) -> &str {
        &self.serial
    }

    /// Whether it is for every one of `names`; DNS names compare without case.
    #[must_use]
    pub fn covers(&self, names: &[String]) -> bool {
        names.iter().all(|name| self.names.iter().any(|own| own.eq_ignore_ascii_case(name)))
    }

    /// Whether the authority in `authority_pem` signed it. Garbage signed nothing.
    #[must_use]
    pub fn is_signed_by(&self, authority_pem: &str) -> bool {
        let Ok(der) = pem::first_certificate(WHAT, authority_pem) else {
            return false;
        };
        match (pem::parse(WHAT, 1, &der), pem::parse(WHAT, 1, &self.der)) {
            (Ok(authority), Ok(own)) => pem::signed(&authority, &own),
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
