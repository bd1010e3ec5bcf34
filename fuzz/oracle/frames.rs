//! The properties of a speaker's response to any packet, for the fuzz target and for the test that
//! runs its corpus: no panic, and an answer only for an own address, which names the own station.

use fastrak_speaker::frame::{Mac, arp, ndp};
use fastrak_speaker::responder::{Payload, Responder, Response};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const OURS: Mac = Mac([2, 0, 0, 0, 0, 1]);
const THEIRS: Mac = Mac([2, 0, 0, 0, 0, 2]);
// Short addresses, so that random packets often name them.
const V4: Ipv4Addr = Ipv4Addr::new(0, 0, 0, 1);
const V6: Ipv6Addr = Ipv6Addr::new(0, 0, 0, 0, 0, 0, 0, 1);

/// Checks the responses to any bytes, as a packet of ARP and of NDP.
pub(crate) fn frame(data: &[u8]) {
    let mut responder = Responder::new(OURS);
    responder.answer(V4.into());
    responder.answer(V6.into());
    check(responder.arp(data));
    check(responder.ndp(data, THEIRS));
}

fn check(response: Option<Response>) {
    match response {
        None => {}
        Some(Response::Report(sighting)) => {
            assert!([IpAddr::from(V4), IpAddr::from(V6)].contains(&sighting.address));
        }
        Some(Response::Answer(answer)) => match answer.packet {
            Payload::Arp(packet) => {
                let reply = arp::Packet::parse(&packet).expect("an answer is a packet");
                assert_eq!((reply.sender_mac, reply.sender), (OURS, V4));
            }
            Payload::Ndp(packet) => {
                let parsed = ndp::Packet::parse(packet.bytes()).expect("an answer is a packet");
                assert_eq!(parsed, ndp::Packet::Advertisement { target: V6, mac: Some(OURS) });
            }
        },
    }
}
