//! The TLS handshake of a connection, and the cause of a failure. `clients.rs` verifies client
//! certificates.

use super::ConnectionContext;
use super::metrics::{ClientCertificate, HandshakeFailure};
use std::io;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// A failed handshake.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) cause: HandshakeFailure,
    pub(super) error: Option<String>,
}

impl Failure {
    pub(super) const fn evicted() -> Self {
        Self { cause: HandshakeFailure::Evicted, error: None }
    }
}

/// Performs the handshake.
pub(super) async fn accept(
    stream: TcpStream,
    context: &ConnectionContext,
) -> Result<TlsStream<TcpStream>, Failure> {
    let ConnectionContext { security, metrics, limits, .. } = context;
    let accepting = tokio::time::timeout(limits.handshake, security.acceptor.accept(stream));
    let Ok(accepted) = accepting.await else {
        return Err(Failure { cause: HandshakeFailure::Timeout, error: None });
    };
    let is_bare = match &accepted {
        Ok(stream) => stream.get_ref().1.peer_certificates().is_none(),
        Err(error) => matches!(tls_error(error), Some(rustls::Error::NoCertificatesPresented)),
    };
    if is_bare && security.asks_clients {
        metrics.count_client(ClientCertificate::None);
    }
    accepted.map_err(|error| {
        let cause = cause(&error, security.slot.is_set());
        Failure { cause, error: Some(error.to_string()) }
    })
}

fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

fn cause(error: &io::Error, is_set: bool) -> HandshakeFailure {
    match tls_error(error) {
        None => HandshakeFailure::Io,
        Some(rustls::Error::NoCertificatesPresented | rustls::Error::InvalidCertificate(_)) => {
            HandshakeFailure::ClientCertificate
        }
        Some(rustls::Error::AlertReceived(_)) => HandshakeFailure::Alert,
        Some(rustls::Error::General(_)) if !is_set => HandshakeFailure::NoCertificate,
        Some(_) => HandshakeFailure::Protocol,
    }
}
