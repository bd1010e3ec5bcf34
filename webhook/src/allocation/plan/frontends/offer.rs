//! What a node can do for a Service on one of its addresses.

use super::{Frontends, frontends_of};
use crate::allocation::frontend_lease::FrontendLease;
use crate::allocation::plan::problem::Cause;
use crate::allocation::service::AddressService;
use fastrak_admission::snapshot::agent::Agent;
use fastrak_api::assignment::State;
use fastrak_api::frontend::Frontend;
use fastrak_api::node::NodeName;
use std::net::IpAddr;

/// The state of a frontend for a Service that may get it.
enum Slot {
    /// No Service has it.
    Free,
    /// The Service has it, and the node is to check it.
    Proposed,
    /// The Service has it, and the node has accepted it.
    Accepted,
    /// Its Lease is released as soon as the plan is carried out.
    Leaving,
}

/// What a node can do for a Service on one of its addresses.
pub(super) enum Offer {
    /// It has accepted all ports.
    Accepted,
    /// It checks the ports.
    Checking,
    /// Some ports have no Lease of the Service yet. These can be proposed now; other Services are giving
    /// up the rest.
    Incomplete(Vec<Frontend>),
    /// It cannot serve a port.
    Refused(Frontend, Cause),
}

impl<'a> Frontends<'a> {
    /// Returns what a node can do for a Service on this address.
    pub(super) fn offer(
        &mut self,
        service: &'a AddressService,
        node: &'a NodeName,
        address: IpAddr,
    ) -> Offer {
        let frontends: Vec<_> = frontends_of(service, address).collect();
        let (mut free, mut is_checking, mut is_leaving) = (Vec::new(), false, false);
        for frontend in &frontends {
            match self.look(service, node, *frontend) {
                Ok(Slot::Accepted) => {}
                Ok(Slot::Proposed) => is_checking = true,
                Ok(Slot::Leaving) => is_leaving = true,
                Ok(Slot::Free) => free.push(*frontend),
                // Otherwise two Services that each want a port of the other block each other.
                Err(cause @ Cause::Service(_)) => return Offer::Refused(*frontend, cause),
                // The speaker checks refused ports again.
                Err(cause) => {
                    self.need(service, &frontends);
                    return Offer::Refused(*frontend, cause);
                }
            }
        }
        self.need(service, &frontends);
        self.taken.extend(frontends.iter().map(|frontend| (*frontend, service)));
        // The port of a published address is created as accepted: no speaker has to answer.
        let needs_speaker = !service.published.contains(&address)
            && self.view.speakers.get(node) != Some(&Agent::Ready);
        match free.first() {
            None if is_checking => Offer::Checking,
            None if is_leaving => Offer::Incomplete(free),
            None => Offer::Accepted,
            Some(first) if needs_speaker => Offer::Refused(*first, Cause::NoSpeaker),
            Some(_) => Offer::Incomplete(free),
        }
    }

    /// Keeps the Leases that the Service has of these frontends.
    fn need(&mut self, service: &AddressService, frontends: &[Frontend]) {
        let leases = frontends.iter().filter_map(|frontend| self.view.frontends.get(frontend));
        let owned = leases.filter(|lease| lease.owner.uid == service.uid);
        self.needed.extend(owned.map(FrontendLease::frontend));
    }

    /// Returns the state of a frontend that the Service has or can get, or why it cannot get it.
    fn look(
        &self,
        service: &AddressService,
        node: &'a NodeName,
        frontend: Frontend,
    ) -> Result<Slot, Cause> {
        if self.view.reserved.contains(frontend.port) {
            return Err(Cause::Reserved);
        }
        if let Some(pod) = self.pods.get(&(node, frontend.protocol, frontend.port)) {
            return Err(Cause::Pod((*pod).clone()));
        }
        if let Some(other) = self.taken.get(&frontend).filter(|other| other.uid != service.uid) {
            return Err(Cause::Service(other.key.clone()));
        }
        let Some(lease) = self.view.frontends.get(&frontend) else { return Ok(Slot::Free) };
        let is_late = self.view.is_late(lease.assignment.state, lease.acquired);
        match lease.assignment.state {
            _ if lease.owner.uid != service.uid => Ok(Slot::Leaving),
            // The address has moved to this node, and the Service loses it until the node accepts.
            _ if lease.assignment.node != *node => Ok(Slot::Proposed),
            State::Refused => {
                Err(lease.assignment.conflict.map_or(Cause::Refused, Cause::Conflict))
            }
            _ if is_late => Err(Cause::NotAccepted),
            State::Proposed => Ok(Slot::Proposed),
            State::Accepted => Ok(Slot::Accepted),
        }
    }
}
