//! Compares the Leases and the status of Services with the desired state. Performs no I/O.

mod choice;
mod frontends;
mod problem;

pub(super) use self::frontends::is_unused;
pub(super) use self::problem::Problem;

use self::choice::Choice;
use self::frontends::Frontends;
use super::frontend_lease::FrontendLease;
use super::host_ports::HostPorts;
use super::lease::{AddressLease, Nodes, Owner};
use super::pools::Checked;
use super::reserved_ports::ReservedPorts;
use super::service::{AddressService, Key};
use fastrak_admission::snapshot::NodeInfo;
use fastrak_admission::snapshot::agent::Agent;
use fastrak_api::address_pool::Labels;
use fastrak_api::assignment::State;
use fastrak_api::balancer::Mode;
use fastrak_api::frontend::Frontend;
use fastrak_api::node::NodeName;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// How long a refused address stays assigned, so that no Service gets it.
const QUARANTINE: SignedDuration = SignedDuration::from_mins(10);
/// The time after which a published address that a node has refused is proposed to another one.
const REPROPOSAL: SignedDuration = SignedDuration::from_mins(1);
/// The number of refused addresses of a family after which a Service gets no other one: a station
/// answers for all addresses.
const MAX_REFUSED: usize = 3;
/// How long a node may take to accept an address. It probes the address for 0.7 s.
const ACCEPTANCE: SignedDuration = SignedDuration::from_secs(10);

/// The observed state.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) services: &'a BTreeMap<Key, AddressService>,
    pub(super) leases: &'a BTreeMap<IpAddr, AddressLease>,
    /// The addresses whose Leases are being created, with the UIDs of their Services.
    pub(super) pending: &'a BTreeMap<IpAddr, String>,
    /// The addresses whose Leases exist and cannot be read.
    pub(super) occupied: &'a BTreeSet<IpAddr>,
    pub(super) frontends: &'a BTreeMap<Frontend, FrontendLease>,
    /// The host ports of pods, once they are known.
    pub(super) host_ports: Option<&'a BTreeMap<Key, HostPorts>>,
    pub(super) reserved: &'a ReservedPorts,
    pub(super) pools: &'a Checked,
    pub(super) nodes: &'a BTreeMap<NodeName, NodeInfo>,
    pub(super) speakers: &'a BTreeMap<NodeName, Agent>,
    pub(super) namespaces: &'a BTreeMap<String, Labels>,
    pub(super) now: Timestamp,
}

impl<'a> View<'a> {
    /// Returns the Service that a Lease belongs to, if it exists.
    fn owner(&self, owner: &Owner) -> Option<&'a AddressService> {
        self.services.get(&owner.key).filter(|service| service.uid == owner.uid)
    }

    /// Returns whether a time has passed since the holder of a Lease was chosen.
    fn has_passed(&self, time: SignedDuration, acquired: Option<Timestamp>) -> bool {
        acquired.is_none_or(|acquired| self.now.duration_since(acquired) >= time)
    }

    /// Returns whether the holder has not accepted its assignment in time.
    fn is_late(&self, state: State, acquired: Option<Timestamp>) -> bool {
        state == State::Proposed && self.has_passed(ACCEPTANCE, acquired)
    }
}

/// A change that brings the cluster closer to the desired state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Create a Lease that proposes the address to a node.
    Propose { address: IpAddr, owner: Owner, nodes: Nodes },
    /// Choose other nodes for an address. A new holder must accept it first.
    Assign { lease: Box<AddressLease>, nodes: Nodes },
    /// Delete the Lease of an address that its Service no longer needs. Duplicate: the Service has
    /// another address of the family.
    Release { lease: Box<AddressLease>, is_duplicate: bool },
    /// Create the Lease of a frontend.
    ProposeFrontend { frontend: Frontend, node: NodeName, owner: Owner, state: State },
    /// Delete the Lease of a frontend that no Service needs.
    ReleaseFrontend { lease: Box<FrontendLease> },
    /// Write the addresses of a Service into its status.
    Publish { owner: Owner, addresses: Vec<IpAddr> },
}

/// The changes, and why Services do not get an address.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Plan {
    pub(super) steps: Vec<Step>,
    pub(super) problems: Vec<(Key, Problem)>,
}

/// What a Service gets.
#[derive(Default)]
struct Given {
    /// The addresses in its status.
    addresses: Vec<IpAddr>,
    steps: Vec<Step>,
    problems: Vec<Problem>,
    /// Whether a node is to accept an address.
    waits: bool,
}

/// The Leases of a Service by family; true is IPv4.
type Held<'a> = BTreeMap<(&'a str, bool), &'a AddressLease>;

/// Returns the changes that are due.
pub(super) fn plan(view: View<'_>) -> Plan {
    let mut plan = Plan::default();
    let held = held(view);
    let mut choice = Choice::new(view);
    let mut frontends = Frontends::new(view);
    for lease in view.leases.values() {
        let holds = held.get(&(lease.owner.uid.as_str(), lease.address().is_ipv4()));
        let is_held = holds.is_some_and(|held| held.address() == lease.address());
        let step = if is_held {
            let is_late = view.is_late(lease.assignment.state, lease.acquired);
            plan.problems.extend(is_late.then(|| not_accepted(lease)));
            choice
                .other_nodes(lease)
                .map(|nodes| Step::Assign { lease: lease.clone().into(), nodes })
        } else {
            let is_duplicate = holds.is_some();
            is_releasable(lease, view)
                .then(|| Step::Release { lease: lease.clone().into(), is_duplicate })
        };
        plan.steps.extend(step);
        plan.problems.extend(conflict(lease, view));
    }
    let mut services: Vec<_> = view.services.values().collect();
    services.sort_by_key(|service| (service.created, &service.key));
    for service in services {
        let given = match service.mode {
            Some(Mode::NodeIp) => frontends.serve(service),
            Some(Mode::Auto) => serve_auto(service, &held, &mut choice, &mut frontends),
            Some(_) => serve_from_pools(service, &held, &mut choice),
            None => Given::default(),
        };
        give(service, given, &mut plan);
    }
    plan.steps.extend(frontends.releases());
    plan
}

/// Returns the Lease of each family that each Service keeps.
fn held(view: View<'_>) -> Held<'_> {
    let mut held = Held::new();
    for lease in view.leases.values() {
        let Some(service) =
            view.owner(&lease.owner).filter(|service| service.keeps(lease.address()))
        else {
            continue;
        };
        // A published address was accepted before: the station is most likely its former holder.
        if lease.is_refused() && !service.published.contains(&lease.address()) {
            continue;
        }
        let rank = |lease: &AddressLease| {
            let is_published = service.published.contains(&lease.address());
            (is_published, lease.assignment.state == State::Accepted)
        };
        let entry = held.entry((&service.uid, lease.address().is_ipv4())).or_insert(lease);
        if rank(lease) > rank(entry) {
            *entry = lease;
        }
    }
    held
}

/// Returns whether a Lease that no Service keeps can be deleted. The address leaves the status of its
/// Service first. A refused address is in use by a station outside of the cluster.
fn is_releasable(lease: &AddressLease, view: View<'_>) -> bool {
    if lease.is_refused() {
        return view.has_passed(QUARANTINE, lease.acquired);
    }
    view.owner(&lease.owner).is_none_or(|service| !service.shown.contains(&lease.address()))
}

/// Returns the problem of a Service whose address a station outside of the cluster uses.
fn conflict(lease: &AddressLease, view: View<'_>) -> Option<(Key, Problem)> {
    let service = view.owner(&lease.owner).filter(|_| lease.is_refused())?;
    let is_requested =
        service.requested.as_ref().is_ok_and(|requested| requested.contains(&lease.address()));
    service.takes_pool().then(|| (service.key.clone(), Problem::conflict(lease, is_requested)))
}

fn not_accepted(lease: &AddressLease) -> (Key, Problem) {
    let node = lease.assignment.holder.clone();
    (lease.owner.key.clone(), Problem::NotAccepted { address: lease.address(), node })
}

/// Serves a Service from a pool if one has an address for it, else from the nodes. What it has is kept.
fn serve_auto<'a>(
    service: &'a AddressService,
    held: &Held<'a>,
    choice: &mut Choice<'a>,
    frontends: &mut Frontends<'a>,
) -> Given {
    let holds = |is_ipv4| held.contains_key(&(service.uid.as_str(), is_ipv4));
    if !holds(true) && !holds(false) && frontends.has(service) {
        return frontends.serve(service);
    }
    let of_pools = serve_from_pools(service, held, choice);
    if of_pools.waits || !of_pools.addresses.is_empty() {
        return of_pools;
    }
    let mut of_nodes = frontends.serve(service);
    if choice.has_pools() && !of_nodes.problems.is_empty() {
        of_nodes.problems.extend(of_pools.problems);
    }
    of_nodes
}

/// Plans the addresses of pools of a Service.
fn serve_from_pools<'a>(
    service: &'a AddressService,
    held: &Held<'a>,
    choice: &mut Choice<'a>,
) -> Given {
    let mut given = Given::default();
    let is_published = |address: IpAddr| service.published.contains(&address);
    for &is_ipv4 in &service.families {
        if let Some(lease) = held.get(&(service.uid.as_str(), is_ipv4)) {
            let is_accepted = lease.assignment.state == State::Accepted;
            given.waits |= !is_accepted;
            given.addresses.extend(
                Some(lease.address()).filter(|address| is_accepted || is_published(*address)),
            );
            continue;
        }
        match choice.address(service, is_ipv4) {
            Ok((address, nodes)) => {
                given.waits = true;
                given.addresses.extend(Some(address).filter(|address| is_published(*address)));
                let propose = |nodes| Step::Propose { address, owner: service.owner(), nodes };
                given.steps.extend(nodes.map(propose));
            }
            Err(problem) => {
                given.problems.push(problem);
                // The address works while no other Service gets it.
                let published = service.published.iter().filter(|at| at.is_ipv4() == is_ipv4);
                given
                    .addresses
                    .extend(published.filter(|at| choice.is_free_for(**at, &service.uid)));
            }
        }
    }
    // One address is enough, unless the Service requires one of each family.
    if !service.needs_all_families && (given.waits || !given.addresses.is_empty()) {
        given.problems.clear();
    }
    given
}

/// Adds what a Service gets to the plan.
fn give(service: &AddressService, given: Given, plan: &mut Plan) {
    let Given { addresses, steps, problems, waits: _ } = given;
    plan.problems.extend(problems.into_iter().map(|problem| (service.key.clone(), problem)));
    plan.steps.extend(steps);
    if addresses != service.published {
        plan.steps.push(Step::Publish { owner: service.owner(), addresses });
    }
}

impl Step {
    /// Returns the address, the frontend or the Service that the step changes.
    pub(super) fn subject(&self) -> Subject {
        match self {
            Self::Propose { address, .. } => Subject::Address(*address),
            Self::Assign { lease, .. } | Self::Release { lease, .. } => {
                Subject::Address(lease.address())
            }
            Self::ProposeFrontend { frontend, .. } => Subject::Frontend(*frontend),
            Self::ReleaseFrontend { lease } => Subject::Frontend(lease.frontend()),
            Self::Publish { owner, .. } => Subject::Service(owner.key.clone()),
        }
    }
}

/// What a step changes. Steps of one subject are carried out one after the other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Subject {
    Address(IpAddr),
    Frontend(Frontend),
    Service(Key),
}

#[cfg(test)]
mod tests;
