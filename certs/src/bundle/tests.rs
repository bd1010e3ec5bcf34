use super::*;
use crate::{CertificateAuthority, KeyPairPem, LeafRequest, Usage, Validity};
use proptest::prelude::*;
use std::sync::LazyLock;
use time::Duration;
use x509_parser::prelude::{FromDer, X509Certificate};

/// CAs that expire after one, two, … days.
static CAS: LazyLock<Vec<CertificateAuthority>> = LazyLock::new(|| {
    (1..=6)
        .map(|days| {
            CertificateAuthority::generate(
                "one name",
                Validity::starting(now(), Duration::days(days)),
            )
        })
        .collect::<Result<_, _>>()
        .unwrap()
});

fn now() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap()
}

fn cert(which: usize) -> &'static str {
    CAS[which].cert_pem()
}

fn text(order: &[usize]) -> String {
    order.iter().map(|which| cert(*which)).collect()
}

fn without_repeats(order: &[usize]) -> Vec<usize> {
    let mut kept = Vec::new();
    for which in order {
        if !kept.contains(which) {
            kept.push(*which);
        }
    }
    kept
}

fn leaf(by: &CertificateAuthority, from: OffsetDateTime, lifetime: Duration) -> KeyPairPem {
    by.issue(&LeafRequest {
        common_name: "leaf".to_owned(),
        organization: None,
        names: vec!["a.example".to_owned()],
        usage: Usage::Server,
        validity: Validity::starting(from, lifetime),
    })
    .unwrap()
}

proptest! {
    #[test]
    fn parsing_keeps_the_order_and_drops_repeats(order in prop::collection::vec(0usize..6, 0..20)) {
        let bundle = Bundle::parse(&text(&order)).unwrap();
        prop_assert_eq!(bundle.to_pem(), text(&without_repeats(&order)));
        prop_assert_eq!(bundle.iter().collect::<String>(), bundle.to_pem());
    }

    #[test]
    fn adding_one_by_one_is_parsing_all(order in prop::collection::vec(0usize..6, 0..20)) {
        let mut bundle = Bundle::new();
        for (at, which) in order.iter().enumerate() {
            let new = !order[..at].contains(which);
            prop_assert_eq!(bundle.contains(cert(*which)), !new);
            prop_assert_eq!(bundle.add(cert(*which)).unwrap(), new);
        }
        prop_assert_eq!(bundle, Bundle::parse(&text(&order)).unwrap());
    }

    #[test]
    fn writing_and_parsing_again_changes_nothing(order in prop::collection::vec(0usize..6, 0..20)) {
        let bundle = Bundle::parse(&text(&order)).unwrap();
        prop_assert_eq!(Bundle::parse(&bundle.to_pem()).unwrap(), bundle);
    }

    #[test]
    fn pruning_removes_exactly_the_expired_certificates(
        order in prop::collection::vec(0usize..6, 0..20),
        hours in 0i64..200,
    ) {
        let mut bundle = Bundle::parse(&text(&order)).unwrap();
        let at = now() + Duration::hours(hours);
        let all = without_repeats(&order);
        // CA n expires n + 1 days after now and is still valid at that moment.
        let kept: Vec<_> =
            all.iter().copied().filter(|which| (*which as i64 + 1) * 24 >= hours).collect();
        prop_assert_eq!(bundle.prune_expired(at), all.len() - kept.len());
        prop_assert_eq!(bundle.len(), kept.len());
        prop_assert_eq!(bundle.is_empty(), kept.is_empty());
        prop_assert_eq!(bundle.to_pem(), text(&kept));
    }

    #[test]
    fn parsing_any_text_does_not_panic(noise in "\\PC{0,40}", cut in 0usize..600) {
        let whole = cert(0);
        let cut = whole.char_indices().map(|(at, _)| at).take(cut).last().unwrap_or(0);
        for text in [noise.clone(), format!("{}{noise}{}", &whole[..cut], &whole[cut..])] {
            if let Ok(bundle) = Bundle::parse(&text) {
                prop_assert!(bundle.len() <= 1);
            }
            prop_assert!(!Bundle::new().trusts(&text, now()));
        }
    }

    #[test]
    fn a_damaged_certificate_is_not_trusted_and_causes_no_panic(at in 0usize..2000, flip in 1u8..=255) {
        let by = &CAS[0];
        let mut der = pem::first_certificate("test", by.cert_pem()).unwrap();
        let at = at % der.len();
        der[at] ^= flip;
        let damaged = pem::encode_certificate(&der);
        // Loading may fail, but must not panic.
        let loaded = CertificateAuthority::load(&damaged, by.key_pem());
        // A lenient parser may ignore bits outside the signed part.
        let original = pem::first_certificate("test", by.cert_pem()).unwrap();
        if signed_part(&der) != signed_part(&original) {
            prop_assert!(!Bundle::parse(by.cert_pem()).unwrap().trusts(&damaged, now()));
        }
        if let Ok(loaded) = loaded {
            prop_assert_eq!(loaded.key_pem(), by.key_pem());
        }
    }
}

#[test]
fn blank_text_is_an_empty_bundle_and_other_text_is_an_error() {
    assert!(Bundle::parse("").unwrap().is_empty());
    assert!(Bundle::parse(" \n\n").unwrap().is_empty());
    let error = Bundle::parse("trust me").unwrap_err();
    assert!(matches!(error, CertError::NoBlock { what: "bundle", .. }), "{error:?}");
}

#[test]
fn comments_and_crlf_between_certificates_are_accepted() {
    let mixed = format!("# the first\n{}\r\n# next\n{}", cert(0).replace('\n', "\r\n"), cert(1));
    assert_eq!(Bundle::parse(&mixed).unwrap().to_pem(), text(&[0, 1]));
}

#[test]
fn the_error_names_the_invalid_block() {
    let damaged = "-----BEGIN CERTIFICATE-----\n?\n-----END CERTIFICATE-----\n";
    let error = Bundle::parse(&format!("{}{damaged}", text(&[0, 1]))).unwrap_err();
    assert!(matches!(error, CertError::DamagedBlock(_, 3, _)), "{error:?}");
    let hollow = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    let error = Bundle::parse(&format!("{}{hollow}{}", cert(0), cert(1))).unwrap_err();
    assert!(matches!(error, CertError::NotACertificate(_, 2, _)), "{error:?}");
}

#[test]
fn a_private_key_in_a_bundle_is_an_error() {
    let stray = format!("{}{}", cert(0), CAS[0].key_pem());
    let error = Bundle::parse(&stray).unwrap_err();
    assert!(matches!(error, CertError::WrongBlock { block: 2, .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        "bundle: PEM block 2 is a \"PRIVATE KEY\", not a \"CERTIFICATE\""
    );
}

#[test]
fn bytes_after_the_certificate_are_an_error() {
    let mut der = pem::first_certificate("test", cert(0)).unwrap();
    der.push(0);
    let error = Bundle::parse(&pem::encode_certificate(&der)).unwrap_err();
    assert!(matches!(error, CertError::NotACertificate(_, 1, _)), "{error:?}");
}

#[test]
fn a_bundle_trusts_the_leaves_of_its_cas() {
    let bundle = Bundle::parse(&text(&[1, 2])).unwrap();
    for which in 0..4 {
        let pair = leaf(&CAS[which], now(), Duration::HOUR);
        assert_eq!(bundle.trusts(&pair.cert_pem, now()), [1, 2].contains(&which), "{which}");
    }
}

#[test]
fn a_leaf_is_trusted_only_while_it_is_valid() {
    let bundle = Bundle::parse(cert(5)).unwrap();
    let pair = leaf(&CAS[5], now() + Duration::DAY, Duration::HOUR);
    let begins = now() + Duration::DAY - crate::BACKDATE;
    let ends = now() + Duration::DAY + Duration::HOUR;
    let tick = Duration::SECOND;
    for (at, wanted) in [(begins - tick, false), (begins, true), (ends, true), (ends + tick, false)]
    {
        assert_eq!(bundle.trusts(&pair.cert_pem, at), wanted, "at {at}");
    }
}

#[test]
fn pruning_keeps_a_ca_that_is_not_valid_yet() {
    let later = Validity::starting(now() + Duration::WEEK, Duration::WEEK);
    let next = CertificateAuthority::generate("next", later).unwrap();
    let mut bundle = Bundle::parse(next.cert_pem()).unwrap();
    assert_eq!(bundle.prune_expired(now()), 0);
    assert!(bundle.contains(next.cert_pem()));
}

/// Returns the bytes of a certificate that its signature covers, if it can be parsed.
fn signed_part(der: &[u8]) -> Option<Vec<u8>> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    Some(certificate.tbs_certificate.as_ref().to_vec())
}

#[test]
fn a_certificate_with_two_different_signature_algorithms_is_not_trusted() {
    let by = &CAS[0];
    let mut der = pem::first_certificate("test", by.cert_pem()).unwrap();
    let ecdsa_with_sha256 = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
    let last = der.windows(8).rposition(|window| window == ecdsa_with_sha256).unwrap();
    // The outer algorithm is not signed. This makes it ecdsa-with-SHA224.
    der[last + 7] = 0x01;
    let damaged = pem::encode_certificate(&der);
    assert!(!Bundle::parse(by.cert_pem()).unwrap().trusts(&damaged, now()));
}

#[test]
fn salvage_keeps_the_cas_of_a_damaged_text() {
    let (one, two) = (&CAS[4], &CAS[5]);
    let leaf = leaf(one, now(), Duration::HOUR).cert_pem;
    let text = format!(
        "junk\n{}-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n{}{leaf}{}{}",
        one.cert_pem(),
        one.key_pem(),
        two.cert_pem(),
        one.cert_pem(),
    );
    let saved: Vec<_> = Bundle::salvage(&text).iter().collect();
    assert_eq!(saved, [one.cert_pem(), two.cert_pem()]);
    assert!(Bundle::salvage("").is_empty() && Bundle::salvage("garbage").is_empty());
}
