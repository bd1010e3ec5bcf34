//! A certificate authority: made or loaded, and the leaves that it issues. It
//! signs leaves only (path length zero), never another authority, and remembers
//! nothing of what it has issued.

use std::fmt;
use std::net::IpAddr;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};

use crate::{CertError, Validity, pem};

const WHAT: &str = "authority";

/// An authority with its private key.
pub struct Authority {
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

/// What a leaf is to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeafRequest {
    /// The subject's common name: to a Kubernetes API server, the user.
    pub common_name: String,
    /// The subject's organization: to a Kubernetes API server, the group.
    pub organization: Option<String>,
    /// DNS names and IP addresses at which a server with this leaf is reached.
    pub names: Vec<String>,
    /// Which side of a connection it is for.
    pub usage: Usage,
    /// When it is to count; clamped to the authority's own period.
    pub validity: Validity,
}

/// Which side of a TLS connection a leaf may stand on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    /// The side that answers.
    Server,
    /// The side that calls.
    Client,
    /// Either.
    Both,
}

/// A fresh P-256 key as `(private, public)` PEM, for signing tokens rather than certificates.
pub fn signing_key_pem() -> Result<(String, String), CertError> {
    let key = KeyPair::generate().map_err(CertError::GenerateKey)?;
    Ok((key.serialize_pem(), key.public_key_pem()))
}

impl Authority {
    /// A new self-signed authority.
    pub fn generate(common_name: &str, validity: Validity) -> Result<Self, CertError> {
        let validity = validity.encodable()?;
        let key = KeyPair::generate().map_err(CertError::GenerateKey)?;
        let params = authority_params(common_name, validity);
        let cert = params.self_signed(&key).map_err(CertError::Sign)?;
        let pem = KeyPairPem { cert_pem: cert.pem(), key_pem: key.serialize_pem() };
        Ok(Self { issuer: Issuer::new(params, key), validity, pem })
    }

    /// The authority that these two texts describe: a CA on P-256 with its own key.
    pub fn load(cert_pem: &str, key_pem: &str) -> Result<Self, CertError> {
        let der = pem::first_certificate(WHAT, cert_pem)?;
        let key = pem::private_key(WHAT, key_pem)?;
        let validity = check_loaded(&der, &key)?;
        let pem =
            KeyPairPem { cert_pem: pem::encode_certificate(&der), key_pem: key.serialize_pem() };
        let issuer = Issuer::from_ca_cert_der(&der.into(), key).map_err(CertError::LoadIssuer)?;
        Ok(Self { issuer, validity, pem })
    }

    /// The certificate.
    #[must_use]
    pub fn cert_pem(&self) -> &str {
        &self.pem.cert_pem
    }

    /// The private key.
    #[must_use]
    pub fn key_pem(&self) -> &str {
        &self.pem.key_pem
    }

    /// When the authority counts.
    #[must_use]
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// A new leaf with a new key. It never outlives the authority: a verifier
    /// rejects the chain when either has ended, so a later end would be a lie.
    pub fn issue(&self, request: &LeafRequest) -> Result<KeyPairPem, CertError> {
        let validity = request.validity.encodable()?;
        let validity = validity.within(&self.validity).ok_or(CertError::OutsideAuthority)?;
        let params = leaf_params(request, validity)?;
        let key = KeyPair::generate().map_err(CertError::GenerateKey)?;
        let cert = params.signed_by(&key, &self.issuer).map_err(CertError::Sign)?;
        Ok(KeyPairPem { cert_pem: cert.pem(), key_pem: key.serialize_pem() })
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority")
            .field("validity", &self.validity)
            .field("pem", &self.pem)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for KeyPairPem {
    /// Leaves the private key out: what can be printed ends up in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPairPem").field("cert_pem", &self.cert_pem).finish_non_exhaustive()
    }
}

fn check_loaded(der: &[u8], key: &KeyPair) -> Result<Validity, CertError> {
    let cert = pem::parse(WHAT, 1, der)?;
    if !pem::may_sign(&cert) {
        return Err(CertError::NotAnAuthority);
    }
    if !pem::is_p256(&cert) {
        return Err(CertError::NotP256 { what: WHAT });
    }
    if !pem::belongs(key, &cert) {
        return Err(CertError::KeyMismatch { what: WHAT });
    }
    // The issuer below us panics on an empty set within the subject, which the
    // parser lets through and anyone who may write the stored text can put there.
    if cert.subject().iter().any(|part| part.iter().next().is_none()) {
        return Err(CertError::LoadIssuer(rcgen::Error::CouldNotParseCertificate));
    }
    Ok(pem::validity(&cert))
}

// The serial number is left to the library: 159 bits of a digest of the public
// key. Every certificate made here has a fresh key, so serials are as random and
// as unique as the keys, across restarts and replicas, with no counter to keep.
fn base_params(subject: DistinguishedName, validity: Validity) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.not_before = validity.not_before;
    params.not_after = validity.not_after;
    params.distinguished_name = subject;
    // During a rotation two authorities share a name; the key identifiers tell a
    // verifier which of them to try.
    params.use_authority_key_identifier_extension = true;
    params
}

fn authority_params(common_name: &str, validity: Validity) -> CertificateParams {
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
    // Explicit, because only then is the subject key identifier written too.
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
    let bad = || CertError::BadName { name: name.to_owned() };
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
