//! The TLS handshake of a connection, and why it came to nothing. Whom a client's certificate makes it is
//! `clients.rs`'s business.

use super::Counter;
use crate::metrics::{ClientCertificate, HandshakeFailure};
use std::io;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// Why a handshake came to nothing.
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

/// Shakes hands.
pub(super) async fn shake(
    stream: TcpStream,
    counter: &Counter,
) -> Result<TlsStream<TcpStream>, Failure> {
    let Counter { security, metrics, limits, .. } = counter;
    let shaking = tokio::time::timeout(limits.handshake, security.acceptor.accept(stream));
    let Ok(shaken) = shaking.await else {
        return Err(Failure { cause: HandshakeFailure::Timeout, error: None });
    };
    let bare = match &shaken {
        Ok(stream) => stream.get_ref().1.peer_certificates().is_none(),
        Err(error) => matches!(of_tls(error), Some(rustls::Error::NoCertificatesPresented)),
    };
    if bare && security.asks_clients {
        metrics.serving.count_client(ClientCertificate::None);
    }
    shaken.map_err(|error| {
        let cause = cause(&error, security.slot.is_set());
        Failure { cause, error: Some(error.to_string()) }
    })
}

fn of_tls(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

fn cause(error: &io::Error, is_set: bool) -> HandshakeFailure {
    match of_tls(error) {
        None => HandshakeFailure::Io,
        Some(rustls::Error::NoCertificatesPresented | rustls::Error::InvalidCertificate(_)) => {
            HandshakeFailure::ClientCertificate
        }
        Some(rustls::Error::AlertReceived(_)) => HandshakeFailure::Alert,
        Some(rustls::Error::General(_)) if !is_set => HandshakeFailure::NoCertificate,
        Some(_) => HandshakeFailure::Protocol,
    }
}
