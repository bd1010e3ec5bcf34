//! A parsed certificate of any issuer and key type, without its private key. Neither its validity
//! nor its signature is verified here.

use x509_parser::certificate::X509Certificate;

use crate::{CertError, Validity, leaf, pem};

const WHAT: &str = "certificate";

/// The content of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The validity.
    pub validity: Validity,
    /// The subject alternative names: DNS names and IP addresses.
    pub names: Vec<String>,
    /// The serial number in hexadecimal.
    pub serial: String,
    /// Whether the certificate may sign other certificates.
    pub is_ca: bool,
}

impl Certificate {
    /// Parses the first certificate in `text`, which is the leaf of a chain.
    pub fn read(text: &str) -> Result<Self, CertError> {
        let der = pem::first_certificate(WHAT, text)?;
        pem::parse(WHAT, 1, &der).map(|cert| Self::of(&cert))
    }

    pub(crate) fn of(cert: &X509Certificate<'_>) -> Self {
        Self {
            validity: pem::validity(cert),
            names: leaf::names(cert),
            serial: cert.raw_serial_as_string(),
            is_ca: pem::may_sign(cert),
        }
    }

    /// Returns whether the certificate is for all of `names`. DNS names are case-insensitive.
    #[must_use]
    pub fn covers(&self, names: &[String]) -> bool {
        names.iter().all(|name| self.names.iter().any(|own| own.eq_ignore_ascii_case(name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CertificateAuthority, LeafRequest, Usage};
    use time::{Duration, OffsetDateTime};

    #[test]
    fn a_parsed_certificate_has_the_content_it_was_issued_with() {
        let now = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
        let validity = Validity::starting(now, Duration::DAY);
        let ca = CertificateAuthority::generate("test", validity).unwrap();
        let leaf = ca.issue(&LeafRequest {
            common_name: "test".to_owned(),
            organization: None,
            names: vec!["hook.ns.svc".to_owned()],
            usage: Usage::Server,
            validity,
        });
        let (ca_pem, leaf_pem) = (ca.cert_pem().to_owned(), leaf.unwrap().cert_pem);
        let read = |text: &str| Certificate::read(text).unwrap();
        assert!(read(&ca_pem).is_ca && !read(&leaf_pem).is_ca);
        assert_eq!(read(&leaf_pem).validity, validity);
        assert!(read(&leaf_pem).covers(&["HOOK.ns.svc".to_owned()]));
        assert!(!read(&leaf_pem).covers(&["other.ns.svc".to_owned()]));
        assert_eq!(read(&format!("{leaf_pem}{ca_pem}")), read(&leaf_pem));
        assert!(Certificate::read("garbage").is_err());
    }
}
