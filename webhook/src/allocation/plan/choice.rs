//! Chooses addresses, and the nodes that answer for them.

use super::{MAX_REFUSED, Problem, REPROPOSAL, View};
use crate::allocation::lease::{AddressLease, Nodes};
use crate::allocation::service::AddressService;
use fastrak_admission::snapshot::agent::Agent;
use fastrak_admission::snapshot::{Availability, NodeInfo};
use fastrak_api::address_pool::{Labels, Pool};
use fastrak_api::names::kubernetes;
use fastrak_api::node::NodeName;
use std::collections::BTreeMap;
use std::iter::Peekable;
use std::net::IpAddr;

/// The choices of one plan: each address once, and nodes with few addresses first.
pub(super) struct Choice<'a> {
    view: View<'a>,
    /// The UIDs of the Services of all addresses that are not free, also of those that have lost the
    /// Lease of the address in their status.
    used: BTreeMap<IpAddr, &'a str>,
    /// The number of addresses that each node holds.
    held: BTreeMap<&'a NodeName, usize>,
    /// The number of refused addresses of each Service by family; true is IPv4.
    refused: BTreeMap<(&'a str, bool), usize>,
    /// The rest of each pool of a family; true is IPv4.
    rest: BTreeMap<(&'a str, bool), Rest<'a>>,
}

/// The addresses of a pool that have not been checked yet.
type Rest<'a> = Peekable<Box<dyn Iterator<Item = IpAddr> + 'a>>;

/// Returns the nodes that load balancers may use. kubeadm excludes the nodes of the control plane, which
/// may be the only ones.
pub(super) fn balancing_nodes<'a>(
    nodes: impl Iterator<Item = (&'a NodeName, &'a NodeInfo)>,
) -> Vec<(&'a NodeName, &'a NodeInfo)> {
    let is_excluded = |info: &NodeInfo| info.labels.contains_key(kubernetes::EXCLUDE_BALANCERS);
    let (excluded, others): (Vec<_>, Vec<_>) = nodes.partition(|(_, info)| is_excluded(info));
    if others.is_empty() { excluded } else { others }
}

impl<'a> Choice<'a> {
    pub(super) fn new(view: View<'a>) -> Self {
        let leases = view.leases.iter().map(|(at, lease)| (*at, lease.owner.uid.as_str()));
        let pending = view.pending.iter().map(|(at, uid)| (*at, uid.as_str()));
        let occupied = view.occupied.iter().map(|at| (*at, ""));
        let (mut held, mut refused) = (BTreeMap::new(), BTreeMap::new());
        for lease in view.leases.values() {
            *held.entry(&lease.assignment.holder).or_default() += 1;
            if lease.is_refused() {
                let key = (lease.owner.uid.as_str(), lease.address().is_ipv4());
                *refused.entry(key).or_default() += 1;
            }
        }
        let nodes = view.nodes.values().flat_map(|info| &info.addresses);
        let nodes = nodes.map(|at| (*at, ""));
        let mut used: BTreeMap<_, _> = nodes.chain(occupied).chain(leases).chain(pending).collect();
        for service in view.services.values().filter(|service| service.wants()) {
            for address in &service.published {
                used.entry(*address).or_insert(&service.uid);
            }
        }
        Self { view, used, held, refused, rest: BTreeMap::new() }
    }

    /// Chooses an address of a family, and its nodes. Returns no nodes if its Lease is being created.
    pub(super) fn address(
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
            Some(&address) => (address, self.nodes_of(self.requested(service, address)?)?),
            None => self.any(service, is_ipv4)?,
        };
        self.used.insert(address, &service.uid);
        Ok((address, Some(nodes)))
    }

    fn nodes_of(&mut self, pool: &Pool) -> Result<Nodes, Problem> {
        let nodes = self.nodes(Some(pool), None);
        nodes.ok_or_else(|| Problem::NoSpeaker { pool: pool.name.clone() })
    }

    /// Returns whether nobody but this Service has or gets the address.
    pub(super) fn is_free_for(&self, address: IpAddr, uid: &str) -> bool {
        !self.view.leases.contains_key(&address)
            && !self.view.pending.contains_key(&address)
            && self.used.get(&address).is_none_or(|user| *user == uid)
    }

    /// Returns the pool of a requested address.
    fn requested(&self, service: &AddressService, address: IpAddr) -> Result<&'a Pool, Problem> {
        let pool = self.pools(service).find(|pool| pool.contains(address));
        let pool =
            pool.ok_or_else(|| Problem::NotInPool { address, namespace: service.key.0.clone() })?;
        match self.view.leases.get(&address) {
            Some(lease) if lease.is_refused() => Err(Problem::conflict(lease, true)),
            Some(_) => Err(Problem::Taken(address)),
            None if self.is_free_for(address, &service.uid) => Ok(pool),
            None => Err(Problem::Taken(address)),
        }
    }

    /// Returns a free address of any pool: if possible, the one that the Service had.
    fn any(&mut self, service: &AddressService, is_ipv4: bool) -> Result<(IpAddr, Nodes), Problem> {
        let refused = self.refused.get(&(service.uid.as_str(), is_ipv4));
        if refused.is_some_and(|count| *count >= MAX_REFUSED) {
            return Err(Problem::ManyConflicts);
        }
        let mut pools: Vec<_> = self.pools(service).collect();
        let mut former = service.published.iter().filter(|address| address.is_ipv4() == is_ipv4);
        if let Some(&address) = former.next()
            && self.is_free_for(address, &service.uid)
            && let Some(pool) = pools.iter().find(|pool| pool.contains(address))
        {
            return Ok((address, self.nodes_of(pool)?));
        }
        pools.retain(|pool| pool.auto_assign && pool.addresses(is_ipv4).next().is_some());
        let mut without_speaker = None;
        for pool in &pools {
            let Some(address) = self.next_free(pool, is_ipv4) else { continue };
            match self.nodes_of(pool) {
                Ok(nodes) => return Ok((address, nodes)),
                Err(problem) => without_speaker = Some(problem),
            }
        }
        if let Some(problem) = without_speaker {
            return Err(problem);
        }
        if pools.is_empty() {
            let namespace = service.key.0.clone();
            return Err(Problem::NoPool { is_ipv4, namespace, unusable: self.unusable() });
        }
        let names = pools.iter().map(|pool| format!("AddressPool {}", pool.name));
        Err(Problem::Exhausted { is_ipv4, pools: names.collect() })
    }

    fn next_free(&mut self, pool: &'a Pool, is_ipv4: bool) -> Option<IpAddr> {
        let all = || {
            let all: Box<dyn Iterator<Item = IpAddr> + 'a> = Box::new(pool.addresses(is_ipv4));
            all.peekable()
        };
        let rest = self.rest.entry((&pool.name, is_ipv4)).or_insert_with(all);
        while rest.next_if(|address| self.used.contains_key(address)).is_some() {}
        rest.peek().copied()
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
            let problem = pool.as_ref().err()?;
            Some(format!("AddressPool {name} cannot be used: {problem}"))
        })
    }

    /// Returns other nodes for an address if its nodes cannot answer for it.
    pub(super) fn other_nodes(&mut self, lease: &AddressLease) -> Option<Nodes> {
        let assignment = &lease.assignment;
        let pool = self.view.pools.values().filter_map(|pool| pool.as_ref().ok());
        let pool = pool.into_iter().find(|pool| pool.contains(lease.address()));
        let standby = assignment.standby.as_ref().filter(|standby| !self.is_down(standby));
        let is_again = lease.is_refused() && self.view.has_passed(REPROPOSAL, lease.acquired);
        if self.view.is_late(assignment.state, lease.acquired)
            || is_again
            || (self.is_down(&assignment.holder) && standby.is_none())
        {
            return self.nodes(pool, Some(&assignment.holder));
        }
        if standby.is_some_and(|standby| *standby != assignment.holder) {
            return None;
        }
        let standby = self.nodes(pool, Some(&assignment.holder))?.holder;
        Some(Nodes { holder: assignment.holder.clone(), standby: Some(standby) })
    }

    fn is_down(&self, node: &NodeName) -> bool {
        matches!(self.view.speakers.get(node), None | Some(Agent::Down { .. }))
    }

    /// Returns the two best nodes of a pool that run a Ready speaker, without `except`.
    fn nodes(&mut self, pool: Option<&Pool>, except: Option<&NodeName>) -> Option<Nodes> {
        let is_ready = |name: &NodeName| self.view.speakers.get(name) == Some(&Agent::Ready);
        let takes = |info: &NodeInfo| pool.is_none_or(|pool| pool.takes_node(&info.labels));
        let ready = self.view.nodes.iter().filter(|(name, info)| is_ready(name) && takes(info));
        let nodes = balancing_nodes(ready).into_iter().filter(|(name, _)| Some(*name) != except);
        let mut ranked: Vec<_> = nodes
            .map(|(name, info)| {
                let is_unavailable = info.availability == Availability::Unavailable;
                (is_unavailable, self.held.get(name).copied().unwrap_or_default(), name)
            })
            .collect();
        ranked.sort_unstable();
        let mut best = ranked.into_iter().map(|(_, _, name)| name);
        let holder = best.next()?;
        *self.held.entry(holder).or_default() += 1;
        Some(Nodes { holder: holder.clone(), standby: best.next().cloned() })
    }
}
