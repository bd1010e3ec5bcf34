//! ARP for IPv4 over Ethernet: RFC 826, and RFC 5227 for probes and announcements.

use super::{Mac, bytes};
use std::net::Ipv4Addr;

/// The length of a packet.
pub const LENGTH: usize = 28;

/// Hardware type Ethernet, protocol type IPv4, and the lengths of both kinds of address.
const HEADER: [u8; 6] = [0, 1, 8, 0, 6, 4];

/// The operation of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Asks which station has an address.
    Request,
    /// Answers a request.
    Reply,
}

/// An ARP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// The operation.
    pub operation: Operation,
    /// The MAC address of the sender.
    pub sender_mac: Mac,
    /// The IPv4 address of the sender; unspecified in a probe.
    pub sender: Ipv4Addr,
    /// The MAC address of the target; unknown in a request.
    pub target_mac: Mac,
    /// The IPv4 address of the target.
    pub target: Ipv4Addr,
}

impl Packet {
    /// Parses a packet. Ethernet pads short frames, so bytes after the packet are ignored.
    #[must_use]
    pub fn parse(packet: &[u8]) -> Option<Self> {
        if bytes(packet, 0)? != HEADER {
            return None;
        }
        let operation = match bytes(packet, 6)? {
            [0, 1] => Operation::Request,
            [0, 2] => Operation::Reply,
            _ => return None,
        };
        Some(Self {
            operation,
            sender_mac: Mac(bytes(packet, 8)?),
            sender: bytes::<4>(packet, 14)?.into(),
            target_mac: Mac(bytes(packet, 18)?),
            target: bytes::<4>(packet, 24)?.into(),
        })
        .filter(|packet| packet.sender_mac.is_unicast())
    }

    /// Returns the bytes of the packet.
    #[must_use]
    pub fn encode(&self) -> [u8; LENGTH] {
        let operation = match self.operation {
            Operation::Request => 1,
            Operation::Reply => 2,
        };
        let mut encoded = [0; LENGTH];
        encoded[..6].copy_from_slice(&HEADER);
        encoded[7] = operation;
        encoded[8..14].copy_from_slice(&self.sender_mac.0);
        encoded[14..18].copy_from_slice(&self.sender.octets());
        encoded[18..24].copy_from_slice(&self.target_mac.0);
        encoded[24..].copy_from_slice(&self.target.octets());
        encoded
    }

    /// Returns a request for the MAC address of `target`.
    #[must_use]
    pub fn request(mac: Mac, sender: Ipv4Addr, target: Ipv4Addr) -> Self {
        let operation = Operation::Request;
        Self { operation, sender_mac: mac, sender, target_mac: Mac::UNSPECIFIED, target }
    }

    /// Returns a probe for `address` (RFC 5227 §2.1.1). It has no sender address, so it changes no
    /// neighbour table.
    #[must_use]
    pub fn probe(mac: Mac, address: Ipv4Addr) -> Self {
        Self::request(mac, Ipv4Addr::UNSPECIFIED, address)
    }

    /// Returns an announcement of `address` (RFC 5227 §2.3). Some stations update their tables only
    /// from requests and some only from replies, so a speaker sends both.
    #[must_use]
    pub fn announcement(operation: Operation, mac: Mac, address: Ipv4Addr) -> Self {
        let target_mac = match operation {
            Operation::Request => Mac::UNSPECIFIED,
            Operation::Reply => mac,
        };
        Self { operation, sender_mac: mac, sender: address, target_mac, target: address }
    }

    /// Returns the answer of the station `mac` to this request.
    #[must_use]
    pub fn reply(&self, mac: Mac) -> Self {
        Self {
            operation: Operation::Reply,
            sender_mac: mac,
            sender: self.target,
            target_mac: self.sender_mac,
            target: self.sender,
        }
    }

    /// Returns whether the sender only asks if the target's address is free.
    #[must_use]
    pub fn is_probe(&self) -> bool {
        self.operation == Operation::Request && self.sender.is_unspecified()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OURS: Mac = Mac([2, 0, 0, 0, 0, 1]);
    const THEIRS: Mac = Mac([2, 0, 0, 0, 0, 2]);
    const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);
    const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 99);

    /// A request of the client, byte by byte.
    const REQUEST: [u8; LENGTH] =
        [0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 2, 192, 0, 2, 99, 0, 0, 0, 0, 0, 0, 192, 0, 2, 10];

    #[test]
    fn a_request_is_parsed_and_encoded() {
        let request = Packet::parse(&REQUEST).unwrap();
        assert_eq!(request, Packet::request(THEIRS, CLIENT, ADDRESS));
        assert_eq!(request.encode(), REQUEST);
        let padded = [REQUEST.as_slice(), &[0; 18]].concat();
        assert_eq!(Packet::parse(&padded), Some(request));
    }

    #[test]
    fn a_reply_names_the_requested_address_and_its_station() {
        let reply = Packet::parse(&REQUEST).unwrap().reply(OURS);
        assert_eq!((reply.sender_mac, reply.sender), (OURS, ADDRESS));
        assert_eq!((reply.target_mac, reply.target), (THEIRS, CLIENT));
        assert_eq!(reply.operation, Operation::Reply);
    }

    #[test]
    fn a_probe_has_no_sender_address() {
        assert!(Packet::probe(OURS, ADDRESS).is_probe());
        assert!(!Packet::request(OURS, CLIENT, ADDRESS).is_probe());
        assert!(!Packet::announcement(Operation::Request, OURS, ADDRESS).is_probe());
    }

    #[test]
    fn every_other_header_is_ignored() {
        for offset in 0..8 {
            let mut packet = REQUEST;
            packet[offset] ^= 0x10;
            assert_eq!(Packet::parse(&packet), None, "byte {offset}");
        }
        for length in 0..LENGTH {
            assert_eq!(Packet::parse(&REQUEST[..length]), None, "{length} bytes");
        }
    }

    #[test]
    fn a_sender_that_is_a_group_is_ignored() {
        let mut packet = REQUEST;
        packet[8..14].copy_from_slice(&Mac::BROADCAST.0);
        assert_eq!(Packet::parse(&packet), None);
    }

    proptest! {
        #[test]
        fn what_is_parsed_is_encoded_to_the_same_bytes(
            tail in proptest::array::uniform20(any::<u8>()), reply in any::<bool>(),
        ) {
            let packet = [HEADER.as_slice(), &[0, 1 + u8::from(reply)], &tail].concat();
            if let Some(parsed) = Packet::parse(&packet) {
                let encoded = parsed.encode();
                prop_assert_eq!(encoded.as_slice(), packet);
            }
        }

        #[test]
        fn no_packet_panics(packet in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _parsed = Packet::parse(&packet);
        }
    }
}
