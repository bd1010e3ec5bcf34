//! Chooses the nodes whose own addresses a Service gets: those on which all of its ports are free.

mod offer;

use self::offer::Offer;
use super::choice::balancing_nodes;
use super::problem::{Cause, Problem};
use super::{ServicePlan, Step, View};
use crate::allocation::frontend_lease::FrontendLease;
use crate::allocation::service::{AddressService, Key, MAX_PORTS};
use fastrak_admission::snapshot::NodeInfo;
use fastrak_api::address_range::is_possible;
use fastrak_api::assignment::State;
use fastrak_api::balancer::Protocol;
use fastrak_api::frontend::Frontend;
use fastrak_api::node::NodeName;
use k8s_openapi::jiff::SignedDuration;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// How long no pod of a new Service may be ready before that is reported.
const POD_START: SignedDuration = SignedDuration::from_mins(1);

/// The frontends of one plan: each goes to one Service, the oldest first.
pub(super) struct Frontends<'a> {
    view: View<'a>,
    /// The pods with host ports.
    pods: BTreeMap<(&'a NodeName, Protocol, u16), &'a Key>,
    /// The frontends that a Service has or gets.
    taken: BTreeMap<Frontend, &'a AddressService>,
    /// The frontends that the Services which have them still need.
    needed: BTreeSet<Frontend>,
    /// The UIDs of the Services that have frontends which a node has accepted.
    owners: BTreeSet<&'a str>,
    /// The addresses of nodes.
    addresses: BTreeSet<IpAddr>,
    /// Those that several nodes claim to have.
    ambiguous: BTreeSet<IpAddr>,
}

impl<'a> Frontends<'a> {
    pub(super) fn new(view: View<'a>) -> Self {
        let pods = view.host_ports.into_iter().flatten().flat_map(|(key, pod)| {
            let of_pod = move |(protocol, port): &_| ((&pod.node, *protocol, *port), key);
            pod.ports.iter().map(of_pod)
        });
        let (mut addresses, mut ambiguous) = (BTreeSet::new(), BTreeSet::new());
        for info in view.nodes.values() {
            let own: BTreeSet<IpAddr> = info.internal_addresses.iter().copied().collect();
            ambiguous.extend(addresses.intersection(&own));
            addresses.extend(own);
        }
        // kube-proxy forwards these even if their Leases are lost or not created yet.
        let forwarded = view.services.values().flat_map(|service| {
            let published = service.published.iter().filter(|at| addresses.contains(at));
            let frontends = published.flat_map(|at| frontends_of(service, *at));
            frontends.map(move |frontend| (frontend, service))
        });
        let mut taken: BTreeMap<_, _> = forwarded.collect();
        taken.extend(view.frontends.iter().filter_map(|(at, lease)| {
            let has = |owner: &&AddressService| asks_for(owner, *at) || forwards(owner, *at);
            Some((*at, view.owner(&lease.owner).filter(has)?))
        }));
        let is_accepted = |lease: &&FrontendLease| lease.assignment.state == State::Accepted;
        let held = view.frontends.values().filter(is_accepted);
        Self {
            view,
            pods: pods.collect(),
            taken,
            needed: BTreeSet::new(),
            owners: held.map(|lease| lease.owner.uid.as_str()).collect(),
            addresses,
            ambiguous,
        }
    }

    /// Returns whether the Service has the addresses of nodes.
    pub(super) fn has(&self, service: &AddressService) -> bool {
        self.owners.contains(service.uid.as_str())
            || service.published.iter().any(|address| self.addresses.contains(address))
    }

    /// Plans the addresses of a Service.
    pub(super) fn serve(&mut self, service: &'a AddressService) -> ServicePlan {
        if let Err(text) = &service.requested {
            return self.unchanged(service, Some(Problem::NotAnAddress(text.clone())));
        }
        if service.ports.len() > MAX_PORTS {
            return ServicePlan { problems: vec![Problem::ManyPorts], ..ServicePlan::default() };
        }
        if self.view.host_ports.is_none() {
            return self.unchanged_on_nodes(service, None);
        }
        let local = self.view.local_nodes(service);
        if local.as_ref().is_some_and(BTreeSet::is_empty) {
            let is_old = self.view.has_passed(POD_START, service.created);
            let should_report = is_old && service.published.is_empty();
            return self.unchanged_on_nodes(service, should_report.then_some(Problem::NoReadyPod));
        }
        let mut planned = ServicePlan::default();
        let published = |address: &IpAddr| service.published.contains(address);
        let (mut unready, mut causes) = (Vec::new(), Vec::new());
        let candidates = self.candidates(service, local.as_ref());
        let is_candidate = |at: &IpAddr| candidates.iter().any(|(_, _, candidate)| candidate == at);
        for &(node, info, address) in &candidates {
            match self.offer(service, node, address) {
                Offer::Accepted if info.is_ready => planned.addresses.push(address),
                Offer::Accepted => unready.push(address),
                Offer::Checking => planned.is_pending = true,
                Offer::Incomplete(frontends) => {
                    planned.is_pending = true;
                    planned.addresses.extend(Some(address).filter(published));
                    let propose = |frontend| self.proposal(service, node, frontend);
                    planned.steps.extend(frontends.into_iter().map(propose));
                }
                Offer::Refused(frontend, cause) => causes.push((frontend, node.clone(), cause)),
            }
        }
        // No node is Ready: the API server may know no better.
        if planned.addresses.is_empty() {
            planned.addresses.extend(unready.into_iter().filter(published));
        }
        // The pods have moved to a node that has not accepted the ports yet.
        if local.is_some() && planned.is_pending && planned.addresses.is_empty() {
            planned.addresses = self.on_nodes(service).filter(|at| !is_candidate(at)).collect();
        }
        planned.problems.extend(self.problem(service, &planned, causes));
        planned
    }

    /// Keeps what a Service has.
    pub(super) fn unchanged(
        &mut self,
        service: &AddressService,
        problem: Option<Problem>,
    ) -> ServicePlan {
        let owned = self.view.frontends.iter().filter(|(_, lease)| lease.owner.uid == service.uid);
        let owned = owned.map(|(frontend, _)| *frontend);
        self.needed.extend(owned.filter(|frontend| asks_for(service, *frontend)));
        let addresses = service.published.clone();
        ServicePlan {
            addresses,
            problems: problem.into_iter().collect(),
            is_pending: true,
            steps: Vec::new(),
        }
    }

    /// Keeps the addresses of nodes that a Service has.
    fn unchanged_on_nodes(
        &mut self,
        service: &AddressService,
        problem: Option<Problem>,
    ) -> ServicePlan {
        let addresses = self.on_nodes(service).collect();
        ServicePlan { addresses, ..self.unchanged(service, problem) }
    }

    /// Returns the addresses in the status of the Service that are those of nodes.
    fn on_nodes(&self, service: &AddressService) -> impl Iterator<Item = IpAddr> {
        service.published.iter().copied().filter(|address| self.addresses.contains(address))
    }

    fn problem(
        &self,
        service: &AddressService,
        planned: &ServicePlan,
        causes: Vec<(Frontend, NodeName, Cause)>,
    ) -> Option<Problem> {
        let has_none = planned.addresses.is_empty() && !planned.is_pending;
        if causes.is_empty() {
            let may_have =
                |at: &&IpAddr| service.allows(**at) && service.families.contains(&at.is_ipv4());
            if let Some(address) = self.ambiguous.iter().find(may_have) {
                return has_none.then_some(Problem::Ambiguous(*address));
            }
            let requested = service.requested.clone().unwrap_or_default();
            let is_local = service.is_local;
            return has_none.then_some(Problem::NoNode { requested, is_local });
        }
        let should_report = has_none || causes.iter().any(|(_, _, cause)| cause.is_conflict());
        should_report.then_some(Problem::PortsInUse { causes, is_blocking: has_none })
    }

    fn proposal(&self, service: &AddressService, node: &NodeName, frontend: Frontend) -> Step {
        // The node has accepted it before, or the port is new: kube-proxy forwards it already, so a
        // connection reaches the Service. The speaker still checks whether a process listens.
        let is_published = service.published.contains(&frontend.address);
        let state = if is_published { State::Accepted } else { State::Proposed };
        Step::ProposeFrontend { frontend, node: node.clone(), owner: service.owner(), state }
    }

    /// Returns the addresses of nodes that the Service may get, by family and node.
    fn candidates(
        &self,
        service: &AddressService,
        local: Option<&BTreeSet<&NodeName>>,
    ) -> Vec<(&'a NodeName, &'a NodeInfo, IpAddr)> {
        let mut nodes = balancing_nodes(self.view.nodes.iter());
        nodes.retain(|(name, _)| local.is_none_or(|local| local.contains(name)));
        let mut candidates = Vec::new();
        if service.ports.is_empty() {
            return candidates;
        }
        let is_usable = |address: IpAddr| {
            service.allows(address) && is_possible(address) && !self.ambiguous.contains(&address)
        };
        for &is_ipv4 in &service.families {
            for (node, info) in &nodes {
                let mut addresses = info.internal_addresses.iter();
                let address = addresses.find(|one| one.is_ipv4() == is_ipv4 && is_usable(**one));
                candidates.extend(address.map(|address| (*node, *info, *address)));
            }
        }
        candidates
    }

    /// Returns the releases of the frontends that no Service needs. An address leaves the status of its
    /// Service first, unless the Service no longer has the port.
    pub(super) fn releases(&self) -> impl Iterator<Item = Step> {
        let needed = self.needed.iter().filter_map(|frontend| self.view.frontends.get(frontend));
        let needed = needed.map(|lease| (lease.frontend().address, lease.owner.uid.as_str()));
        let needed: BTreeSet<_> = needed.collect();
        let is_unneeded = move |lease: &&FrontendLease| {
            let frontend = lease.frontend();
            let Some(service) = self.view.owner(&lease.owner) else { return true };
            // The last Lease shows that the address in the status is fastrak's.
            let is_last = !needed.contains(&(frontend.address, service.uid.as_str()));
            if is_last && service.in_status.contains(&frontend.address) {
                return false;
            }
            let is_moved = self
                .view
                .nodes
                .get(&lease.assignment.node)
                .is_none_or(|info| !info.internal_addresses.contains(&frontend.address));
            (is_moved || !self.needed.contains(&frontend)) && !forwards(service, frontend)
        };
        let unneeded = self.view.frontends.values().filter(is_unneeded);
        unneeded.map(|lease| Step::ReleaseFrontend { lease: lease.clone().into() })
    }
}

/// Returns the ports of a Service on an address.
fn frontends_of(service: &AddressService, address: IpAddr) -> impl Iterator<Item = Frontend> {
    let ports = service.ports.iter();
    ports.map(move |&(protocol, port)| Frontend { address, protocol, port })
}

fn has_port(service: &AddressService, frontend: Frontend) -> bool {
    service.ports.contains(&(frontend.protocol, frontend.port))
}

/// Returns whether the Service asks for the port on the addresses of nodes.
fn asks_for(service: &AddressService, frontend: Frontend) -> bool {
    service.takes_nodes() && has_port(service, frontend) && service.allows(frontend.address)
}

/// Returns whether kube-proxy forwards the frontend to the Service.
pub(in crate::allocation) fn forwards(service: &AddressService, frontend: Frontend) -> bool {
    let may_have_port = has_port(service, frontend) || service.ports.len() > MAX_PORTS;
    service.in_status.contains(&frontend.address) && may_have_port
}
