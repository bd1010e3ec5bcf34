use super::*;
use crate::{Authority, KeyPairPem, LeafRequest, Usage};
use time::{Duration, OffsetDateTime};

fn validity() -> Validity {
    Validity::starting(
        OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap(),
        Duration::days(10),
    )
}

fn authority() -> Authority {
    Authority::generate("same name", validity()).unwrap()
}

fn issued(by: &Authority) -> KeyPairPem {
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
fn only_the_issuer_signed_it_even_among_authorities_of_one_name() {
    let (one, two) = (authority(), authority());
    let pair = issued(&one);
    let leaf = Leaf::load(&pair.cert_pem, &pair.key_pem).unwrap();
    assert!(leaf.is_signed_by(one.cert_pem()));
    assert!(!leaf.is_signed_by(two.cert_pem()));
    assert!(!leaf.is_signed_by(&pair.cert_pem));
    assert!(!leaf.is_signed_by("garbage"));
}

#[test]
fn a_key_of_another_leaf_is_refused() {
    let by = authority();
    let (one, two) = (issued(&by), issued(&by));
    let error = Leaf::load(&one.cert_pem, &two.key_pem).unwrap_err();
    assert!(matches!(error, CertError::KeyMismatch { what: "leaf" }), "{error:?}");
}

#[test]
fn of_a_chain_the_first_certificate_counts() {
    let by = authority();
    let pair = issued(&by);
    let chain = format!("{}{}", pair.cert_pem, by.cert_pem());
    let leaf = Leaf::load(&chain, &pair.key_pem).unwrap();
    assert_eq!(leaf, Leaf::load(&pair.cert_pem, &pair.key_pem).unwrap());
}

#[test]
fn it_covers_its_own_names_in_any_case_and_no_others() {
    let pair = issued(&authority());
    let leaf = Leaf::load(&pair.cert_pem, &pair.key_pem).unwrap();
    let covers = |names: &[&str]| {
        leaf.covers(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
    };
    assert!(covers(&[]) && covers(&["web.EXAMPLE"]) && covers(&["::1", "web.example"]));
    assert!(!covers(&["web.example", "other.example"]));
}

#[test]
fn serials_tell_leaves_apart() {
    let by = authority();
    let serial =
        |pair: &KeyPairPem| Leaf::load(&pair.cert_pem, &pair.key_pem).unwrap().serial().to_owned();
    assert_ne!(serial(&issued(&by)), serial(&issued(&by)));
}
