//! Announces addresses on one interface, answers for them, and observes others.

use crate::frame::Mac;
use crate::host::link::{Link, LinkError, Protocol, Sockets};
use crate::interface::{InterfaceName, State};
use crate::responder::{Responder, Response, Sighting};
use fastrak_runtime::chain::Chain;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};

/// Answers for addresses on one interface. Dropping it stops all answers.
#[derive(Debug)]
pub struct Announcer {
    link: Link,
    responder: Responder,
    /// The state of the interface when it was read last.
    state: Option<State>,
    /// The link-local address of the interface, once it had one.
    source: Option<Ipv6Addr>,
}

impl Announcer {
    /// Returns the announcer of the interface with this name. It neither sends nor receives before the
    /// first [`Announcer::refresh`]. Requires a tokio runtime.
    pub fn new(sockets: Sockets, name: InterfaceName) -> Result<Self, LinkError> {
        let (link, responder) = (Link::new(sockets, name)?, Responder::new(Mac::UNSPECIFIED));
        Ok(Self { link, responder, state: None, source: None })
    }

    /// Returns the name of the interface.
    #[must_use]
    pub fn interface(&self) -> &InterfaceName {
        self.link.name()
    }

    /// Reads the state of the interface. If it has changed, stops answering for all addresses, uses the
    /// interface as it is now, and returns its state.
    pub fn refresh(&mut self) -> Result<Option<State>, LinkError> {
        let state = self.link.state()?;
        if self.state == Some(state) {
            return Ok(None);
        }
        self.silence_all();
        self.source = None;
        let state = match self.link.attach(state) {
            Ok(()) => state,
            // It has changed again, and the kernel reports that.
            Err(error) => {
                tracing::debug!(error = %Chain(&error), "could not use the interface");
                State::Missing
            }
        };
        if let State::Up { mac, .. } = state {
            self.responder.set_mac(mac);
        }
        let has_changed = self.state.replace(state) != Some(state);
        Ok(has_changed.then_some(state))
    }

    /// Returns the state of the interface when it was read last.
    #[must_use]
    pub fn state(&self) -> State {
        self.state.unwrap_or(State::Missing)
    }

    /// Returns whether the interface was up when its state was read last.
    #[must_use]
    pub fn is_up(&self) -> bool {
        matches!(self.state, Some(State::Up { .. }))
    }

    /// Waits until the interface may have changed. Cancelling the wait loses no change.
    pub async fn changed(&self) -> Result<(), LinkError> {
        self.link.changed().await
    }

    /// Starts to answer for `address` and announces it. Does nothing if it answers already.
    pub fn answer(&mut self, address: IpAddr) -> Result<(), LinkError> {
        if !self.responder.answer(address) {
            return Ok(());
        }
        if let IpAddr::V6(address) = address
            && let Err(error) = self.link.join(address)
        {
            // Many switches and interfaces deliver the solicitations nevertheless.
            let error = Chain(&error);
            tracing::warn!(%address, %error, "could not join the multicast group of the address; clients may not find it");
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

    /// Stops answering for `address`.
    pub fn silence(&mut self, address: IpAddr) {
        if self.responder.silence(address) {
            self.leave(address);
        }
    }

    /// Stops answering for all addresses.
    pub fn silence_all(&mut self) {
        self.responder.silence_all().into_iter().for_each(|address| self.leave(address));
    }

    /// Goes on to answer for `address` although these stations use it wrongly, and no others.
    pub fn tolerate(&mut self, address: IpAddr, stations: BTreeSet<Mac>) {
        self.responder.tolerate(address, stations);
    }

    /// Starts reporting the devices that use `address`.
    pub fn observe(&mut self, address: IpAddr) {
        self.responder.observe(address);
    }

    /// Stops reporting the devices that use `address`.
    pub fn ignore(&mut self, address: IpAddr) {
        self.responder.ignore(address);
    }

    /// Asks who uses `address`, as duplicate address detection does.
    pub fn probe(&self, address: IpAddr) -> Result<(), LinkError> {
        self.link.send(&self.responder.probe(address))
    }

    /// Asks who uses `address`. Only this node gets the answer, if its interface has an address that an
    /// answer can be sent to.
    pub fn ask(&mut self, address: IpAddr) -> Result<(), LinkError> {
        // An interface that has just come up has none yet.
        if self.source.is_none() && address.is_ipv6() {
            self.source = self.link.link_local();
        }
        self.link.send(&self.responder.question(address, self.source))
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

    /// Sends the answer in a response. If it is a sighting, stops answering for its address before
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
