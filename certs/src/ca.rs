//! A certificate authority that issues leaf certificates. It cannot sign another CA (path length
//! zero) and keeps no record of what it issued.

use std::fmt;
use std::net::IpAddr;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};

use crate::{CertError, Validity, pem};

const WHAT: &str = "CA";

/// A CA certificate with its private key.
pub struct CertificateAuthority {
    issuer: Issuer<'static, KeyPair>,
    validity: Validity,
    pem: KeyPairPem,
}

/// A certificate and its private key, both as PEM text.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyPairPem {
    /// The certificate.
    pub cert_pem: String,
    /// The private key, PKCS#8.
    pub key_pem: String,
}

/// The content of a leaf certificate to issue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeafRequest {
    /// The subject's common name, which a Kubernetes API server takes as the user name.
    pub common_name: String,
    /// The subject's organization, which a Kubernetes API server takes as the group.
    pub organization: Option<String>,
    /// The subject alternative names: DNS names and IP addresses.
    pub names: Vec<String>,
    /// The extended key usage.
    pub usage: Usage,
    /// The requested validity, which is clamped to that of the CA.
    pub validity: Validity,
}

/// The extended key usage of a leaf certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    /// Server authentication.
    Server,
    /// Client authentication.
    Client,
    /// Server and client authentication.
    Both,
}

/// Generates a P-256 key pair for signing tokens. Returns `(private, public)` as PEM text.
pub fn signing_key_pem() -> Result<(String, String), CertError> {
    let key = KeyPair::generate().map_err(CertError::GenerateKey)?;
    Ok((key.serialize_pem(), key.public_key_pem()))
}

impl CertificateAuthority {
    /// Generates a self-signed CA.
    pub fn generate(common_name: &str, validity: Validity) -> Result<Self, CertError> {
        let validity = validity.encodable()?;
        let key = KeyPair::generate().map_err(CertError::GenerateKey)?;
        let params = ca_params(common_name, validity);
        let cert = params.self_signed(&key).map_err(CertError::Sign)?;
        let pem = KeyPairPem { cert_pem: cert.pem(), key_pem: key.serialize_pem() };
        Ok(Self { issuer: Issuer::new(params, key), validity, pem })
    }

    /// Loads a CA certificate and its private key, both on P-256, from PEM text.
    pub fn load(cert_pem: &str, key_pem: &str) -> Result<Self, CertError> {
        let der = pem::first_certificate(WHAT, cert_pem)?;
        let key = pem::private_key(WHAT, key_pem)?;
        let validity = check_loaded(&der, &key)?;
        let pem =
            KeyPairPem { cert_pem: pem::encode_certificate(&der), key_pem: key.serialize_pem() };
        let issuer = Issuer::from_ca_cert_der(&der.into(), key).map_err(CertError::LoadIssuer)?;
        Ok(Self { issuer, validity, pem })
    }

    /// Returns the certificate as PEM text.
    #[must_use]
    pub fn cert_pem(&self) -> &str {
        &self.pem.cert_pem
    }

    /// Returns the private key as PEM text.
    #[must_use]
    pub fn key_pem(&self) -> &str {
        &self.pem.key_pem
    }

    /// Returns the validity of the CA certificate.
    #[must_use]
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// Issues a leaf certificate with a new key. Its `notAfter` is never later than that of the CA,
    /// because a verifier rejects the chain as soon as either certificate has expired.
    pub fn issue(&self, request: &LeafRequest) -> Result<KeyPairPem, CertError> {
        let validity = request.validity.encodable()?;
        let validity = validity.within(&self.validity).ok_or(CertError::OutsideCaValidity)?;
        let params = leaf_params(request, validity)?;
        let key = KeyPair::generate().map_err(CertError::GenerateKey)?;
        let cert = params.signed_by(&key, &self.issuer).map_err(CertError::Sign)?;
        Ok(KeyPairPem { cert_pem: cert.pem(), key_pem: key.serialize_pem() })
    }
}

impl fmt::Debug for CertificateAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateAuthority")
            .field("validity", &self.validity)
            .field("pem", &self.pem)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for KeyPairPem {
    /// Omits the private key, because debug output ends up in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPairPem").field("cert_pem", &self.cert_pem).finish_non_exhaustive()
    }
}

fn check_loaded(der: &[u8], key: &KeyPair) -> Result<Validity, CertError> {
    let cert = pem::parse(WHAT, 1, der)?;
    if !pem::may_sign(&cert) {
        return Err(CertError::NotACa);
    }
    pem::check_key(WHAT, key, &cert)?;
    // rcgen panics on an empty set within the subject. The parser accepts one, and a client that
    // may write the Secret can store one.
    if cert.subject().iter().any(|part| part.iter().next().is_none()) {
        return Err(CertError::LoadIssuer(rcgen::Error::CouldNotParseCertificate));
    }
    Ok(pem::validity(&cert))
}

// rcgen derives the serial number from the public key (159 bits of a digest). Every certificate has
// a new key, so serial numbers are unique across restarts and replicas without a counter.
fn base_params(subject: DistinguishedName, validity: Validity) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.not_before = validity.not_before;
    params.not_after = validity.not_after;
    params.distinguished_name = subject;
    // During a rotation two CAs share a name. The key identifiers show a verifier which one to use.
    params.use_authority_key_identifier_extension = true;
    params
}

fn ca_params(common_name: &str, validity: Validity) -> CertificateParams {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, common_name);
    let mut params = base_params(subject, validity);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn leaf_params(request: &LeafRequest, validity: Validity) -> Result<CertificateParams, CertError> {
    let mut params = base_params(leaf_subject(request), validity);
    for name in &request.names {
        params.subject_alt_names.push(alternative_name(name)?);
    }
    // rcgen writes the subject key identifier only if this is explicit.
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = match request.usage {
        Usage::Server => vec![ExtendedKeyUsagePurpose::ServerAuth],
        Usage::Client => vec![ExtendedKeyUsagePurpose::ClientAuth],
        Usage::Both => {
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth]
        }
    };
    Ok(params)
}

fn leaf_subject(request: &LeafRequest) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    if let Some(organization) = &request.organization {
        subject.push(DnType::OrganizationName, organization.as_str());
    }
    if !request.common_name.is_empty() {
        subject.push(DnType::CommonName, request.common_name.as_str());
    }
    subject
}

fn alternative_name(name: &str) -> Result<rcgen::SanType, CertError> {
    if let Ok(address) = name.parse::<IpAddr>() {
        return Ok(rcgen::SanType::IpAddress(address));
    }
    let bad = || CertError::BadName(name.to_owned());
    if !is_dns_name(name) {
        return Err(bad());
    }
    name.try_into().map(rcgen::SanType::DnsName).map_err(|_| bad())
}

fn is_dns_name(name: &str) -> bool {
    let rest = name.strip_prefix("*.").unwrap_or(name);
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    name.len() <= 253
        && rest.split('.').all(|label| (1..=63).contains(&label.len()) && label.bytes().all(letter))
}

#[cfg(test)]
mod tests;
