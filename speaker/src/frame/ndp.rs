//! Neighbor solicitations and advertisements of NDP: RFC 4861 §4.3, §4.4, §7.1 and §7.2.
//!
//! Packets begin with their IPv6 header. A hop limit of 255 proves that no router has forwarded
//! them.

use super::{Mac, bytes};
use std::net::Ipv6Addr;

/// The length of the IPv6 header.
const IPV6: usize = 40;
/// The length of a message without its options.
const MESSAGE: usize = 24;
/// The length of an option that holds a MAC address.
const OPTION: usize = 8;
/// The length of the longest packet.
const LENGTH: usize = IPV6 + MESSAGE + OPTION;

const ICMPV6: u8 = 58;
const HOP_LIMIT: u8 = 255;
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
const SOURCE_LINK_LAYER: u8 = 1;
const TARGET_LINK_LAYER: u8 = 2;
const SOLICITED: u8 = 0x40;
const OVERRIDE: u8 = 0x20;

/// An encoded packet: with a MAC address or without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    packet: [u8; LENGTH],
    length: usize,
}

/// All nodes on the link.
pub const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// A parsed packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet {
    /// Asks which station has an address.
    Solicitation {
        /// The address of the sender; unspecified during duplicate address detection.
        source: Ipv6Addr,
        /// The requested address.
        target: Ipv6Addr,
    },
    /// Says which station has an address.
    Advertisement {
        /// The address.
        target: Ipv6Addr,
        /// The MAC address of its station, if the packet names it.
        mac: Option<Mac>,
    },
}

impl Packet {
    /// Parses a packet.
    #[must_use]
    pub fn parse(packet: &[u8]) -> Option<Self> {
        let [first] = bytes(packet, 0)?;
        let payload = usize::from(u16::from_be_bytes(bytes(packet, 4)?));
        if first >> 4 != 6 || bytes(packet, 6)? != [ICMPV6, HOP_LIMIT] {
            return None;
        }
        let source = Ipv6Addr::from(bytes::<16>(packet, 8)?);
        let destination = Ipv6Addr::from(bytes::<16>(packet, 24)?);
        let message = packet.get(IPV6..)?.get(..payload)?;
        // The checksum includes itself, so that of an intact message is zero.
        if checksum(source, destination, message) != 0 {
            return None;
        }
        let [kind, code] = bytes(message, 0)?;
        let target = Ipv6Addr::from(bytes::<16>(message, 8)?);
        if code != 0 || target.is_multicast() || target.is_unspecified() {
            return None;
        }
        let [flags] = bytes(message, 4)?;
        let options = message.get(MESSAGE..)?;
        match kind {
            SOLICITATION => solicitation(source, destination, target, options),
            // RFC 4861 §7.1.2
            ADVERTISEMENT if destination.is_multicast() && flags & SOLICITED != 0 => None,
            ADVERTISEMENT => {
                let mac = link_layer_address(options, TARGET_LINK_LAYER)?;
                Some(Self::Advertisement { target, mac })
            }
            _ => None,
        }
    }
}

fn solicitation(
    source: Ipv6Addr,
    destination: Ipv6Addr,
    target: Ipv6Addr,
    options: &[u8],
) -> Option<Packet> {
    let mac = link_layer_address(options, SOURCE_LINK_LAYER)?;
    let detection = source.is_unspecified();
    if source.is_multicast() || detection && (mac.is_some() || destination != group(target)) {
        return None;
    }
    Some(Packet::Solicitation { source, target })
}

/// Returns the MAC address in the options, or `None` in it if there is none. Returns `None` if an
/// option is malformed.
#[expect(clippy::option_option, reason = "an absent option differs from a malformed one")]
fn link_layer_address(mut options: &[u8], wanted: u8) -> Option<Option<Mac>> {
    let mut found = None;
    while !options.is_empty() {
        let [kind, units] = bytes(options, 0)?;
        let length = usize::from(units) * 8;
        let option = options.get(..length).filter(|option| !option.is_empty())?;
        if kind == wanted {
            found = Some(Mac(bytes(option, 2)?)).filter(|mac| mac.is_unicast());
        }
        options = &options[length..];
    }
    Some(found)
}

/// Returns the solicited-node multicast address of `target` (RFC 4291 §2.7.1).
#[must_use]
pub fn group(target: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b] = target.segments();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | (a & 0xff), b)
}

/// Returns the MAC address of a multicast group (RFC 2464 §7).
#[must_use]
pub fn group_mac(group: Ipv6Addr) -> Mac {
    let [.., a, b, c, d] = group.octets();
    Mac([0x33, 0x33, a, b, c, d])
}

/// Returns the answer of the station `mac` to a solicitation for `target` by `source`. All nodes
/// get the answer to an unspecified source.
#[must_use]
pub fn answer(mac: Mac, target: Ipv6Addr, source: Ipv6Addr) -> (Encoded, Ipv6Addr) {
    match source.is_unspecified() {
        true => (announcement(mac, target), ALL_NODES),
        false => (advertisement(mac, target, source, SOLICITED | OVERRIDE), source),
    }
}

/// Returns an announcement to all nodes that `mac` has `target` (RFC 4861 §7.2.6).
#[must_use]
pub fn announcement(mac: Mac, target: Ipv6Addr) -> Encoded {
    advertisement(mac, target, ALL_NODES, OVERRIDE)
}

/// Returns a solicitation for `target` by the station `mac` with address `source`.
#[must_use]
pub fn request(mac: Mac, source: Ipv6Addr, target: Ipv6Addr) -> Encoded {
    encode([SOLICITATION, 0], (source, group(target)), target, Some((SOURCE_LINK_LAYER, mac)))
}

/// Returns a probe of duplicate address detection (RFC 4862 §5.4.2). It has no source and no
/// option, so it changes no neighbour table.
#[must_use]
pub fn probe(target: Ipv6Addr) -> Encoded {
    encode([SOLICITATION, 0], (Ipv6Addr::UNSPECIFIED, group(target)), target, None)
}

fn advertisement(mac: Mac, target: Ipv6Addr, to: Ipv6Addr, flags: u8) -> Encoded {
    encode([ADVERTISEMENT, flags], (target, to), target, Some((TARGET_LINK_LAYER, mac)))
}

fn encode(
    [kind, flags]: [u8; 2],
    (source, destination): (Ipv6Addr, Ipv6Addr),
    target: Ipv6Addr,
    option: Option<(u8, Mac)>,
) -> Encoded {
    let mut packet = [0; LENGTH];
    packet[IPV6] = kind;
    packet[IPV6 + 4] = flags;
    packet[IPV6 + 8..IPV6 + MESSAGE].copy_from_slice(&target.octets());
    let mut length = IPV6 + MESSAGE;
    if let Some((option, mac)) = option {
        packet[length..length + 2].copy_from_slice(&[option, 1]);
        packet[length + 2..].copy_from_slice(&mac.0);
        length = LENGTH;
    }
    finish(&mut packet[..length], source, destination);
    Encoded { packet, length }
}

impl Encoded {
    /// Returns the bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.packet[..self.length]
    }
}

/// Writes the IPv6 header and the checksum.
fn finish(packet: &mut [u8], source: Ipv6Addr, destination: Ipv6Addr) {
    let (header, message) = packet.split_at_mut(IPV6);
    let length = u16::try_from(message.len()).unwrap_or_default();
    header[0] = 6 << 4;
    header[4..6].copy_from_slice(&length.to_be_bytes());
    header[6..8].copy_from_slice(&[ICMPV6, HOP_LIMIT]);
    header[8..24].copy_from_slice(&source.octets());
    header[24..].copy_from_slice(&destination.octets());
    let sum = checksum(source, destination, message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
}

/// Returns the checksum of a message and its pseudo-header (RFC 8200 §8.1).
fn checksum(source: Ipv6Addr, destination: Ipv6Addr, message: &[u8]) -> u16 {
    let words = source.segments().into_iter().chain(destination.segments());
    let (pairs, rest) = message.as_chunks::<2>();
    let text = pairs.iter().map(|pair| u16::from_be_bytes(*pair));
    let last = rest.iter().map(|byte| u16::from_be_bytes([*byte, 0]));
    let all = words.chain(text).chain(last).map(u64::from).sum::<u64>();
    let sum = all + message.len() as u64 + u64::from(ICMPV6);
    let folded = (0..4).fold(sum, |sum, _| (sum & 0xffff) + (sum >> 16));
    !u16::try_from(folded).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OURS: Mac = Mac([2, 0, 0, 0, 0, 1]);

    fn address(text: &str) -> Ipv6Addr {
        text.parse().unwrap()
    }

    fn client() -> Ipv6Addr {
        address("fe80::99")
    }

    fn target() -> Ipv6Addr {
        address("2001:db8::12:3456")
    }

    #[test]
    fn a_solicitation_is_parsed() {
        let parsed = Packet::parse(request(OURS, client(), target()).bytes());
        assert_eq!(parsed, Some(Packet::Solicitation { source: client(), target: target() }));
        let parsed = Packet::parse(probe(target()).bytes());
        let source = Ipv6Addr::UNSPECIFIED;
        assert_eq!(parsed, Some(Packet::Solicitation { source, target: target() }));
    }

    #[test]
    fn an_answer_goes_to_the_client_or_to_all_nodes() {
        let (packet, to) = answer(OURS, target(), client());
        assert_eq!((to, packet.bytes()[IPV6 + 4]), (client(), SOLICITED | OVERRIDE));
        let (packet, to) = answer(OURS, target(), Ipv6Addr::UNSPECIFIED);
        assert_eq!((to, packet.bytes()[IPV6 + 4]), (ALL_NODES, OVERRIDE));
        let parsed = Packet::parse(packet.bytes());
        assert_eq!(parsed, Some(Packet::Advertisement { target: target(), mac: Some(OURS) }));
    }

    #[test]
    fn a_group_has_the_last_three_bytes_of_its_target() {
        assert_eq!(group(target()), address("ff02::1:ff12:3456"));
        assert_eq!(group_mac(group(target())), Mac([0x33, 0x33, 0xff, 0x12, 0x34, 0x56]));
    }

    #[test]
    fn a_packet_with_any_byte_changed_is_ignored_or_means_something_else() {
        let packet = request(OURS, client(), target()).packet;
        // Traffic class and flow label are not checked.
        for offset in (0..LENGTH).filter(|offset| !(1..4).contains(offset)) {
            let mut changed = packet;
            changed[offset] ^= 0x40;
            assert_eq!(Packet::parse(&changed), None, "byte {offset}");
        }
        for length in 0..LENGTH {
            assert_eq!(Packet::parse(&packet[..length]), None, "{length} bytes");
        }
    }

    #[test]
    fn malformed_options_are_ignored() {
        for units in [0, 2, 255] {
            let mut packet = request(OURS, client(), target()).packet;
            packet[IPV6 + 25] = units;
            packet[IPV6 + 2..IPV6 + 4].fill(0);
            finish(&mut packet, client(), group(target()));
            assert_eq!(Packet::parse(&packet), None, "{units} units of length");
        }
    }

    #[test]
    fn detection_with_an_option_or_to_another_group_is_ignored() {
        let none = Ipv6Addr::UNSPECIFIED;
        assert_eq!(Packet::parse(request(OURS, none, target()).bytes()), None);
        let mut packet = probe(target()).bytes().to_vec();
        packet[IPV6 + 2..IPV6 + 4].fill(0);
        finish(&mut packet, none, ALL_NODES);
        assert_eq!(Packet::parse(&packet), None);
    }

    proptest! {
        #[test]
        fn no_packet_panics(
            packet in proptest::collection::vec(any::<u8>(), 0..128), valid in any::<bool>(),
        ) {
            let mut packet = packet;
            if valid && packet.len() >= LENGTH - OPTION {
                packet[IPV6 + 2..IPV6 + 4].fill(0);
                let addresses = [8, 24].map(|at| Ipv6Addr::from(bytes::<16>(&packet, at).unwrap()));
                finish(&mut packet, addresses[0], addresses[1]);
            }
            let _parsed = Packet::parse(&packet);
        }
    }
}
