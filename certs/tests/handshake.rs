//! TLS handshakes between a leaf and a bundle, as an API server performs them.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails by panicking, as the test would")]

use std::sync::Arc;

use fastrak_certs::{Bundle, CertificateAuthority, KeyPairPem, LeafRequest, Usage, Validity};
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::{CryptoProvider, ring};
use rustls::server::WebPkiClientVerifier;
use rustls::time_provider::TimeProvider;
use rustls::{
    CertificateError, ClientConfig, ClientConnection, Error, RootCertStore, ServerConfig,
    ServerConnection,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use time::{Duration, OffsetDateTime};

const START: i64 = 1_800_000_000;

/// The time of a handshake.
#[derive(Debug)]
struct At(OffsetDateTime);

impl TimeProvider for At {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.unix_timestamp()).unwrap();
        Some(UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds)))
    }
}

fn now() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(START).unwrap()
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn ca(days: i64) -> CertificateAuthority {
    let validity = Validity::starting(now(), Duration::days(days));
    CertificateAuthority::generate("ca", validity).unwrap()
}

fn leaf(by: &CertificateAuthority, usage: Usage) -> KeyPairPem {
    by.issue(&LeafRequest {
        common_name: "leaf".to_owned(),
        organization: Some("group".to_owned()),
        names: vec!["hook.default.svc".to_owned(), "127.0.0.1".to_owned()],
        usage,
        validity: Validity::starting(now(), Duration::days(10)),
    })
    .unwrap()
}

fn roots(bundle: &Bundle) -> Arc<RootCertStore> {
    let mut store = RootCertStore::empty();
    for der in CertificateDer::pem_slice_iter(bundle.to_pem().as_bytes()) {
        store.add(der.unwrap()).unwrap();
    }
    Arc::new(store)
}

fn identity(pair: &KeyPairPem) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let cert = CertificateDer::from_pem_slice(pair.cert_pem.as_bytes()).unwrap();
    (vec![cert], PrivateKeyDer::from_pem_slice(pair.key_pem.as_bytes()).unwrap())
}

fn server(pair: &KeyPairPem, clients: Option<&Bundle>) -> ServerConnection {
    let (chain, key) = identity(pair);
    let builder = ServerConfig::builder_with_details(provider(), Arc::new(At(now())))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(bundle) => builder.with_client_cert_verifier(
            WebPkiClientVerifier::builder_with_provider(roots(bundle), provider()).build().unwrap(),
        ),
    };
    ServerConnection::new(Arc::new(builder.with_single_cert(chain, key).unwrap())).unwrap()
}

fn client(
    bundle: &Bundle,
    name: &'static str,
    at: OffsetDateTime,
    pair: Option<&KeyPairPem>,
) -> ClientConnection {
    let verifier =
        WebPkiServerVerifier::builder_with_provider(roots(bundle), provider()).build().unwrap();
    let builder = ClientConfig::builder_with_details(provider(), Arc::new(At(at)))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_webpki_verifier(verifier);
    let config = match pair {
        None => builder.with_no_client_auth(),
        Some(pair) => {
            let (chain, key) = identity(pair);
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    };
    ClientConnection::new(Arc::new(config), ServerName::try_from(name).unwrap()).unwrap()
}

/// Exchanges bytes in memory until the handshake is complete or one side fails.
fn shake(client: &mut ClientConnection, server: &mut ServerConnection) -> Result<(), Error> {
    while client.is_handshaking() || server.is_handshaking() || client.wants_write() {
        let mut wire = Vec::new();
        client.write_tls(&mut wire).unwrap();
        server.read_tls(&mut wire.as_slice()).unwrap();
        server.process_new_packets()?;
        let mut wire = Vec::new();
        server.write_tls(&mut wire).unwrap();
        client.read_tls(&mut wire.as_slice()).unwrap();
        client.process_new_packets()?;
    }
    Ok(())
}

fn connect(
    bundle: &Bundle,
    by: &CertificateAuthority,
    name: &'static str,
    at: OffsetDateTime,
) -> Result<(), Error> {
    let mut server = server(&leaf(by, Usage::Server), None);
    shake(&mut client(bundle, name, at, None), &mut server)
}

#[test]
fn a_leaf_is_accepted_by_name_and_by_address() {
    let by = ca(30);
    let bundle = Bundle::parse(by.cert_pem()).unwrap();
    connect(&bundle, &by, "hook.default.svc", now()).unwrap();
    connect(&bundle, &by, "127.0.0.1", now()).unwrap();
}

#[test]
fn another_name_is_refused() {
    let by = ca(30);
    let bundle = Bundle::parse(by.cert_pem()).unwrap();
    let error = connect(&bundle, &by, "other.default.svc", now()).unwrap_err();
    assert!(
        matches!(error, Error::InvalidCertificate(CertificateError::NotValidForNameContext { .. })),
        "{error:?}"
    );
}

#[test]
fn a_bundle_with_two_cas_of_one_name_accepts_leaves_of_both() {
    let (current, next) = (ca(30), ca(60));
    let bundle = Bundle::parse(&format!("{}{}", current.cert_pem(), next.cert_pem())).unwrap();
    connect(&bundle, &current, "hook.default.svc", now()).unwrap();
    connect(&bundle, &next, "hook.default.svc", now()).unwrap();
}

#[test]
fn a_leaf_of_a_ca_outside_the_bundle_is_refused() {
    let (trusted, unknown) = (ca(30), ca(30));
    let bundle = Bundle::parse(trusted.cert_pem()).unwrap();
    let error = connect(&bundle, &unknown, "hook.default.svc", now()).unwrap_err();
    assert!(matches!(error, Error::InvalidCertificate(_)), "{error:?}");
}

#[test]
fn the_handshake_and_the_bundle_agree_on_every_boundary() {
    let by = ca(30);
    let bundle = Bundle::parse(by.cert_pem()).unwrap();
    let pair = leaf(&by, Usage::Server);
    let (begins, ends) = (now() - Duration::HOUR, now() + Duration::days(10));
    let tick = Duration::SECOND;
    for (at, accepted) in
        [(begins - tick, false), (begins, true), (ends, true), (ends + tick, false)]
    {
        let mut client = client(&bundle, "hook.default.svc", at, None);
        let shaken = shake(&mut client, &mut server(&pair, None));
        assert_eq!(shaken.is_ok(), accepted, "at {at}: {shaken:?}");
        assert_eq!(bundle.trusts(&pair.cert_pem, at), accepted, "at {at}");
    }
}

#[test]
fn a_client_leaf_authenticates_a_client_and_a_server_leaf_does_not() {
    let by = ca(30);
    let bundle = Bundle::parse(by.cert_pem()).unwrap();
    let call = |usage| {
        let mut server = server(&leaf(&by, Usage::Server), Some(&bundle));
        let own = leaf(&by, usage);
        shake(&mut client(&bundle, "hook.default.svc", now(), Some(&own)), &mut server)
    };
    call(Usage::Client).unwrap();
    call(Usage::Both).unwrap();
    let error = call(Usage::Server).unwrap_err();
    assert!(matches!(error, Error::InvalidCertificate(_)), "{error:?}");
}
