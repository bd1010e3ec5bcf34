//! Announces addresses on one interface, answers for them, and observes others.

use crate::frame::Mac;
use crate::host::link::{Link, LinkError, Protocol, Sockets};
use crate::responder::{Responder, Response, Sighting};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Answers for addresses on one interface. Dropping it stops all answers.
#[derive(Debug)]
pub struct Announcer {
    link: Link,
    responder: Responder,
}

impl Announcer {
    /// Returns the announcer of an interface with this MAC address. Requires a tokio runtime.
    pub fn new(sockets: Sockets, mac: Mac) -> Result<Self, LinkError> {
        Ok(Self { link: Link::new(sockets)?, responder: Responder::new(mac) })
    }

    /// Starts answering for `address` and announces it. Does nothing if it already answers.
    pub fn answer(&mut self, address: IpAddr) -> Result<(), LinkError> {
        if !self.responder.answer(address) {
            return Ok(());
        }
        if let IpAddr::V6(address) = address {
            self.link.join(address)?;
        }
        self.announce(address)
    }

    /// Announces `address` to all stations, which then send to this node.
    pub fn announce(&self, address: IpAddr) -> Result<(), LinkError> {
        let packets = self.responder.announcement(address);
        packets.iter().try_for_each(|packet| self.link.send(packet))
    }

    /// Stops answering for `address`.
    pub fn silence(&mut self, address: IpAddr) {
        if self.responder.silence(address) {
            self.leave(address);
        }
    }

    /// Stops answering for all addresses and returns them.
    pub fn silence_all(&mut self) -> BTreeSet<IpAddr> {
        let silenced = self.responder.silence_all();
        silenced.iter().for_each(|address| self.leave(*address));
        silenced
    }

    /// Starts reporting which station uses `address`.
    pub fn observe(&mut self, address: IpAddr) {
        self.responder.observe(address);
    }

    /// Stops reporting which station uses `address`.
    pub fn ignore(&mut self, address: IpAddr) {
        self.responder.ignore(address);
    }

    /// Asks which station uses `address`.
    pub fn probe(&self, address: IpAddr) -> Result<(), LinkError> {
        self.link.send(&self.responder.probe(address))
    }

    /// Returns the response to the next packet, unless it needs none. Cancelling the wait loses no
    /// packet.
    pub async fn next(&self) -> Result<Option<Response>, LinkError> {
        let incoming = self.link.next().await?;
        Ok(match &incoming.packet {
            Protocol::Arp(packet) => self.responder.arp(packet),
            Protocol::Ndp(packet) => self.responder.ndp(packet, incoming.from),
        })
    }

    /// Sends the answer in a response. Returns the sighting in it.
    pub fn respond(&self, response: Response) -> Result<Option<Sighting>, LinkError> {
        match response {
            Response::Answer(packet) => self.link.send(&packet).map(|()| None),
            Response::Report(sighting) => Ok(Some(sighting)),
        }
    }

    fn leave(&mut self, address: IpAddr) {
        if let IpAddr::V6(address) = address {
            self.link.leave(address);
        }
    }
}
