//! What a certificate says, whoever made it and whatever its key is: for those that are only shown
//! or trusted. It has no key, and judges neither time nor signature.

use crate::{CertError, Validity, leaf, pem};

const WHAT: &str = "certificate";

/// What a certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// When it counts.
    pub validity: Validity,
    /// The DNS names and IP addresses that it is for.
    pub names: Vec<String>,
    /// Its serial number in hexadecimal, to tell one from another in a log.
    pub serial: String,
    /// Whether it may sign others.
    pub is_authority: bool,
}

impl Certificate {
    /// The first certificate in `text`: of a chain, the leaf.
    pub fn read(text: &str) -> Result<Self, CertError> {
        let der = pem::first_certificate(WHAT, text)?;
        let cert = pem::parse(WHAT, 1, &der)?;
        Ok(Self {
            validity: pem::validity(&cert),
            names: leaf::names(&cert),
            serial: cert.raw_serial_as_string(),
            is_authority: pem::may_sign(&cert),
        })
    }

    /// Whether it is for every one of `names`; DNS names compare without case.
    #[must_use]
    pub fn covers(&self, names: &[String]) -> bool {
        names.iter().all(|name| self.names.iter().any(|own| own.eq_ignore_ascii_case(name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Authority, LeafRequest, Usage};
    use time::{Duration, OffsetDateTime};

    #[test]
    fn it_says_what_was_put_into_it() {
        let now = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
        let validity = Validity::starting(now, Duration::DAY);
        let authority = Authority::generate("test", validity).unwrap();
        let leaf = authority.issue(&LeafRequest {
            common_name: "test".to_owned(),
            organization: None,
            names: vec!["hook.ns.svc".to_owned()],
            usage: Usage::Server,
            validity,
        });
        let (signs, shown) = (authority.cert_pem().to_owned(), leaf.unwrap().cert_pem);
        let read = |text: &str| Certificate::read(text).unwrap();
        assert!(read(&signs).is_authority && !read(&shown).is_authority);
        assert_eq!(read(&shown).validity, validity);
        assert!(read(&shown).covers(&["HOOK.ns.svc".to_owned()]));
        assert!(!read(&shown).covers(&["other.ns.svc".to_owned()]));
        // Of a chain, the first.
        assert_eq!(read(&format!("{shown}{signs}")), read(&shown));
        assert!(Certificate::read("rubbish").is_err());
    }
}
