//! Announces addresses on one interface, answers for them, and observes others.

use crate::frame::Mac;
use crate::host::link::{Link, LinkError, Protocol, Sockets};
use crate::responder::{Responder, Response, Sighting};
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

    /// Starts to answer for `address` and announces it. Does nothing if it answers already.
    pub fn answer(&mut self, address: IpAddr) -> Result<(), LinkError> {
        if !self.responder.answer(address) {
            return Ok(());
        }
        if let IpAddr::V6(address) = address {
            self.link.join(address)?;
        }
        self.announce(address)
    }

    /// Announces `address` to all stations, which send to this node from now on. Does nothing if it does
    /// not answer for it.
    pub fn announce(&self, address: IpAddr) -> Result<(), LinkError> {
        if !self.responder.answers(address) {
            return Ok(());
        }
        let packets = self.responder.announcement(address);
        packets.iter().try_for_each(|packet| self.link.send(packet))
    }

    /// Stops to answer for `address`.
    pub fn silence(&mut self, address: IpAddr) {
        if self.responder.silence(address) {
            self.leave(address);
        }
    }

    /// Stops to answer for all addresses.
    pub fn silence_all(&mut self) {
        self.responder.silence_all().into_iter().for_each(|address| self.leave(address));
    }

    /// Goes on to answer for `address` although this station uses it wrongly.
    pub fn tolerate(&mut self, address: IpAddr, mac: Mac) {
        self.responder.tolerate(address, mac);
    }

    /// Starts to report who uses `address`.
    pub fn observe(&mut self, address: IpAddr) {
        self.responder.observe(address);
    }

    /// Stops to report who uses `address`.
    pub fn ignore(&mut self, address: IpAddr) {
        self.responder.ignore(address);
    }

    /// Asks who uses `address`.
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

    /// Sends the answer in a response. If it is a sighting, stops to answer for its address before
    /// anything else is answered, and returns it and whether it has stopped.
    pub fn respond(&mut self, response: Response) -> Result<Option<(Sighting, bool)>, LinkError> {
        match response {
            Response::Answer(packet) => self.link.send(&packet).map(|()| None),
            Response::Report(sighting) => {
                let was_answered = self.responder.answers(sighting.address);
                self.silence(sighting.address);
                Ok(Some((sighting, was_answered)))
            }
        }
    }

    fn leave(&mut self, address: IpAddr) {
        if let IpAddr::V6(address) = address {
            self.link.leave(address);
        }
    }
}
