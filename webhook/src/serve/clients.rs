//! Who may ask: nobody is looked at, or clients' certificates are looked at and counted, or they are
//! demanded. It does not read the file that says whom to trust; `client_ca.rs` does.
//!
//! Who is allowed in may send reviews, and learns nothing from the answers that it did not bring
//! with it. What this keeps away is the cost of answering strangers.

use crate::metrics::{ClientCertificate, Metrics};
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

/// What is made of clients' certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ClientAuth {
    /// They are not asked for.
    Off,
    /// They are asked for and counted; nobody is refused.
    Observe,
    /// Whoever has none that is trusted is refused.
    Require,
}

/// Looks at clients' certificates.
#[derive(Debug)]
pub struct Clients {
    is_required: bool,
    names: Vec<String>,
    trusted: ArcSwap<Trusted>,
    metrics: Arc<Metrics>,
}

#[derive(Debug)]
struct Trusted(Arc<dyn ClientCertVerifier>);

impl Clients {
    /// Trusts the authorities of this PEM and, of what they signed, these common names; without
    /// any, all.
    pub fn new(
        is_required: bool,
        names: Vec<String>,
        authorities: &[u8],
        metrics: Arc<Metrics>,
    ) -> Result<Self, TlsError> {
        let trusted = ArcSwap::from_pointee(Trusted::read(authorities)?);
        Ok(Self { is_required, names, trusted, metrics })
    }

    /// Trusts the authorities of this PEM from now on, in place of those before.
    pub fn trust(&self, authorities: &[u8]) -> Result<(), TlsError> {
        self.trusted.store(Arc::new(Trusted::read(authorities)?));
        Ok(())
    }

    fn judge(
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
    fn read(authorities: &[u8]) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        for authority in certificates(authorities)? {
            roots.add(authority).map_err(TlsError::Ca)?;
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

    /// No hints: they would be those of the time when the connection was made, and a client without
    /// any sends what it has.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let judged = self.judge(end_entity, intermediates, now);
        let found = match judged {
            Ok(()) => ClientCertificate::Trusted,
            Err(_) => ClientCertificate::Untrusted,
        };
        self.metrics.serving.count_client(found);
        match judged {
            Err(error) if self.is_required => Err(error),
            Ok(()) | Err(_) => Ok(ClientCertVerified::assertion()),
        }
    }

    // A signature that does not fit is no matter of trust: it is refused even where nobody else is.
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
