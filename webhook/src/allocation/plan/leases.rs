//! Which Leases of addresses Services keep, and which can be deleted.

use super::problem::AddressOf;
use super::{LeasesByService, Problem, QUARANTINE, View};
use crate::allocation::lease::AddressLease;
use crate::allocation::service::AddressService;
use fastrak_api::assignment::{Assignment, State};

/// Returns the Lease of each family that each Service keeps.
pub(super) fn held(view: View<'_>) -> LeasesByService<'_> {
    let mut held = LeasesByService::new();
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

/// Returns whether the address of a Lease becomes free as soon as the plan is carried out.
pub(super) fn is_leaving(lease: &AddressLease, view: View<'_>) -> bool {
    let owner = view.owner(&lease.owner);
    let is_kept = owner.is_some_and(|owner| owner.keeps(lease.address()));
    !is_kept && !lease.is_refused() && is_releasable(lease, view)
}

/// Returns whether a Lease that no Service keeps can be deleted. The address leaves the status of its
/// Services first. A refused address is in use by a station outside of the cluster.
pub(super) fn is_releasable(lease: &AddressLease, view: View<'_>) -> bool {
    if lease.is_refused() {
        return view.has_passed(QUARANTINE, lease.acquired);
    }
    let (namespace, _) = &lease.owner.key;
    let mut services = view.services.values().filter(|service| service.key.0 == *namespace);
    services.all(|service| !service.in_status.contains(&lease.address()))
}

/// Returns the problem of a Service that uses the address of a Lease, or that it was proposed for.
pub(super) fn problem(
    lease: &AddressLease,
    service: &AddressService,
    view: View<'_>,
) -> Option<Problem> {
    let address = lease.address();
    if lease.is_refused() {
        let is_requested = service.requested.as_ref().is_ok_and(|all| all.contains(&address));
        let of = match service.published.contains(&address) {
            true => AddressOf::Status,
            false if is_requested => AddressOf::Request,
            false => AddressOf::Choice,
        };
        return service.takes_pool().then(|| Problem::conflict(lease, of));
    }
    let Assignment { holder, state, .. } = &lease.assignment;
    let is_published = service.published.contains(&address);
    let not_accepted = || Problem::NotAccepted { address, node: holder.clone(), is_published };
    view.is_late(*state, lease.acquired).then(not_accepted)
}
