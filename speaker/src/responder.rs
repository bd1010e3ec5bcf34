//! Decides what to send for a received packet, and which packets say who uses an address.

use crate::frame::{Mac, arp, ndp};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};

/// The addresses that this node answers for and those that it observes, on one interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Responder {
    mac: Mac,
    answered: BTreeSet<IpAddr>,
    observed: BTreeSet<IpAddr>,
    tolerated: BTreeMap<IpAddr, BTreeSet<Mac>>,
}

/// What a received packet requires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    /// Send this packet.
    Answer(Outgoing),
    /// Report that another station uses an address.
    Report(Sighting),
}

/// Another station uses an address of this node, or one that this node observes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// The address.
    pub address: IpAddr,
    /// The station.
    pub mac: Mac,
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
    Ndp(ndp::Encoded),
}

impl Responder {
    /// Creates the responder of the interface with this MAC address. It answers for no address yet.
    #[must_use]
    pub fn new(mac: Mac) -> Self {
        Self {
            mac,
            answered: BTreeSet::new(),
            observed: BTreeSet::new(),
            tolerated: BTreeMap::new(),
        }
    }

    /// Answers with this MAC address from now on.
    pub fn set_mac(&mut self, mac: Mac) {
        self.mac = mac;
    }

    /// Starts to answer for `address`. Returns whether it did not before.
    pub fn answer(&mut self, address: IpAddr) -> bool {
        self.answered.insert(address)
    }

    /// Stops answering for `address`. Returns whether it did before.
    pub fn silence(&mut self, address: IpAddr) -> bool {
        self.tolerated.remove(&address);
        self.answered.remove(&address)
    }

    /// Stops answering. Returns the addresses.
    pub fn silence_all(&mut self) -> BTreeSet<IpAddr> {
        self.tolerated.clear();
        std::mem::take(&mut self.answered)
    }

    /// Returns whether it answers for `address`.
    #[must_use]
    pub fn answers(&self, address: IpAddr) -> bool {
        self.answered.contains(&address)
    }

    /// Goes on to answer for `address` although these stations use it wrongly, and no others.
    pub fn tolerate(&mut self, address: IpAddr, stations: BTreeSet<Mac>) {
        self.tolerated.insert(address, stations);
    }

    /// Starts reporting the devices that use `address`.
    pub fn observe(&mut self, address: IpAddr) {
        self.observed.insert(address);
    }

    /// Stops reporting the devices that use `address`.
    pub fn ignore(&mut self, address: IpAddr) {
        self.observed.remove(&address);
    }

    /// Returns the packets that announce `address` to all stations.
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

    /// Returns a packet that every user of `address` answers, and that changes no neighbour table.
    #[must_use]
    pub fn probe(&self, address: IpAddr) -> Outgoing {
        match address {
            IpAddr::V4(address) => {
                Outgoing::arp(Mac::BROADCAST, &arp::Packet::probe(self.mac, address))
            }
            IpAddr::V6(address) => {
                let to = ndp::group_mac(ndp::group(address));
                Outgoing { to, packet: Payload::Ndp(ndp::probe(address)) }
            }
        }
    }

    /// Returns a packet that every user of `address` answers, to this node alone if it has the
    /// link-local address `source`. All nodes get the answers to a probe of IPv6, and a standby asks
    /// twice a second.
    #[must_use]
    pub fn question(&self, address: IpAddr, source: Option<Ipv6Addr>) -> Outgoing {
        match (address, source) {
            (IpAddr::V6(address), Some(source)) => Outgoing {
                to: ndp::group_mac(ndp::group(address)),
                packet: Payload::Ndp(ndp::request(self.mac, source, address)),
            },
            _ => self.probe(address),
        }
    }

    /// Decides about a packet of ARP.
    #[must_use]
    pub fn arp(&self, packet: &[u8]) -> Option<Response> {
        let packet = arp::Packet::parse(packet)?;
        if packet.sender_mac == self.mac {
            return None;
        }
        self.sighting(packet.sender.into(), packet.sender_mac).or_else(|| {
            let is_request = packet.operation == arp::Operation::Request;
            (is_request && self.answered.contains(&packet.target.into())).then(|| {
                let reply = packet.reply(self.mac);
                Response::Answer(Outgoing::arp(packet.sender_mac, &reply))
            })
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
                let mac = mac.unwrap_or(from);
                // A switch or a proxy may repeat our own advertisement.
                if mac == self.mac { None } else { self.sighting(target.into(), mac) }
            }
            ndp::Packet::Solicitation { source, target } => {
                let is_ours = self.answered.contains(&target.into());
                is_ours.then(|| self.advertise(target, source, from))
            }
        }
    }

    fn sighting(&self, address: IpAddr, mac: Mac) -> Option<Response> {
        let is_tolerated = self.tolerated.get(&address).is_some_and(|all| all.contains(&mac));
        let concerns = self.answered.contains(&address) && !is_tolerated;
        (concerns || self.observed.contains(&address))
            .then_some(Response::Report(Sighting { address, mac }))
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
            Self::Ndp(packet) => packet.bytes(),
        }
    }
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
        responder.answer(V4.into());
        responder.answer(V6.into());
        responder
    }

    fn sighting(address: impl Into<IpAddr>, mac: Mac) -> Response {
        Response::Report(Sighting { address: address.into(), mac })
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
        let reply = answer(responder().ndp(request.bytes(), THEIRS));
        let packet = Payload::Ndp(ndp::answer(OURS, V6, CLIENT_V6).0);
        assert_eq!(reply, Outgoing { to: THEIRS, packet });
    }

    #[test]
    fn a_probe_for_an_own_address_is_answered() {
        let probe = arp::Packet::probe(THEIRS, V4);
        assert_eq!(answer(responder().arp(&probe.encode())).to, THEIRS);
        let to = answer(responder().ndp(ndp::probe(V6).bytes(), THEIRS)).to;
        assert_eq!(to, ndp::group_mac(ndp::ALL_NODES));
    }

    #[test]
    fn other_addresses_and_removed_ones_are_not_answered() {
        let request = |address| arp::Packet::request(THEIRS, CLIENT, address).encode();
        let mut responder = responder();
        assert_eq!(responder.arp(&request(OTHER)), None);
        responder.silence(V4.into());
        assert_eq!(responder.arp(&request(V4)), None);
        responder.silence(V6.into());
        assert_eq!(responder.ndp(ndp::request(THEIRS, CLIENT_V6, V6).bytes(), THEIRS), None);
    }

    #[test]
    fn only_the_node_that_asks_from_an_address_gets_the_answer() {
        let asking = Responder::new(THEIRS);
        let to = |source| match asking.question(V6.into(), source).packet {
            Payload::Ndp(packet) => answer(responder().ndp(packet.bytes(), THEIRS)).to,
            Payload::Arp(packet) => panic!("{packet:?}"),
        };
        assert_eq!(to(Some(CLIENT_V6)), THEIRS);
        assert_eq!(to(None), ndp::group_mac(ndp::ALL_NODES));
        let Payload::Arp(packet) = asking.question(V4.into(), Some(CLIENT_V6)).packet else {
            panic!("a packet of NDP for an address of IPv4")
        };
        assert_eq!(answer(responder().arp(&packet)).to, THEIRS);
    }

    #[test]
    fn own_packets_are_ignored() {
        let responder = responder();
        for Outgoing { packet, .. } in
            [responder.announcement(V4.into()), responder.announcement(V6.into())].concat()
        {
            match packet {
                Payload::Arp(packet) => assert_eq!(responder.arp(&packet), None),
                Payload::Ndp(packet) => assert_eq!(responder.ndp(packet.bytes(), OURS), None),
            }
        }
    }

    #[test]
    fn another_station_with_an_own_address_is_a_sighting() {
        for operation in [arp::Operation::Request, arp::Operation::Reply] {
            let packet = arp::Packet::announcement(operation, THEIRS, V4).encode();
            assert_eq!(responder().arp(&packet), Some(sighting(V4, THEIRS)));
        }
        let packet = ndp::announcement(THEIRS, V6);
        assert_eq!(responder().ndp(packet.bytes(), THEIRS), Some(sighting(V6, THEIRS)));
    }

    #[test]
    fn an_observed_address_is_reported_and_not_answered() {
        let mut responder = Responder::new(OURS);
        let reply = arp::Packet::request(THEIRS, CLIENT, V4).reply(THEIRS).encode();
        assert_eq!(responder.arp(&reply), None);
        responder.observe(V4.into());
        assert_eq!(responder.arp(&reply), Some(sighting(V4, THEIRS)));
        assert_eq!(responder.arp(&arp::Packet::probe(THEIRS, V4).encode()), None);
        responder.ignore(V4.into());
        assert_eq!(responder.arp(&reply), None);
    }
}
