//! The verification of client certificates. `client_ca.rs` reads the CA file.
//!
//! Verification prevents clients other than the API server from sending reviews. Responses contain
//! only what the client sent and the names of eligible nodes.

use super::metrics::{ClientCertificate, ServeMetrics};
use arc_swap::ArcSwap;
use fastrak_certs::common_names;
use fastrak_runtime::crypto;
use fastrak_runtime::tls::{TlsError, certificates};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    SignatureScheme,
};
use std::sync::Arc;

/// How client certificates are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ClientAuth {
    /// They are not requested.
    Off,
    /// They are requested and counted; no client is rejected.
    Observe,
    /// A client without a trusted certificate is rejected.
    Require,
}

/// The verifier of client certificates.
#[derive(Debug)]
pub struct Clients {
    is_required: bool,
    names: Vec<String>,
    trusted: ArcSwap<Trusted>,
    metrics: ServeMetrics,
}

#[derive(Debug)]
struct Trusted(Arc<dyn ClientCertVerifier>);

impl Clients {
    /// Returns a verifier that trusts the CA certificates in a PEM text. If `names` is not empty,
    /// only certificates with one of these common names are trusted.
    pub fn new(
        is_required: bool,
        names: Vec<String>,
        ca_pem: &[u8],
        metrics: ServeMetrics,
    ) -> Result<Self, TlsError> {
        let trusted = ArcSwap::from_pointee(Trusted::read(ca_pem)?);
        Ok(Self { is_required, names, trusted, metrics })
    }

    /// Replaces the trusted CA certificates by those in a PEM text.
    pub fn trust(&self, ca_pem: &[u8]) -> Result<(), TlsError> {
        self.trusted.store(Arc::new(Trusted::read(ca_pem)?));
        Ok(())
    }

    fn verify(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        self.trusted.load().0.verify_client_cert(end_entity, intermediates, now)?;
        let named = || common_names(end_entity).iter().any(|name| self.names.contains(name));
        if self.names.is_empty() || named() {
            return Ok(());
        }
        Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
    }
}

impl Trusted {
    fn read(ca_pem: &[u8]) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        for ca in certificates(ca_pem)? {
            roots.add(ca).map_err(TlsError::Ca)?;
        }
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), crypto::provider());
        verifier.build().map(Self).map_err(TlsError::NoCa)
    }
}

impl ClientCertVerifier for Clients {
    fn client_auth_mandatory(&self) -> bool {
        self.is_required
    }

    /// Returns no hints. rustls sends them once per connection, before the CA could change, and a
    /// client without hints sends the certificate that it has.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.verify(end_entity, intermediates, now);
        let found = match verified {
            Ok(()) => ClientCertificate::Trusted,
            Err(_) => ClientCertificate::Untrusted,
        };
        self.metrics.count_client(found);
        match verified {
            Err(error) if self.is_required => Err(error),
            Ok(()) | Err(_) => Ok(ClientCertVerified::assertion()),
        }
    }

    // An invalid signature is rejected even in `Observe`: the client does not own the certificate.
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.trusted.load().0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.trusted.load().0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.trusted.load().0.supported_verify_schemes()
    }
}
