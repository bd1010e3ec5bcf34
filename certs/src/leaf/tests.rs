use super::*;
use crate::{CertificateAuthority, KeyPairPem, LeafRequest, Usage, Validity};
use time::{Duration, OffsetDateTime};

fn validity() -> Validity {
    Validity::starting(
        OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap(),
        Duration::days(10),
    )
}

fn ca() -> CertificateAuthority {
    CertificateAuthority::generate("same name", validity()).unwrap()
}

fn issued(by: &CertificateAuthority) -> KeyPairPem {
    by.issue(&LeafRequest {
        common_name: String::new(),
        organization: None,
        names: vec!["Web.example".to_owned(), "::1".to_owned()],
        usage: Usage::Server,
        validity: validity(),
    })
    .unwrap()
}

#[test]
fn only_the_issuer_signed_a_leaf_even_if_another_ca_has_the_same_name() {
    let (one, two) = (ca(), ca());
    let pair = issued(&one);
    let leaf = Leaf::load(&pair.cert_pem, &pair.key_pem).unwrap();
    assert!(leaf.is_signed_by(one.cert_pem()));
    assert!(!leaf.is_signed_by(two.cert_pem()));
    assert!(!leaf.is_signed_by(&pair.cert_pem));
    assert!(!leaf.is_signed_by("garbage"));
}

#[test]
fn a_key_of_another_leaf_is_refused() {
    let by = ca();
    let (one, two) = (issued(&by), issued(&by));
    let error = Leaf::load(&one.cert_pem, &two.key_pem).unwrap_err();
    assert!(matches!(error, CertError::KeyMismatch("leaf")), "{error:?}");
}

#[test]
fn the_leaf_of_a_chain_is_its_first_certificate() {
    let by = ca();
    let pair = issued(&by);
    let chain = format!("{}{}", pair.cert_pem, by.cert_pem());
    let leaf = Leaf::load(&chain, &pair.key_pem).unwrap();
    assert_eq!(leaf, Leaf::load(&pair.cert_pem, &pair.key_pem).unwrap());
}

#[test]
fn a_leaf_covers_its_own_names_in_any_case_and_no_others() {
    let pair = issued(&ca());
    let leaf = Leaf::load(&pair.cert_pem, &pair.key_pem).unwrap();
    let covers = |names: &[&str]| {
        leaf.certificate.covers(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
    };
    assert!(covers(&[]) && covers(&["web.EXAMPLE"]) && covers(&["::1", "web.example"]));
    assert!(!covers(&["web.example", "other.example"]));
}

#[test]
fn two_leaves_have_different_serial_numbers() {
    let by = ca();
    let serial =
        |pair: &KeyPairPem| Leaf::load(&pair.cert_pem, &pair.key_pem).unwrap().certificate.serial;
    assert_ne!(serial(&issued(&by)), serial(&issued(&by)));
}
