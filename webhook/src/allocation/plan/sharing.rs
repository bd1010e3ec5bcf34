//! Services that share an address: those of one namespace with the same key
//! (`fastrak.io/shared-address`) and different ports.
//!
//! The Lease of an address names one Service. The others follow from their keys, so nothing else is
//! stored. When that Service no longer keeps the address, the Lease passes to the oldest other one.

use super::{LeasesByService, Step, View};
use crate::allocation::lease::AddressLease;
use crate::allocation::service::{AddressService, MAX_PORTS};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The Services that use each address.
pub(super) struct Users<'a>(BTreeMap<IpAddr, Vec<&'a AddressService>>);

impl<'a> Users<'a> {
    /// Finds the Services that can use the Lease of another one, and adds them to `held`. Takes the
    /// `services` in their order.
    pub(super) fn share(
        view: View<'a>,
        services: &[&'a AddressService],
        held: &mut LeasesByService<'a>,
    ) -> Self {
        let mut this = Self(BTreeMap::new());
        for (&(uid, _), lease) in &*held {
            let owner = view.owner(&lease.owner).filter(|owner| owner.uid == uid);
            this.0.entry(lease.address()).or_default().extend(owner);
        }
        let takers = services.iter().copied().filter(|service| service.takes_pool());
        let mut takers: Vec<_> = takers.collect();
        // Those that have an address keep it: the times of creation are whole seconds.
        takers.sort_by_key(|service| service.published.is_empty());
        let slots = takers
            .into_iter()
            .flat_map(|service| service.families.iter().map(move |at| (service, *at)));
        for (service, is_ipv4) in slots {
            let slot = (service.uid.as_str(), is_ipv4);
            let lease = match held.contains_key(&slot) {
                true => None,
                false => this.lease(service, is_ipv4, view),
            };
            if let Some(lease) = lease {
                held.insert(slot, lease);
                this.0.entry(lease.address()).or_default().push(service);
            }
        }
        this
    }

    /// Returns the Lease that a Service without one can use: that of an address in its status, or else
    /// any other.
    fn lease(
        &self,
        service: &AddressService,
        is_ipv4: bool,
        view: View<'a>,
    ) -> Option<&'a AddressLease> {
        let users = |address: &IpAddr| self.0.get(address).map_or(&[][..], Vec::as_slice);
        let fits = |address: &IpAddr| {
            let all_share = users(address).iter().all(|user| user.shares_with(service));
            address.is_ipv4() == is_ipv4 && service.keeps(*address) && all_share
        };
        let leases = |address| view.leases.get(address);
        let is_own = |lease: &&AddressLease| lease.owner.key.0 == service.key.0;
        // Also one whose first Service is gone, and one that is refused: it was accepted before.
        let mut published = service.published.iter().filter(|address| fits(address)).peekable();
        if published.peek().is_some() {
            return published.find_map(leases).filter(is_own);
        }
        let is_asking = service.shared.is_some() && service.requested.is_ok();
        let others = self.0.keys().filter(|address| is_asking && fits(address));
        others.filter_map(leases).find(|lease| is_own(lease) && !lease.is_refused())
    }

    /// Returns the Services that use the address of a Lease. Without any, it is that which a refused
    /// address was proposed for.
    pub(super) fn of(&self, lease: &AddressLease, view: View<'a>) -> Vec<&'a AddressService> {
        let mut users = self.0.get(&lease.address()).cloned().unwrap_or_default();
        if users.is_empty() && lease.is_refused() {
            users.extend(view.owner(&lease.owner));
        }
        users
    }

    /// Returns the step that passes a Lease on to the oldest Service that uses its address.
    pub(super) fn transfer(&self, lease: &AddressLease) -> Option<Step> {
        let owner = self.0.get(&lease.address())?.first()?.owner();
        Some(Step::Transfer { lease: lease.clone().into(), owner })
    }
}

impl AddressService {
    /// Returns whether two Services can have the same address.
    pub(super) fn shares_with(&self, other: &Self) -> bool {
        self.shared.is_some()
            && self.ports.len().max(other.ports.len()) <= MAX_PORTS
            && (&self.shared, &self.key.0) == (&other.shared, &other.key.0)
            && !(self.is_local || other.is_local)
            && self.ports.iter().all(|port| !other.ports.contains(port))
    }
}
