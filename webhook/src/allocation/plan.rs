//! Compares the Leases and the status of Services with the desired state. Performs no I/O.

mod choice;
mod frontends;
mod leases;
mod problem;
mod serve;
mod sharing;

pub(super) use self::frontends::forwards;
pub(super) use self::problem::Problem;

use self::choice::Choice;
use self::frontends::Frontends;
use self::leases::{held, is_releasable, problem};
use self::serve::{serve_auto, serve_from_pools};
use self::sharing::Users;
use super::endpoints::EndpointNodes;
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

/// The number of steps of a plan after which none is added that proposes an address or a port.
const MAX_STEPS: usize = 10_000;

/// The difference of two clocks that is not an error.
const MAX_SKEW: SignedDuration = SignedDuration::from_mins(1);

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
    /// The nodes that run ready pods of Services, once they are known.
    pub(super) endpoints: Option<&'a EndpointNodes<'a>>,
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

    /// Returns all Services, the oldest first.
    fn oldest_first(self) -> Vec<&'a AddressService> {
        let mut services: Vec<_> = self.services.values().collect();
        services.sort_by_key(|service| (service.created, &service.key));
        services
    }

    /// Returns the nodes that run ready pods of a Service if only they can serve it.
    fn local_nodes(&self, service: &AddressService) -> Option<BTreeSet<&'a NodeName>> {
        let nodes = service.is_local.then(|| self.endpoints?.get(&service.key).cloned());
        nodes.map(Option::unwrap_or_default)
    }

    /// Returns whether it is not known yet which nodes can serve a Service.
    fn lacks_endpoints(&self, service: &AddressService) -> bool {
        service.is_local && self.endpoints.is_none()
    }

    /// Returns whether a time has passed since the holder of a Lease was chosen.
    fn has_passed(&self, time: SignedDuration, acquired: Option<Timestamp>) -> bool {
        // A time in the future is of a clock that was wrong, here or there.
        let has_passed = |acquired| {
            let passed = self.now.duration_since(acquired);
            passed >= time || passed < -MAX_SKEW
        };
        acquired.is_none_or(has_passed)
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
    /// Choose the nodes of an address. If it is a proposal, the holder must accept the address.
    Assign { lease: Box<AddressLease>, nodes: Nodes, is_proposal: bool },
    /// Delete the Lease of an address that its Service no longer needs. Duplicate: the Service has
    /// another address of the family.
    Release { lease: Box<AddressLease>, is_duplicate: bool },
    /// Name another Service as the owner of an address that both use.
    Transfer { lease: Box<AddressLease>, owner: Owner },
    /// Create the Lease of a frontend.
    ProposeFrontend { frontend: Frontend, node: NodeName, owner: Owner, state: State },
    /// Delete the Lease of a frontend that no Service needs.
    ReleaseFrontend { lease: Box<FrontendLease> },
    /// Write the addresses of a Service into its status.
    Publish { service: Box<AddressService>, addresses: Vec<IpAddr> },
}

/// The changes, and why Services do not get an address.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Plan {
    pub(super) steps: Vec<Step>,
    pub(super) problems: Vec<(Key, Problem)>,
}

/// What a Service gets.
#[derive(Default)]
struct ServicePlan {
    /// The addresses in its status.
    addresses: Vec<IpAddr>,
    steps: Vec<Step>,
    problems: Vec<Problem>,
    /// Whether a node must still accept an address.
    is_pending: bool,
}

/// The Leases of a Service by family; true is IPv4.
type LeasesByService<'a> = BTreeMap<(&'a str, bool), &'a AddressLease>;

/// Returns the changes that are due.
pub(super) fn plan(view: View<'_>) -> Plan {
    let owned = with_lost_records(view);
    let view = View { services: owned.as_ref().unwrap_or(view.services), ..view };
    let mut plan = Plan::default();
    let mut held = held(view);
    let services = view.oldest_first();
    let users = Users::share(view, &services, &mut held);
    let mut choice = Choice::new(view);
    let mut frontends = Frontends::new(view);
    for lease in view.leases.values() {
        let holds = held.get(&(lease.owner.uid.as_str(), lease.address().is_ipv4()));
        let is_held = holds.is_some_and(|held| held.address() == lease.address());
        let step = if is_held {
            plan.problems.extend(choice.without_pod(lease));
            choice.reassignment(lease)
        } else if let Some(transfer) = users.transfer(lease) {
            Some(transfer)
        } else {
            let is_duplicate = holds.is_some();
            is_releasable(lease, view)
                .then(|| Step::Release { lease: lease.clone().into(), is_duplicate })
        };
        plan.steps.extend(step);
        let users = users.of(lease, view).into_iter();
        plan.problems
            .extend(users.filter_map(|user| Some((user.key.clone(), problem(lease, user, view)?))));
    }
    for service in services {
        let planned = match service.mode() {
            Some(_) if view.lacks_endpoints(service) => frontends.unchanged(service, None),
            Some(Mode::NodeIp) => frontends.serve(service),
            Some(Mode::Auto) => serve_auto(service, &held, &mut choice, &mut frontends),
            Some(_) => serve_from_pools(service, &held, &mut choice),
            None => ServicePlan::default(),
        };
        add_to_plan(service, planned, &mut plan);
    }
    plan.steps.extend(frontends.releases());
    plan
}

/// Returns the Services if one has addresses by its Leases of which no record is on the Service. Its
/// owner can remove that record, and would keep the addresses with any ports.
fn with_lost_records(view: View<'_>) -> Option<BTreeMap<Key, AddressService>> {
    let frontends = view.frontends.iter();
    let frontends = frontends.map(|(frontend, lease)| (lease.owner.uid.as_str(), frontend.address));
    let frontends: BTreeSet<_> = frontends.collect();
    let is_owned = |service: &&AddressService| {
        let may_share = |owner: &Owner| service.shared.is_some() && owner.key.0 == service.key.0;
        let is_owner = |owner: &Owner| owner.uid == service.uid || may_share(owner);
        let mut shown = service.in_status.iter();
        let has_lease = |at: &IpAddr| {
            frontends.contains(&(service.uid.as_str(), *at))
                || view.leases.get(at).is_some_and(|lease| is_owner(&lease.owner))
        };
        service.is_foreign && shown.any(has_lease)
    };
    let owned = view.services.values().filter(is_owned);
    let owned = owned.map(|service| (service.key.clone(), service.owning_all()));
    let mut owned = owned.peekable();
    owned.peek()?;
    let mut services = view.services.clone();
    services.extend(owned);
    Some(services)
}

/// Adds what a Service gets to the plan.
fn add_to_plan(service: &AddressService, planned: ServicePlan, plan: &mut Plan) {
    let ServicePlan { addresses, steps, problems, is_pending: _ } = planned;
    plan.problems.extend(problems.into_iter().map(|problem| (service.key.clone(), problem)));
    // A Service has a step for each port of each node, and the rest is left to the next plan.
    plan.steps.extend(steps.into_iter().take(MAX_STEPS.saturating_sub(plan.steps.len())));
    if addresses != service.published {
        plan.steps.push(Step::Publish { service: service.clone().into(), addresses });
    }
}

impl Step {
    /// Returns the address, the frontend or the Service that the step changes.
    pub(super) fn subject(&self) -> Subject {
        match self {
            Self::Propose { address, .. } => Subject::Address(*address),
            Self::Assign { lease, .. }
            | Self::Release { lease, .. }
            | Self::Transfer { lease, .. } => Subject::Address(lease.address()),
            Self::ProposeFrontend { frontend, .. } => Subject::Frontend(*frontend),
            Self::ReleaseFrontend { lease } => Subject::Frontend(lease.frontend()),
            Self::Publish { service, .. } => Subject::Service(service.key.clone()),
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
