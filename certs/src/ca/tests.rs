use super::*;
use crate::{Bundle, Leaf};
use time::{Duration, OffsetDateTime};
use x509_parser::extensions::ParsedExtension;

fn now() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap()
}

fn ca(days: i64) -> CertificateAuthority {
    CertificateAuthority::generate("test ca", Validity::starting(now(), Duration::days(days)))
        .unwrap()
}

fn request(names: &[&str]) -> LeafRequest {
    LeafRequest {
        common_name: "someone".to_owned(),
        organization: None,
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        usage: Usage::Both,
        validity: Validity::starting(now(), Duration::days(10)),
    }
}

fn with_cert<T>(
    text: &str,
    look: impl FnOnce(&x509_parser::certificate::X509Certificate<'_>) -> T,
) -> T {
    let der = pem::first_certificate("test", text).unwrap();
    look(&pem::parse("test", 1, &der).unwrap())
}

fn key_identifiers(text: &str) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
    with_cert(text, |cert| {
        let (mut subject, mut ca) = (None, None);
        for extension in cert.extensions() {
            match extension.parsed_extension() {
                ParsedExtension::SubjectKeyIdentifier(id) => subject = Some(id.0.to_vec()),
                ParsedExtension::AuthorityKeyIdentifier(id) => {
                    ca = id.key_identifier.as_ref().map(|id| id.0.to_vec());
                }
                _ => {}
            }
        }
        (subject, ca)
    })
}

#[test]
fn a_new_ca_may_sign_leaves_and_nothing_else() {
    let ca = ca(30);
    with_cert(ca.cert_pem(), |cert| {
        let constraints = cert.basic_constraints().unwrap().unwrap();
        assert!(constraints.critical && constraints.value.ca);
        assert_eq!(constraints.value.path_len_constraint, Some(0));
        let usage = cert.key_usage().unwrap().unwrap();
        assert!(usage.critical && usage.value.key_cert_sign() && usage.value.crl_sign());
        assert!(!usage.value.digital_signature());
        assert!(pem::is_p256(cert));
        assert_eq!(cert.subject().to_string(), "CN=test ca");
        assert_eq!(pem::validity(cert), ca.validity());
    });
}

#[test]
fn key_identifiers_chain_a_leaf_to_its_ca() {
    let ca = ca(30);
    let leaf = ca.issue(&request(&["a.example"])).unwrap();
    let (ca_id, _) = key_identifiers(ca.cert_pem());
    let (leaf_id, issuer_id) = key_identifiers(&leaf.cert_pem);
    assert!(ca_id.is_some() && leaf_id.is_some());
    assert_eq!(ca_id, issuer_id);
    assert_ne!(ca_id, leaf_id);
}

#[test]
fn a_leaf_has_the_requested_content() {
    let mut asked = request(&["web.example", "*.pods.example", "10.1.2.3", "fd00::1"]);
    asked.organization = Some("system:masters".to_owned());
    asked.usage = Usage::Client;
    let pair = ca(30).issue(&asked).unwrap();
    let leaf = Leaf::load(&pair.cert_pem, &pair.key_pem).unwrap();
    assert_eq!(leaf.certificate.names, asked.names);
    assert_eq!(leaf.certificate.validity, asked.validity);
    with_cert(&pair.cert_pem, |cert| {
        assert_eq!(cert.subject().to_string(), "O=system:masters, CN=someone");
        assert!(!cert.is_ca());
        assert!(cert.key_usage().unwrap().unwrap().value.digital_signature());
        let usage = cert.extended_key_usage().unwrap().unwrap().value;
        assert!(usage.client_auth && !usage.server_auth && !usage.any);
    });
}

#[test]
fn each_usage_sets_its_extended_key_usages() {
    let ca = ca(30);
    for (usage, server, client) in
        [(Usage::Server, true, false), (Usage::Client, false, true), (Usage::Both, true, true)]
    {
        let pair = ca.issue(&LeafRequest { usage, ..request(&["a"]) }).unwrap();
        let sides = with_cert(&pair.cert_pem, |cert| {
            let usage = cert.extended_key_usage().unwrap().unwrap().value;
            (usage.server_auth, usage.client_auth)
        });
        assert_eq!(sides, (server, client), "{usage:?}");
    }
}

#[test]
fn serials_never_repeat_and_fit_in_twenty_bytes() {
    let ca = ca(30);
    let mut serials = std::collections::HashSet::new();
    for _ in 0..50 {
        let pair = ca.issue(&request(&["a"])).unwrap();
        let serial = with_cert(&pair.cert_pem, |cert| cert.raw_serial().to_vec());
        assert!(serial.len() <= 20 && serial[0] < 0x80, "{serial:?}");
        assert!(serials.insert(serial));
    }
}

#[test]
fn a_leaf_never_outlives_its_ca() {
    let ca = ca(3);
    let pair = ca.issue(&request(&["a"])).unwrap();
    let leaf = Leaf::load(&pair.cert_pem, &pair.key_pem).unwrap();
    assert_eq!(leaf.certificate.validity, ca.validity());
}

#[test]
fn an_expired_ca_issues_nothing() {
    let mut asked = request(&["a"]);
    asked.validity = Validity::starting(now() + Duration::days(31), Duration::days(1));
    let error = ca(30).issue(&asked).unwrap_err();
    assert!(matches!(error, CertError::OutsideCaValidity), "{error:?}");
}

#[test]
fn a_loaded_ca_equals_the_generated_one() {
    let made = ca(30);
    let loaded = CertificateAuthority::load(made.cert_pem(), made.key_pem()).unwrap();
    assert_eq!(loaded.cert_pem(), made.cert_pem());
    assert_eq!(loaded.key_pem(), made.key_pem());
    assert_eq!(loaded.validity(), made.validity());
    let pair = loaded.issue(&request(&["a"])).unwrap();
    assert!(Bundle::parse(made.cert_pem()).unwrap().trusts(&pair.cert_pem, now()));
    assert_eq!(key_identifiers(&pair.cert_pem).1, key_identifiers(made.cert_pem()).0);
}

#[test]
fn a_key_of_another_ca_is_refused() {
    let (one, two) = (ca(30), ca(30));
    let error = CertificateAuthority::load(one.cert_pem(), two.key_pem()).unwrap_err();
    assert!(matches!(error, CertError::KeyMismatch(_)), "{error:?}");
}

#[test]
fn a_leaf_is_not_loaded_as_a_ca() {
    let pair = ca(30).issue(&request(&["a"])).unwrap();
    let error = CertificateAuthority::load(&pair.cert_pem, &pair.key_pem).unwrap_err();
    assert!(matches!(error, CertError::NotACa), "{error:?}");
}

#[test]
fn a_ca_on_another_curve_is_refused() {
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let cert = ca_params("p384", ca(30).validity()).self_signed(&key).unwrap();
    let error = CertificateAuthority::load(&cert.pem(), &key.serialize_pem()).unwrap_err();
    assert!(matches!(error, CertError::UnusableKey { .. }), "{error:?}");
    let error = CertificateAuthority::load(&cert.pem(), ca(30).key_pem()).unwrap_err();
    assert!(matches!(error, CertError::NotP256(_)), "{error:?}");
}

#[test]
fn errors_name_the_invalid_part() {
    let made = ca(30);
    let table: [(&str, &str, &str); 6] = [
        ("", made.key_pem(), "no PEM block found (expected -----BEGIN CERTIFICATE-----)"),
        (made.cert_pem(), "", "no PEM block found (expected -----BEGIN PRIVATE KEY-----)"),
        (made.key_pem(), made.key_pem(), "is a \"PRIVATE KEY\", not a \"CERTIFICATE\""),
        (made.cert_pem(), made.cert_pem(), "is a \"CERTIFICATE\", not a \"PRIVATE KEY\""),
        (
            "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n",
            made.key_pem(),
            "PEM block 1 is damaged",
        ),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            made.key_pem(),
            "is not an X.509 certificate",
        ),
    ];
    for (cert, key, wanted) in table {
        let error = CertificateAuthority::load(cert, key).unwrap_err().to_string();
        assert!(error.contains(wanted), "{error} should contain {wanted}");
    }
}

#[test]
fn invalid_names_are_refused() {
    let ca = ca(30);
    let long = "a".repeat(64);
    let longer = format!("{}a", "a.".repeat(127));
    for name in ["", " ", "a b", "a..b", ".a", "a.", "*", "a.*.b", "ä.example", &long, &longer] {
        let error = ca.issue(&request(&[name])).unwrap_err();
        assert!(
            matches!(&error, CertError::BadName(rejected) if rejected == name),
            "{name:?}: {error:?}"
        );
    }
}

#[test]
fn years_that_x509_cannot_encode_are_refused() {
    let at = |year| {
        OffsetDateTime::new_utc(
            time::Date::from_calendar_date(year, time::Month::January, 1).unwrap(),
            time::Time::MIDNIGHT,
        )
    };
    for (from, to) in [(-5000, 2000), (1949, 2000), (2001, 2000)] {
        let validity = Validity { not_before: at(from), not_after: at(to) };
        let error = CertificateAuthority::generate("a", validity).unwrap_err();
        assert!(matches!(error, CertError::BadValidity), "{error:?}");
    }
    let far = Validity { not_before: at(1950), not_after: at(9999) };
    let made = CertificateAuthority::generate("a", far).unwrap();
    assert_eq!(
        CertificateAuthority::load(made.cert_pem(), made.key_pem()).unwrap().validity(),
        far
    );
}

#[test]
fn debug_output_contains_no_private_key() {
    let made = ca(30);
    let secret = made.key_pem().lines().nth(1).unwrap();
    let pair = KeyPairPem { cert_pem: "c".to_owned(), key_pem: made.key_pem().to_owned() };
    for shown in [format!("{made:?}"), format!("{made:#?}"), format!("{pair:?}")] {
        assert!(!shown.contains(secret) && !shown.contains("PRIVATE KEY"), "{shown}");
    }
}

#[test]
fn a_signing_key_is_a_pair_on_p256() {
    let (private, public) = signing_key_pem().unwrap();
    let key = KeyPair::from_pem(&private).unwrap();
    assert!(key.is_compatible(&rcgen::PKCS_ECDSA_P256_SHA256));
    assert_eq!(key.public_key_pem(), public);
}
