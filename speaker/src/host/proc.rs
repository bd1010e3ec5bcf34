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
