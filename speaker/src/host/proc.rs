//! The kernel's tables of this process' network, as texts.

use std::fs::read_to_string;
use std::io;

/// The routing tables of IPv4 and IPv6. The second is empty if the kernel has no IPv6.
#[derive(Clone, Debug)]
pub struct Routes {
    /// `/proc/net/route`.
    pub ipv4: String,
    /// `/proc/net/ipv6_route`.
    pub ipv6: String,
}

/// Returns the routing tables.
pub fn routes() -> Routes {
    Routes { ipv4: text("/proc/net/route"), ipv6: text("/proc/net/ipv6_route") }
}

/// The sockets of IPv4 and IPv6. A table is empty if the kernel does not have its protocol.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    /// `/proc/net/tcp` and `/proc/net/tcp6`.
    pub tcp: [String; 2],
    /// `/proc/net/udp` and `/proc/net/udp6`.
    pub udp: [String; 2],
    /// `/proc/net/sctp/eps`.
    pub sctp: String,
}

/// Returns the tables of sockets.
#[must_use]
pub fn sockets() -> Tables {
    Tables {
        tcp: ["/proc/net/tcp", "/proc/net/tcp6"].map(text),
        udp: ["/proc/net/udp", "/proc/net/udp6"].map(text),
        sctp: text("/proc/net/sctp/eps"),
    }
}

/// Returns the table of interfaces.
#[must_use]
pub fn interfaces() -> String {
    text("/proc/net/dev")
}

fn text(path: &str) -> String {
    read_to_string(path).unwrap_or_else(|error| {
        if error.kind() != io::ErrorKind::NotFound {
            tracing::warn!(path, %error, "could not read a table of the kernel");
        }
        String::new()
    })
}
