//! The kernel's tables of this process' network, as texts.

use std::fs::{File, read_to_string};
use std::io::{self, BufRead as _, BufReader};

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

/// The state of a TCP socket that listens.
pub const TCP_LISTEN: &str = "0A";
/// The state of a UDP socket that is not connected.
pub const UDP_OPEN: &str = "07";

/// The sockets of IPv4 and IPv6 that receive packets from any peer. A table is empty if the kernel does
/// not have its protocol.
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
        tcp: ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| sockets_in(path, TCP_LISTEN)),
        udp: ["/proc/net/udp", "/proc/net/udp6"].map(|path| sockets_in(path, UDP_OPEN)),
        sctp: text("/proc/net/sctp/eps"),
    }
}

/// Returns the table of interfaces.
#[must_use]
pub fn interfaces() -> String {
    text("/proc/net/dev")
}

/// Returns the first line of a table, and those of the sockets in a state. A node may have many more
/// connections than fit into memory.
fn sockets_in(path: &str, state: &str) -> String {
    let is_in = |line: &str| line.split_whitespace().nth(3) == Some(state);
    let read = |file: File| -> io::Result<String> {
        let mut table = String::new();
        for line in BufReader::new(file).lines() {
            let line = line?;
            if table.is_empty() || is_in(&line) {
                table.push_str(&line);
                table.push('\n');
            }
        }
        Ok(table)
    };
    readable(path, File::open(path).and_then(read))
}

fn text(path: &str) -> String {
    readable(path, read_to_string(path))
}

fn readable(path: &str, result: io::Result<String>) -> String {
    result.unwrap_or_else(|error| {
        if error.kind() != io::ErrorKind::NotFound {
            tracing::warn!(path, %error, "could not read a table of the kernel");
        }
        String::new()
    })
}
