//! The subject of a certificate. Its signature is not verified here.

use x509_parser::parse_x509_certificate;

/// Returns the common names of a DER certificate: usually one, none if it cannot be parsed.
#[must_use]
pub fn common_names(der: &[u8]) -> Vec<String> {
    let Ok((_, cert)) = parse_x509_certificate(der) else { return Vec::new() };
    let names = cert.subject().iter_common_name().filter_map(|name| name.as_str().ok());
    names.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CertificateAuthority, Validity};
    use rustls_pki_types::CertificateDer;
    use rustls_pki_types::pem::PemObject as _;
    use time::{Duration, OffsetDateTime};

    #[test]
    fn a_certificate_has_a_common_name_and_invalid_data_has_none() {
        let validity = Validity::starting(OffsetDateTime::UNIX_EPOCH, Duration::days(1));
        let ca = CertificateAuthority::generate("kube-apiserver", validity).unwrap();
        let der = CertificateDer::from_pem_slice(ca.cert_pem().as_bytes()).unwrap();
        assert_eq!(common_names(&der), ["kube-apiserver"]);
        assert!(common_names(b"garbage").is_empty());
        assert!(common_names(&der[..der.len() / 2]).is_empty());
    }
}
