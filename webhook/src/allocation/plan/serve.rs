//! What a Service gets, by its mode.

use super::choice::Choice;
use super::frontends::Frontends;
use super::{LeasesByService, ServicePlan, Step};
use crate::allocation::service::AddressService;
use fastrak_api::assignment::State;
use std::net::IpAddr;

/// Serves a Service from a pool if one has an address for it, else from the nodes. What it has is kept.
pub(super) fn serve_auto<'a>(
    service: &'a AddressService,
    held: &LeasesByService<'a>,
    choice: &mut Choice<'a>,
    frontends: &mut Frontends<'a>,
) -> ServicePlan {
    let holds = |is_ipv4| held.contains_key(&(service.uid.as_str(), is_ipv4));
    if !holds(true) && !holds(false) && frontends.has(service) {
        let of_nodes = frontends.serve(service);
        if of_nodes.is_pending || !of_nodes.addresses.is_empty() {
            return of_nodes;
        }
    }
    let of_pools = serve_from_pools(service, held, choice);
    if of_pools.is_pending || !of_pools.addresses.is_empty() {
        return of_pools;
    }
    let mut of_nodes = frontends.serve(service);
    if choice.has_pools() && !of_nodes.problems.is_empty() {
        of_nodes.problems.extend(of_pools.problems);
    }
    of_nodes
}

/// Plans the addresses of pools of a Service.
pub(super) fn serve_from_pools<'a>(
    service: &'a AddressService,
    held: &LeasesByService<'a>,
    choice: &mut Choice<'a>,
) -> ServicePlan {
    let mut planned = ServicePlan::default();
    let is_published = |address: IpAddr| service.published.contains(&address);
    for &is_ipv4 in &service.families {
        if let Some(lease) = held.get(&(service.uid.as_str(), is_ipv4)) {
            let is_accepted = lease.assignment.state == State::Accepted;
            planned.is_pending |= !is_accepted;
            planned.addresses.extend(
                Some(lease.address()).filter(|address| is_accepted || is_published(*address)),
            );
            continue;
        }
        if let Some(address) = choice.shared_soon(service, is_ipv4) {
            planned.is_pending = true;
            planned.addresses.extend(Some(address).filter(|address| is_published(*address)));
            continue;
        }
        match choice.address(service, is_ipv4) {
            Ok((address, nodes)) => {
                planned.is_pending = true;
                planned.addresses.extend(Some(address).filter(|address| is_published(*address)));
                let propose = |nodes| Step::Propose { address, owner: service.owner(), nodes };
                planned.steps.extend(nodes.map(propose));
            }
            Err(problem) => {
                planned.problems.push(problem);
                // The address works while no other Service gets it.
                let published = service.published.iter().filter(|at| at.is_ipv4() == is_ipv4);
                planned.addresses.extend(published.filter(|at| choice.is_free_for(**at, service)));
            }
        }
    }
    // One address is enough, unless the Service requires one of each family.
    if !service.needs_all_families && (planned.is_pending || !planned.addresses.is_empty()) {
        planned.problems.clear();
    }
    planned
}
