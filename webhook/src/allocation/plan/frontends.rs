//! Chooses the nodes whose own addresses a Service gets: those on which all of its ports are free.

use super::choice::balancing_nodes;
use super::problem::{Cause, Problem};
use super::{Given, Step, View};
use crate::allocation::frontend_lease::FrontendLease;
use crate::allocation::service::{AddressService, Key};
use fastrak_admission::snapshot::NodeInfo;
use fastrak_admission::snapshot::agent::Agent;
use fastrak_api::assignment::State;
use fastrak_api::balancer::Protocol;
use fastrak_api::frontend::Frontend;
use fastrak_api::node::NodeName;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// The frontends of one plan: each goes to one Service, the oldest first.
pub(super) struct Frontends<'a> {
    view: View<'a>,
    /// The pods with host ports.
    pods: BTreeMap<(&'a NodeName, Protocol, u16), &'a Key>,
    /// The frontends that a Service has or gets.
    taken: BTreeMap<Frontend, &'a AddressService>,
    /// The frontends that Services still need.
    needed: BTreeSet<Frontend>,
    /// The UIDs of the Services that have frontends which a node has accepted.
    owners: BTreeSet<&'a str>,
    /// The addresses of nodes.
    addresses: BTreeSet<IpAddr>,
}

/// What a node can do for a Service on one of its addresses.
enum Offer {
    /// It has accepted all ports.
    Accepted,
    /// It checks the ports.
    Checking,
    /// These frontends can be proposed to it.
    Free(Vec<Frontend>),
    /// It cannot serve a port.
    Refused(Frontend, Cause),
}

impl<'a> Frontends<'a> {
    pub(super) fn new(view: View<'a>) -> Self {
        let pods = view.host_ports.into_iter().flatten().flat_map(|(key, pod)| {
            let of_pod = move |(protocol, port): &_| ((&pod.node, *protocol, *port), key);
            pod.ports.iter().map(of_pod)
        });
        let taken =
            view.frontends.iter().filter_map(|(at, lease)| Some((*at, view.owner(&lease.owner)?)));
        let is_accepted = |lease: &&FrontendLease| lease.assignment.state == State::Accepted;
        let held = view.frontends.values().filter(is_accepted);
        let addresses = view.nodes.values().flat_map(|info| &info.internal_addresses);
        Self {
            view,
            pods: pods.collect(),
            taken: taken.collect(),
            needed: BTreeSet::new(),
            owners: held.map(|lease| lease.owner.uid.as_str()).collect(),
            addresses: addresses.copied().collect(),
        }
    }

    /// Returns whether the Service has the addresses of nodes.
    pub(super) fn has(&self, service: &AddressService) -> bool {
        self.owners.contains(service.uid.as_str())
            || service.published.iter().any(|address| self.addresses.contains(address))
    }

    /// Plans the addresses of a Service.
    pub(super) fn serve(&mut self, service: &'a AddressService) -> Given {
        if let Err(text) = &service.requested {
            return self.unchanged(service, Some(Problem::NotAnAddress(text.clone())));
        }
        if self.view.host_ports.is_none() {
            return self.unchanged(service, None);
        }
        let mut given = Given::default();
        let published = |address: &IpAddr| service.published.contains(address);
        let (mut unready, mut causes) = (Vec::new(), Vec::new());
        for (node, info, address) in self.candidates(service) {
            match self.offer(service, node, address) {
                Offer::Accepted if info.is_ready => given.addresses.push(address),
                Offer::Accepted => unready.push(address),
                Offer::Checking => given.waits = true,
                Offer::Free(frontends) => {
                    given.waits = true;
                    given.addresses.extend(Some(address).filter(published));
                    let propose = |frontend| self.proposal(service, node, frontend);
                    given.steps.extend(frontends.into_iter().map(propose));
                }
                Offer::Refused(frontend, cause) => causes.push((frontend, node.clone(), cause)),
            }
        }
        // No node is Ready: the API server may know no better.
        if given.addresses.is_empty() {
            given.addresses.extend(unready.into_iter().filter(published));
        }
        given.problems.extend(self.problem(service, &given, causes));
        given
    }

    /// Keeps what a Service has.
    fn unchanged(&mut self, service: &AddressService, problem: Option<Problem>) -> Given {
        let owned = self.view.frontends.iter().filter(|(_, lease)| lease.owner.uid == service.uid);
        self.needed.extend(owned.map(|(frontend, _)| *frontend));
        let addresses = service.published.clone();
        Given { addresses, problems: problem.into_iter().collect(), waits: true, steps: Vec::new() }
    }

    fn problem(
        &self,
        service: &AddressService,
        given: &Given,
        causes: Vec<(Frontend, NodeName, Cause)>,
    ) -> Option<Problem> {
        let has_none = given.addresses.is_empty() && !given.waits;
        if causes.is_empty() {
            let requested = service.requested.clone().unwrap_or_default();
            return has_none.then_some(Problem::NoNode { requested });
        }
        let is_news = has_none || causes.iter().any(|(_, _, cause)| cause.is_conflict());
        is_news.then_some(Problem::PortsInUse { causes, is_blocking: has_none })
    }

    fn proposal(&self, service: &AddressService, node: &NodeName, frontend: Frontend) -> Step {
        // The node has accepted it before, or the port is new: kube-proxy forwards it already, so a
        // connection reaches the Service. The speaker still checks whether a process listens.
        let is_published = service.published.contains(&frontend.address);
        let state = if is_published { State::Accepted } else { State::Proposed };
        Step::ProposeFrontend { frontend, node: node.clone(), owner: service.owner(), state }
    }

    /// Returns the addresses of nodes that the Service may get, by family and node.
    fn candidates(&self, service: &AddressService) -> Vec<(&'a NodeName, &'a NodeInfo, IpAddr)> {
        let nodes = balancing_nodes(self.view.nodes.iter());
        let mut candidates = Vec::new();
        if service.ports.is_empty() {
            return candidates;
        }
        for &is_ipv4 in &service.families {
            for (node, info) in &nodes {
                let mut addresses = info.internal_addresses.iter();
                let address =
                    addresses.find(|one| one.is_ipv4() == is_ipv4 && service.allows(**one));
                candidates.extend(address.map(|address| (*node, *info, *address)));
            }
        }
        candidates
    }

    fn offer(&mut self, service: &'a AddressService, node: &'a NodeName, address: IpAddr) -> Offer {
        let frontends = service.ports.iter();
        let frontends = frontends.map(|&(protocol, port)| Frontend { address, protocol, port });
        let frontends: Vec<_> = frontends.collect();
        self.needed.extend(frontends.iter().copied());
        let (mut free, mut is_checking) = (Vec::new(), false);
        for frontend in &frontends {
            match self.look(service, node, *frontend) {
                Ok(Some(State::Accepted)) => {}
                Ok(Some(_)) => is_checking = true,
                Ok(None) => free.push(*frontend),
                Err(cause) => return Offer::Refused(*frontend, cause),
            }
        }
        self.taken.extend(frontends.iter().map(|frontend| (*frontend, service)));
        match free.first() {
            None if is_checking => Offer::Checking,
            None => Offer::Accepted,
            Some(first) if self.view.speakers.get(node) != Some(&Agent::Ready) => {
                Offer::Refused(*first, Cause::NoSpeaker)
            }
            Some(_) => Offer::Free(free),
        }
    }

    /// Returns the state of a frontend that the Service has or can get, or why it cannot get it.
    fn look(
        &self,
        service: &AddressService,
        node: &'a NodeName,
        frontend: Frontend,
    ) -> Result<Option<State>, Cause> {
        if self.view.reserved.contains(frontend.port) {
            return Err(Cause::Reserved);
        }
        if let Some(pod) = self.pods.get(&(node, frontend.protocol, frontend.port)) {
            return Err(Cause::Pod((*pod).clone()));
        }
        if let Some(other) = self.taken.get(&frontend).filter(|other| other.uid != service.uid) {
            return Err(Cause::Service(other.key.clone()));
        }
        let Some(lease) = self.view.frontends.get(&frontend) else { return Ok(None) };
        let is_late = self.view.is_late(lease.assignment.state, lease.acquired);
        match lease.assignment.state {
            // It is released as soon as the plan is carried out.
            _ if lease.owner.uid != service.uid => Ok(Some(State::Proposed)),
            _ if lease.assignment.node != *node => Ok(Some(State::Proposed)),
            State::Refused => {
                Err(lease.assignment.conflict.map_or(Cause::Refused, Cause::Conflict))
            }
            _ if is_late => Err(Cause::NotAccepted),
            state => Ok(Some(state)),
        }
    }

    /// Returns the releases of the frontends that no Service needs. An address leaves the status of its
    /// Service first, unless the Service no longer has the port.
    pub(super) fn releases(&self) -> impl Iterator<Item = Step> {
        let is_unneeded = |lease: &&FrontendLease| {
            let frontend = lease.frontend();
            let service =
                self.taken.get(&frontend).filter(|service| service.uid == lease.owner.uid);
            let Some(service) = service else { return true };
            let is_moved = self
                .view
                .nodes
                .get(&lease.assignment.node)
                .is_none_or(|info| !info.internal_addresses.contains(&frontend.address));
            (is_moved || !self.needed.contains(&frontend)) && is_unused(service, frontend)
        };
        let unneeded = self.view.frontends.values().filter(is_unneeded);
        unneeded.map(|lease| Step::ReleaseFrontend { lease: lease.clone().into() })
    }
}

/// Returns whether the Service does not forward the frontend.
pub(in crate::allocation) fn is_unused(service: &AddressService, frontend: Frontend) -> bool {
    !service.shown.contains(&frontend.address)
        || !service.ports.contains(&(frontend.protocol, frontend.port))
}
