//! The packets of ARP and NDP that a speaker reads and writes, without their link-layer header.
//!
//! Everything that arrives may be hostile. The parsers read fixed offsets of short packets, return
//! `None` for everything that the RFCs do not allow, and never allocate.

pub mod arp;
pub mod ndp;

use std::fmt;

/// A MAC address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// The address of all stations on the link.
    pub const BROADCAST: Self = Self([0xff; 6]);
    /// The unknown address.
    pub const UNSPECIFIED: Self = Self([0; 6]);

    /// Returns whether one station can have this address.
    #[must_use]
    pub fn is_unicast(self) -> bool {
        self.0[0] & 1 == 0 && self != Self::UNSPECIFIED
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// Returns the `N` bytes at `offset`.
fn bytes<const N: usize>(packet: &[u8], offset: usize) -> Option<[u8; N]> {
    packet.get(offset..)?.first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mac_address_is_written_as_hexadecimal_pairs() {
        assert_eq!(Mac([2, 0, 0xab, 0, 0, 0xff]).to_string(), "02:00:ab:00:00:ff");
    }

    #[test]
    fn broadcast_multicast_and_unspecified_addresses_are_not_unicast() {
        assert!(Mac([2, 0, 0, 0, 0, 1]).is_unicast());
        for mac in [Mac::BROADCAST, Mac::UNSPECIFIED, Mac([0x33, 0x33, 0, 0, 0, 1])] {
            assert!(!mac.is_unicast(), "{mac}");
        }
    }
}
