//! Chooses addresses; `nodes.rs` chooses the nodes that answer for them.

mod nodes;

pub(super) use self::nodes::balancing_nodes;

use super::leases::is_leaving;
use super::problem::AddressOf;
use super::{MAX_REFUSED, Problem, View};
use crate::allocation::lease::{AddressLease, Nodes};
use crate::allocation::service::AddressService;
use fastrak_admission::snapshot::agent::Agent;
use fastrak_api::address_pool::{Labels, Pool};
use fastrak_api::node::NodeName;
use std::collections::{BTreeMap, BTreeSet};
use std::iter::Peekable;
use std::net::IpAddr;

/// The choices of one plan: each address once, and nodes with few addresses first.
pub(super) struct Choice<'a> {
    view: View<'a>,
    /// The addresses that no Service can get: they have a Lease, or are those of nodes.
    taken: BTreeSet<IpAddr>,
    /// The Services that have each address in their status, or get it in this plan.
    users: BTreeMap<IpAddr, Vec<&'a AddressService>>,
    /// The number of addresses that each node holds.
    held: BTreeMap<&'a NodeName, usize>,
    /// The number of refused addresses of each Service by family; true is IPv4.
    refused: BTreeMap<(&'a str, bool), usize>,
    /// The Services that get an address in this plan, and may share it.
    sharing: Vec<(&'a AddressService, IpAddr)>,
    /// The unchecked addresses of each pool of a family; true is IPv4.
    unchecked: BTreeMap<(&'a str, bool), UncheckedAddresses<'a>>,
}

/// The addresses of a pool that have not been checked yet.
type UncheckedAddresses<'a> = Peekable<Box<dyn Iterator<Item = IpAddr> + 'a>>;

impl<'a> Choice<'a> {
    pub(super) fn new(view: View<'a>) -> Self {
        let (mut held, mut refused) = (BTreeMap::new(), BTreeMap::new());
        for lease in view.leases.values() {
            *held.entry(&lease.assignment.holder).or_default() += 1;
            if lease.is_refused() {
                let key = (lease.owner.uid.as_str(), lease.address().is_ipv4());
                *refused.entry(key).or_default() += 1;
            }
        }
        let nodes = view.nodes.values().flat_map(|info| &info.addresses);
        let known = view.leases.keys().chain(view.pending.keys()).chain(view.occupied);
        let mut users: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for service in view.services.values().filter(|service| service.needs_address()) {
            for address in &service.published {
                users.entry(*address).or_default().push(service);
            }
        }
        let taken = nodes.chain(known).copied().collect();
        Self { view, taken, users, held, refused, sharing: Vec::new(), unchecked: BTreeMap::new() }
    }

    /// Returns an address that another Service gets in this plan, if this one can share it. A Service
    /// that can have the address in its status does not wait.
    pub(super) fn shared_soon(&self, service: &AddressService, is_ipv4: bool) -> Option<IpAddr> {
        let of_family = |address: &IpAddr| address.is_ipv4() == is_ipv4;
        let is_match = |(other, address): &&(&AddressService, IpAddr)| {
            of_family(address) && service.keeps(*address) && other.shares_with(service)
        };
        let &(_, address) = self.sharing.iter().find(is_match)?;
        let mut own = service.published.iter().filter(|at| of_family(at) && **at != address);
        own.all(|at| !self.is_free_for(*at, service)).then_some(address)
    }

    /// Chooses an address of a family, and its nodes. Returns no nodes if its Lease is being created, that
    /// of another Service is being deleted, or the speakers are starting.
    pub(super) fn address(
        &mut self,
        service: &'a AddressService,
        is_ipv4: bool,
    ) -> Result<(IpAddr, Option<Nodes>), Problem> {
        let chosen = self.address_and_nodes(service, is_ipv4)?;
        self.sharing.extend(service.shared.is_some().then_some((service, chosen.0)));
        Ok(chosen)
    }

    fn address_and_nodes(
        &mut self,
        service: &'a AddressService,
        is_ipv4: bool,
    ) -> Result<(IpAddr, Option<Nodes>), Problem> {
        let mut pending = self.view.pending.iter();
        let is_mine =
            |(at, uid): &(&IpAddr, &String)| at.is_ipv4() == is_ipv4 && **uid == service.uid;
        if let Some((address, _)) = pending.find(is_mine) {
            return Ok((*address, None));
        }
        let requested = service.requested.as_ref();
        let requested = requested.map_err(|text| Problem::NotAnAddress(text.clone()))?;
        let mut of_family = requested.iter().filter(|address| address.is_ipv4() == is_ipv4);
        let (address, nodes) = match of_family.next() {
            Some(&address) => {
                let pool = self.requested(service, address)?;
                let nodes = pool.map(|pool| self.nodes_of(service, pool)).transpose()?;
                (address, nodes.flatten())
            }
            None => self.any(service, is_ipv4)?,
        };
        self.users.entry(address).or_default().push(service);
        Ok((address, nodes))
    }

    /// Returns no nodes while the speaker of one that could answer is starting.
    fn nodes_of(
        &mut self,
        service: &AddressService,
        pool: &Pool,
    ) -> Result<Option<Nodes>, Problem> {
        let local = self.view.local_nodes(service).unwrap_or_default();
        let nodes = self.nodes(Some(pool), None, &local);
        if nodes.is_none() && self.pool_nodes(Some(pool), &Agent::Starting).is_empty() {
            return Err(Problem::NoSpeaker { pool: pool.name.clone() });
        }
        Ok(nodes)
    }

    /// Returns whether only this Service, and those that can share with it, have or get the address.
    pub(super) fn is_free_for(&self, address: IpAddr, service: &AddressService) -> bool {
        !self.taken.contains(&address) && self.has_no_other_user(address, service)
    }

    fn has_no_other_user(&self, address: IpAddr, service: &AddressService) -> bool {
        let mut users = self.users.get(&address).into_iter().flatten();
        users.all(|user| user.uid == service.uid || user.shares_with(service))
    }

    /// Returns whether the Service can have an address as soon as a Lease is deleted.
    fn is_free_soon_for(&self, lease: &AddressLease, service: &AddressService) -> bool {
        is_leaving(lease, self.view) && self.has_no_other_user(lease.address(), service)
    }

    /// Returns the pool of a requested address, or nothing if the address is not free yet.
    fn requested(
        &self,
        service: &AddressService,
        address: IpAddr,
    ) -> Result<Option<&'a Pool>, Problem> {
        let pool = self.pools(service).find(|pool| pool.contains(address));
        let pool =
            pool.ok_or_else(|| Problem::NotInPool { address, namespace: service.key.0.clone() })?;
        match self.view.leases.get(&address) {
            Some(lease) if lease.is_refused() => Err(Problem::conflict(lease, AddressOf::Request)),
            Some(lease) if self.is_free_soon_for(lease, service) => Ok(None),
            Some(_) => Err(Problem::Taken(address)),
            None if self.is_free_for(address, service) => Ok(Some(pool)),
            None => Err(Problem::Taken(address)),
        }
    }

    /// Returns a free address of any pool: if possible, the one that the Service had. Returns no nodes
    /// for an address that is not free yet.
    fn any(
        &mut self,
        service: &AddressService,
        is_ipv4: bool,
    ) -> Result<(IpAddr, Option<Nodes>), Problem> {
        let refused = self.refused.get(&(service.uid.as_str(), is_ipv4));
        if refused.is_some_and(|count| *count >= MAX_REFUSED) {
            return Err(Problem::ManyConflicts);
        }
        let mut pools: Vec<_> = self.pools(service).collect();
        let mut former = service.published.iter().filter(|address| address.is_ipv4() == is_ipv4);
        if let Some(&address) = former.next()
            && self.is_free_for(address, service)
            && let Some(pool) = pools.iter().find(|pool| pool.contains(address))
        {
            return Ok((address, self.nodes_of(service, pool)?));
        }
        pools.retain(|pool| pool.auto_assign && pool.addresses(is_ipv4).next().is_some());
        let (mut without_speaker, mut starting) = (None, None);
        for pool in &pools {
            let Some(address) = self.next_free(pool, is_ipv4) else { continue };
            match self.nodes_of(service, pool) {
                Ok(Some(nodes)) => return Ok((address, Some(nodes))),
                Ok(None) => starting = starting.or(Some(address)),
                Err(problem) => without_speaker = Some(problem),
            }
        }
        if let Some(address) = starting {
            return Ok((address, None));
        }
        if let Some(problem) = without_speaker {
            return Err(problem);
        }
        if pools.is_empty() {
            let namespace = service.key.0.clone();
            return Err(Problem::NoPool { is_ipv4, namespace, unusable: self.unusable() });
        }
        let mut leaving = self.view.leases.values().filter(|lease| {
            lease.address().is_ipv4() == is_ipv4
                && pools.iter().any(|pool| pool.contains(lease.address()))
                && self.is_free_soon_for(lease, service)
        });
        if let Some(lease) = leaving.next() {
            return Ok((lease.address(), None));
        }
        let names = pools.iter().map(|pool| format!("AddressPool {}", pool.name));
        Err(Problem::Exhausted { is_ipv4, pools: names.collect() })
    }

    fn next_free(&mut self, pool: &'a Pool, is_ipv4: bool) -> Option<IpAddr> {
        let all = || {
            let all: Box<dyn Iterator<Item = IpAddr> + 'a> = Box::new(pool.addresses(is_ipv4));
            all.peekable()
        };
        let unchecked = self.unchecked.entry((&pool.name, is_ipv4)).or_insert_with(all);
        let is_used = |at: &IpAddr| self.taken.contains(at) || self.users.contains_key(at);
        while unchecked.next_if(is_used).is_some() {}
        unchecked.peek().copied()
    }

    /// Returns the usable pools of the Service's namespace.
    fn pools(&self, service: &AddressService) -> impl Iterator<Item = &'a Pool> + use<'a> {
        let labels = self.view.namespaces.get(&service.key.0);
        let pools = self.view.pools.values().filter_map(|pool| pool.as_ref().ok());
        pools.filter(move |pool| match labels {
            Some(labels) => pool.takes_namespace(labels),
            None => pool.takes_namespace(&Labels::new()),
        })
    }

    /// Returns whether there are pools.
    pub(super) fn has_pools(&self) -> bool {
        !self.view.pools.is_empty()
    }

    fn unusable(&self) -> Option<String> {
        self.view.pools.iter().find_map(|(name, pool)| {
            let problem = &pool.as_ref().err()?.problem;
            Some(format!("AddressPool {name} cannot be used: {problem}"))
        })
    }
}
