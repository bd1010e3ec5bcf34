//! Reads from the kernel's tables which ports the sockets of the node use.

use crate::host::proc::{TCP_LISTEN, Tables, UDP_OPEN};
use fastrak_api::balancer::Protocol;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The sockets that receive packets from any peer.
pub(super) struct Listeners(Vec<(Protocol, IpAddr, u16)>);

impl Listeners {
    /// Reads the tables. A line that cannot be read is skipped.
    pub(super) fn read(tables: &Tables) -> Self {
        let tcp = tables.tcp.iter().flat_map(|table| sockets(table, TCP_LISTEN));
        let udp = tables.udp.iter().flat_map(|table| sockets(table, UDP_OPEN));
        let sctp = tables.sctp.lines().skip(1).filter_map(|line| {
            let port = line.split_whitespace().nth(5)?.parse().ok()?;
            Some((Ipv4Addr::UNSPECIFIED.into(), port))
        });
        let of = |protocol| move |(address, port)| (protocol, address, port);
        let all = tcp.map(of(Protocol::Tcp)).chain(udp.map(of(Protocol::Udp)));
        Self(all.chain(sctp.map(of(Protocol::Sctp))).collect())
    }

    /// Returns whether a socket receives packets for the port of an address. A socket of all IPv6
    /// addresses receives those for IPv4 addresses, too, unless it is restricted to IPv6, which the
    /// tables do not show.
    pub(super) fn uses(&self, protocol: Protocol, address: IpAddr, port: u16) -> bool {
        let is_same = |local: IpAddr| {
            local == address
                || local == IpAddr::V6(Ipv6Addr::UNSPECIFIED)
                || (local == IpAddr::V4(Ipv4Addr::UNSPECIFIED)
                    && (address.is_ipv4() || protocol == Protocol::Sctp))
        };
        self.0.iter().any(|(of, local, at)| *of == protocol && *at == port && is_same(*local))
    }
}

/// Returns the local addresses of the sockets in a state.
fn sockets<'a>(table: &'a str, state: &'a str) -> impl Iterator<Item = (IpAddr, u16)> + 'a {
    table.lines().skip(1).filter_map(move |line| {
        let mut fields = line.split_whitespace().skip(1);
        let (local, _remote, is) = (fields.next()?, fields.next()?, fields.next()?);
        (is == state).then(|| local_address(local)).flatten()
    })
}

/// Parses an address and a port. The kernel prints each 32-bit word of an address in the byte order of
/// the machine.
fn local_address(text: &str) -> Option<(IpAddr, u16)> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| u32::from_str_radix(address.get(at..at + 8)?, 16).ok();
    let address = match address.len() {
        8 => IpAddr::from(word(0)?.to_ne_bytes()),
        32 => {
            let words = [word(0)?, word(8)?, word(16)?, word(24)?].map(u32::to_ne_bytes);
            let bytes: [u8; 16] = words.as_flattened().try_into().ok()?;
            Ipv6Addr::from(bytes).to_canonical()
        }
        _ => return None,
    };
    Some((address, port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TCP: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 1 1
   1: 010200C0:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 1 1
   2: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 1 1
   3: 010200C0:01BB 090200C0:C000 01 00000000:00000000 00:00000000 00000000 0 0 1 1
";
    const TCP6: &str = "  sl  local_address remote_address st
   0: 00000000000000000000000000000000:280A 00000000000000000000000000000000:0000 0A
   1: 0000000000000000FFFF0000010200C0:2382 00000000000000000000000000000000:0000 0A
";

    #[cfg(target_endian = "little")]
    #[test]
    fn a_port_is_used_on_the_address_of_its_socket_and_by_sockets_of_all_addresses() {
        let tables = Tables { tcp: [TCP.to_owned(), TCP6.to_owned()], ..Tables::default() };
        let listeners = Listeners::read(&tables);
        let (ours, other) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        for (address, port, expected) in [
            (ours, 80, true),
            (other, 80, false),
            (ours, 8080, false),
            (other, 22, true),
            ("2001:db8::1".parse().unwrap(), 22, false),
            (ours, 10250, true),
            ("2001:db8::1".parse().unwrap(), 10250, true),
            (ours, 9090, true),
            (other, 9090, false),
            (ours, 443, false),
        ] {
            assert_eq!(listeners.uses(Protocol::Tcp, address, port), expected, "{address} {port}");
        }
        assert!(!listeners.uses(Protocol::Udp, ours, 80));
    }

    #[test]
    fn an_sctp_socket_uses_its_port_on_every_address() {
        let sctp = " ENDPT     SOCK   STY SST HBKT LPORT   UID INODE LADDRS
       0        0 2   10  28   3868      0 41523 192.0.2.1 
";
        let tables = Tables { sctp: sctp.to_owned(), ..Tables::default() };
        let listeners = Listeners::read(&tables);
        for address in ["192.0.2.1", "192.0.2.2", "2001:db8::1"] {
            let address = address.parse().unwrap();
            assert!(listeners.uses(Protocol::Sctp, address, 3868), "{address}");
            assert!(!listeners.uses(Protocol::Sctp, address, 3869), "{address}");
            assert!(!listeners.uses(Protocol::Tcp, address, 3868), "{address}");
        }
    }

    #[test]
    fn the_sockets_of_this_machine_are_found() {
        let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let local = udp.local_addr().unwrap();
        let listeners = Listeners::read(&crate::host::proc::sockets());
        assert!(listeners.uses(Protocol::Udp, local.ip(), local.port()));
        udp.connect("127.0.0.1:9").unwrap();
        let listeners = Listeners::read(&crate::host::proc::sockets());
        assert!(!listeners.uses(Protocol::Udp, local.ip(), local.port()), "it is connected");
    }

    proptest! {
        #[test]
        fn no_table_panics(text in "(.{0,40}\n){0,4}") {
            let tcp = [text.clone(), text.clone()];
            let tables = Tables { tcp, udp: [text.clone(), String::new()], sctp: text };
            let _used = Listeners::read(&tables).uses(Protocol::Tcp, Ipv4Addr::LOCALHOST.into(), 80);
        }
    }
}
