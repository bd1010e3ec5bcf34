//! Listening sockets.

use crate::descriptors;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use tokio::net::TcpListener;

/// Binds an address and raises the limit of file descriptors, because each connection needs one. On
/// a machine without IPv6, binds `0.0.0.0` instead of `[::]`.
pub async fn bind(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    descriptors::raise();
    let listener = match TcpListener::bind(address).await {
        Ok(listener) => listener,
        Err(error) => match without_ipv6(address, &error) {
            Some(other) => TcpListener::bind(other).await?,
            None => return Err(error),
        },
    };
    let bound = listener.local_addr()?;
    Ok((listener, bound))
}

/// Returns the IPv4 address to bind instead of `[::]` on a machine without IPv6. Returns nothing if
/// the port is in use or not permitted.
fn without_ipv6(address: SocketAddr, error: &io::Error) -> Option<SocketAddr> {
    let other_reason =
        matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied);
    let any_ipv6 = address.is_ipv6() && address.ip().is_unspecified();
    (any_ipv6 && !other_reason)
        .then(|| SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), address.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn any_ipv6_address_can_be_bound_with_and_without_ipv6() {
        let (_listener, bound) = bind("[::]:0".parse().unwrap()).await.unwrap();
        assert!(bound.ip().is_unspecified());
        assert_ne!(bound.port(), 0);
    }

    #[test]
    fn only_missing_ipv6_falls_back_to_ipv4() {
        let parse = |text: &str| text.parse::<SocketAddr>().unwrap();
        let missing = io::Error::from_raw_os_error(97); // EAFNOSUPPORT
        let taken = io::Error::from(io::ErrorKind::AddrInUse);
        let forbidden = io::Error::from(io::ErrorKind::PermissionDenied);
        assert_eq!(without_ipv6(parse("[::]:8080"), &missing), Some(parse("0.0.0.0:8080")));
        assert_eq!(without_ipv6(parse("[::]:8080"), &taken), None);
        assert_eq!(without_ipv6(parse("[::]:80"), &forbidden), None);
        assert_eq!(without_ipv6(parse("[::1]:8080"), &missing), None);
        assert_eq!(without_ipv6(parse("0.0.0.0:8080"), &missing), None);
    }
}
