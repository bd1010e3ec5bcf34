//! Announces addresses on one interface and answers for them.

use crate::frame::Mac;
use crate::host::link::{Link, LinkError, Protocol};
use crate::responder::{Responder, Response};
use std::net::IpAddr;

/// Answers for addresses on one interface. Dropping it stops all answers.
#[derive(Debug)]
pub struct Announcer {
    link: Link,
    responder: Responder,
}

/// Another station uses an address of this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The address.
    pub address: IpAddr,
    /// The other station.
    pub mac: Mac,
}

impl Announcer {
    /// Opens the interface with this index and MAC address. Requires `CAP_NET_RAW`.
    pub fn open(interface: u32, mac: Mac) -> Result<Self, LinkError> {
        Ok(Self { link: Link::open(interface)?, responder: Responder::new(mac) })
    }

    /// Starts to answer for `address` and announces it. Does nothing if it answers already.
    pub fn add(&mut self, address: IpAddr) -> Result<(), LinkError> {
        if self.responder.answers_for(address) {
            return Ok(());
        }
        if let IpAddr::V6(address) = address {
            self.link.join(address)?;
        }
        self.responder.add(address);
        self.announce(address)
    }

    /// Announces `address` to all stations: they send to this node from now on.
    pub fn announce(&self, address: IpAddr) -> Result<(), LinkError> {
        let packets = self.responder.announcement(address);
        packets.iter().try_for_each(|packet| self.link.send(packet))
    }

    /// Stops to answer for `address`.
    pub fn remove(&mut self, address: IpAddr) {
        if self.responder.remove(address)
            && let IpAddr::V6(address) = address
        {
            self.link.leave(address);
        }
    }

    /// Answers until another station uses one of the addresses. Cancelling the wait loses no packet.
    pub async fn answer(&self) -> Result<Conflict, LinkError> {
        loop {
            let incoming = self.link.next().await?;
            let response = match &incoming.packet {
                Protocol::Arp(packet) => self.responder.arp(packet),
                Protocol::Ndp(packet) => self.responder.ndp(packet, incoming.from),
            };
            match response {
                Some(Response::Answer(packet)) => self.link.send(&packet)?,
                Some(Response::Conflict(conflict)) => return Ok(conflict),
                None => {}
            }
        }
    }
}
