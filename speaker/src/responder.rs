//! Decides what to send for a received packet.

use crate::announcer::Conflict;
use crate::frame::{Mac, arp, ndp};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};

/// The addresses that this node answers for on one interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Responder {
    mac: Mac,
    addresses: BTreeSet<IpAddr>,
}

/// What a received packet requires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    /// Send this packet.
    Answer(Outgoing),
    /// Another station uses an address of this node.
    Conflict(Conflict),
}

/// A packet to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// The station, or the group of stations, to send it to.
    pub to: Mac,
    /// The packet.
    pub packet: Payload,
}

/// The protocol and the bytes of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// A packet of ARP.
    Arp([u8; arp::LENGTH]),
    /// A packet of NDP.
    Ndp([u8; ndp::LENGTH]),
}

impl Responder {
    /// Creates the responder of the interface with this MAC address. It answers for no address yet.
    #[must_use]
    pub fn new(mac: Mac) -> Self {
        Self { mac, addresses: BTreeSet::new() }
    }

    /// Starts to answer for `address`.
    pub fn add(&mut self, address: IpAddr) {
        self.addresses.insert(address);
    }

    /// Stops to answer for `address`. Returns whether it answered for it.
    pub fn remove(&mut self, address: IpAddr) -> bool {
        self.addresses.remove(&address)
    }

    /// Returns whether it answers for `address`.
    #[must_use]
    pub fn answers_for(&self, address: IpAddr) -> bool {
        self.addresses.contains(&address)
    }

    /// Returns the packets that announce `address`.
    #[must_use]
    pub fn announcement(&self, address: IpAddr) -> Vec<Outgoing> {
        match address {
            IpAddr::V4(address) => [arp::Operation::Request, arp::Operation::Reply]
                .map(|operation| arp::Packet::announcement(operation, self.mac, address))
                .map(|packet| Outgoing::arp(Mac::BROADCAST, &packet))
                .to_vec(),
            IpAddr::V6(address) => {
                let packet = Payload::Ndp(ndp::announcement(self.mac, address));
                vec![Outgoing { to: ndp::group_mac(ndp::ALL_NODES), packet }]
            }
        }
    }

    /// Decides about a packet of ARP.
    #[must_use]
    pub fn arp(&self, packet: &[u8]) -> Option<Response> {
        let packet = arp::Packet::parse(packet)?;
        let foreign = packet.sender_mac != self.mac;
        if self.answers_for(packet.sender.into()) {
            return foreign.then(|| conflict(packet.sender, packet.sender_mac));
        }
        let asked = packet.operation == arp::Operation::Request && foreign;
        (asked && self.answers_for(packet.target.into())).then(|| {
            let reply = packet.reply(self.mac);
            Response::Answer(Outgoing::arp(packet.sender_mac, &reply))
        })
    }

    /// Decides about a packet of NDP that the station `from` has sent.
    #[must_use]
    pub fn ndp(&self, packet: &[u8], from: Mac) -> Option<Response> {
        if from == self.mac || !from.is_unicast() {
            return None;
        }
        match ndp::Packet::parse(packet)? {
            ndp::Packet::Advertisement { target, mac } => {
                self.answers_for(target.into()).then(|| conflict(target, mac.unwrap_or(from)))
            }
            ndp::Packet::Solicitation { source, target } => {
                self.answers_for(target.into()).then(|| self.advertise(target, source, from))
            }
        }
    }

    fn advertise(&self, target: Ipv6Addr, source: Ipv6Addr, from: Mac) -> Response {
        let (packet, receiver) = ndp::answer(self.mac, target, source);
        // The link-layer source is the client's own: its option may name another station, to which
        // a hostile client would have answers sent.
        let to = if receiver.is_multicast() { ndp::group_mac(receiver) } else { from };
        Response::Answer(Outgoing { to, packet: Payload::Ndp(packet) })
    }
}

impl Outgoing {
    fn arp(to: Mac, packet: &arp::Packet) -> Self {
        Self { to, packet: Payload::Arp(packet.encode()) }
    }
}

impl Payload {
    /// Returns the bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Arp(packet) => packet,
            Self::Ndp(packet) => packet,
        }
    }
}

fn conflict(address: impl Into<IpAddr>, mac: Mac) -> Response {
    Response::Conflict(Conflict { address: address.into(), mac })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const OURS: Mac = Mac([2, 0, 0, 0, 0, 1]);
    const THEIRS: Mac = Mac([2, 0, 0, 0, 0, 2]);
    const V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);
    const OTHER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 11);
    const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 99);
    const V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x10);
    const CLIENT_V6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x99);

    fn responder() -> Responder {
        let mut responder = Responder::new(OURS);
        responder.add(V4.into());
        responder.add(V6.into());
        responder
    }

    fn answer(response: Option<Response>) -> Outgoing {
        let Some(Response::Answer(answer)) = response else { panic!("{response:?}") };
        answer
    }

    #[test]
    fn a_request_for_an_own_address_is_answered_to_its_sender() {
        let request = arp::Packet::request(THEIRS, CLIENT, V4);
        let reply = answer(responder().arp(&request.encode()));
        assert_eq!(reply, Outgoing::arp(THEIRS, &request.reply(OURS)));

        let request = ndp::request(THEIRS, CLIENT_V6, V6);
        let reply = answer(responder().ndp(&request, THEIRS));
        let packet = Payload::Ndp(ndp::answer(OURS, V6, CLIENT_V6).0);
        assert_eq!(reply, Outgoing { to: THEIRS, packet });
    }

    #[test]
    fn a_probe_for_an_own_address_is_answered() {
        let probe = arp::Packet::probe(THEIRS, V4);
        assert_eq!(answer(responder().arp(&probe.encode())).to, THEIRS);
        let to = answer(responder().ndp(&ndp::probe(V6), THEIRS)).to;
        assert_eq!(to, ndp::group_mac(ndp::ALL_NODES));
    }

    #[test]
    fn other_addresses_and_removed_ones_are_not_answered() {
        let request = |address| arp::Packet::request(THEIRS, CLIENT, address).encode();
        let mut responder = responder();
        assert_eq!(responder.arp(&request(OTHER)), None);
        responder.remove(V4.into());
        assert_eq!(responder.arp(&request(V4)), None);
        responder.remove(V6.into());
        assert_eq!(responder.ndp(&ndp::request(THEIRS, CLIENT_V6, V6), THEIRS), None);
    }

    #[test]
    fn own_packets_are_ignored() {
        let responder = responder();
        for Outgoing { packet, .. } in
            [responder.announcement(V4.into()), responder.announcement(V6.into())].concat()
        {
            match packet {
                Payload::Arp(packet) => assert_eq!(responder.arp(&packet), None),
                Payload::Ndp(packet) => assert_eq!(responder.ndp(&packet, OURS), None),
            }
        }
    }

    #[test]
    fn another_station_with_an_own_address_is_a_conflict() {
        for operation in [arp::Operation::Request, arp::Operation::Reply] {
            let packet = arp::Packet::announcement(operation, THEIRS, V4).encode();
            assert_eq!(responder().arp(&packet), Some(conflict(V4, THEIRS)));
        }
        let packet = ndp::announcement(THEIRS, V6);
        assert_eq!(responder().ndp(&packet, THEIRS), Some(conflict(V6, THEIRS)));
    }
}
