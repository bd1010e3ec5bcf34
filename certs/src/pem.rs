//! PEM decoding and encoding, and the checks of parsed certificates. Text around blocks is
//! accepted, because bundles contain comments. A block with another label is an error, for example
//! a private key in a bundle.

use ::pem::{EncodeConfig, LineEnding};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use time::OffsetDateTime;
use x509_parser::certificate::X509Certificate;
use x509_parser::error::X509Error;
use x509_parser::nom;
use x509_parser::oid_registry::{OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY};
use x509_parser::pem::Pem;

use crate::{CertError, Validity};

pub(crate) const CERTIFICATE: &str = "CERTIFICATE";
const PRIVATE_KEY: &str = "PRIVATE KEY";

/// The number of blocks read from an untrusted text.
const MAX_UNTRUSTED_BLOCKS: usize = 64;

/// Returns the DER of every certificate in `text`, in order. Each one was parsed.
pub(crate) fn certificates(what: &'static str, text: &str) -> Result<Vec<Vec<u8>>, CertError> {
    let mut found = Vec::new();
    for der in blocks(what, CERTIFICATE, text) {
        let der = der?;
        parse(what, found.len() + 1, &der)?;
        found.push(der);
    }
    Ok(found)
}

/// Returns the DER of every certificate in `text` that can be parsed, and skips the rest.
pub(crate) fn readable_certificates(text: &str) -> Vec<Vec<u8>> {
    let what = "certificate to save";
    let blocks = blocks(what, CERTIFICATE, text).take(MAX_UNTRUSTED_BLOCKS).flatten();
    blocks.filter(|der| parse(what, 1, der).is_ok()).collect()
}

/// Returns the DER of the first certificate in `text`, which is the leaf of a chain.
pub(crate) fn first_certificate(what: &'static str, text: &str) -> Result<Vec<u8>, CertError> {
    let absent = CertError::NoBlock { what, expected: CERTIFICATE };
    let der = blocks(what, CERTIFICATE, text).next().ok_or(absent)??;
    parse(what, 1, &der)?;
    Ok(der)
}

/// Returns the private key in `text`.
pub(crate) fn private_key(what: &'static str, text: &str) -> Result<KeyPair, CertError> {
    let absent = CertError::NoBlock { what, expected: PRIVATE_KEY };
    let der = blocks(what, PRIVATE_KEY, text).next().ok_or(absent)??;
    KeyPair::from_pkcs8_der_and_sign_algo(&der.into(), &PKCS_ECDSA_P256_SHA256)
        .map_err(|source| CertError::UnusableKey(what, source))
}

/// Parses one certificate. `block` is its number for the error message.
pub(crate) fn parse<'a>(
    what: &'static str,
    block: usize,
    der: &'a [u8],
) -> Result<X509Certificate<'a>, CertError> {
    let wrong = |source| CertError::NotACertificate(what, block, source);
    match x509_parser::parse_x509_certificate(der) {
        Ok(([], certificate)) => Ok(certificate),
        Ok(_) => Err(wrong(X509Error::InvalidCertificate)),
        Err(nom::Err::Error(source) | nom::Err::Failure(source)) => Err(wrong(source)),
        Err(nom::Err::Incomplete(_)) => Err(wrong(X509Error::InvalidCertificate)),
    }
}

/// Encodes `der` as one PEM block with the label [`CERTIFICATE`].
pub(crate) fn encode_certificate(der: &[u8]) -> String {
    let config = EncodeConfig::new().set_line_ending(LineEnding::LF);
    ::pem::encode_config(&::pem::Pem::new(CERTIFICATE, der), config)
}

/// Returns the validity of a certificate.
pub(crate) fn validity(certificate: &X509Certificate<'_>) -> Validity {
    let at = |time: &x509_parser::time::ASN1Time| time.to_datetime();
    Validity {
        not_before: at(&certificate.validity().not_before),
        not_after: at(&certificate.validity().not_after),
    }
}

/// Returns whether the public key of a certificate is on P-256.
pub(crate) fn is_p256(certificate: &X509Certificate<'_>) -> bool {
    let algorithm = &certificate.public_key().algorithm;
    let curve = algorithm.parameters.as_ref().and_then(|curve| curve.as_oid().ok());
    algorithm.algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY && curve == Some(OID_EC_P256)
}

/// Checks that the public key of a certificate is on P-256 and belongs to `key`.
pub(crate) fn check_key(
    what: &'static str,
    key: &KeyPair,
    certificate: &X509Certificate<'_>,
) -> Result<(), CertError> {
    let public = certificate.public_key().subject_public_key.data.as_ref();
    match is_p256(certificate) {
        false => Err(CertError::NotP256(what)),
        true if key.public_key_raw() == public => Ok(()),
        true => Err(CertError::KeyMismatch(what)),
    }
}

/// Returns whether a certificate may sign others. A CA without a keyUsage extension may (RFC 5280,
/// 4.2.1.3: the extension restricts if present).
pub(crate) fn may_sign(certificate: &X509Certificate<'_>) -> bool {
    let is_ca = matches!(certificate.basic_constraints(), Ok(Some(found)) if found.value.ca);
    let allowed = match certificate.key_usage() {
        Ok(Some(usage)) => usage.value.key_cert_sign(),
        Ok(None) => true,
        Err(_) => false,
    };
    is_ca && allowed
}

/// Returns whether `ca` signed `subject`. Does not check their validity.
pub(crate) fn signed(ca: &X509Certificate<'_>, subject: &X509Certificate<'_>) -> bool {
    // RFC 5280, 4.1.1.2: the unsigned signatureAlgorithm must equal the signed one.
    let one_algorithm = subject.signature_algorithm == subject.tbs_certificate.signature;
    may_sign(ca)
        && one_algorithm
        && ca.subject().as_raw() == subject.issuer().as_raw()
        && subject.verify_signature(Some(ca.public_key())).is_ok()
}

/// Returns whether `ca` signed `subject` and both are valid at `now`.
pub(crate) fn is_trusted_by(
    subject: &X509Certificate<'_>,
    ca: &X509Certificate<'_>,
    now: OffsetDateTime,
) -> bool {
    validity(ca).contains(now) && validity(subject).contains(now) && signed(ca, subject)
}

fn blocks<'a>(
    what: &'static str,
    expected: &'static str,
    text: &'a str,
) -> impl Iterator<Item = Result<Vec<u8>, CertError>> + 'a {
    Pem::iter_from_buffer(text.as_bytes()).enumerate().map(move |(index, pem)| {
        let block = index + 1;
        let pem = pem.map_err(|source| CertError::DamagedBlock(what, block, source))?;
        if pem.label == expected {
            Ok(pem.contents)
        } else {
            Err(CertError::WrongBlock { what, block, label: pem.label, expected })
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_blocks_wrap_at_64_and_decode_to_the_same_bytes() {
        for size in [0, 1, 47, 48, 49, 95, 96, 97, 500] {
            let der: Vec<u8> = (0..size).map(|at: u32| at.to_le_bytes()[0]).collect();
            let text = encode_certificate(&der);
            assert!(text.lines().all(|line| line.len() <= 64), "size {size}");
            let back: Vec<_> =
                blocks("test", CERTIFICATE, &text).collect::<Result<_, _>>().unwrap();
            assert_eq!(back, vec![der], "size {size}");
        }
    }

    #[test]
    fn a_block_without_its_end_is_damaged() {
        let text = "-----BEGIN CERTIFICATE-----\nAAAA\n";
        let error = certificates("bundle", text).unwrap_err();
        assert!(matches!(error, CertError::DamagedBlock(_, 1, _)), "{error:?}");
    }
}
