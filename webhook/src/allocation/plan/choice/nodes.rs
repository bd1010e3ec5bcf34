//! Chooses the nodes that answer for an address.

use super::Choice;
use crate::allocation::lease::{AddressLease, Nodes};
use crate::allocation::plan::{Problem, REPROPOSAL, Step};
use crate::allocation::service::Key;
use fastrak_admission::snapshot::agent::Agent;
use fastrak_admission::snapshot::{Availability, NodeInfo};
use fastrak_api::address_pool::Pool;
use fastrak_api::assignment::{Assignment, State};
use fastrak_api::names::kubernetes;
use fastrak_api::node::NodeName;
use std::collections::BTreeSet;

/// Returns the nodes that load balancers may use. kubeadm excludes the nodes of the control plane, which
/// may be the only ones.
pub(in super::super) fn balancing_nodes<'a>(
    nodes: impl Iterator<Item = (&'a NodeName, &'a NodeInfo)>,
) -> Vec<(&'a NodeName, &'a NodeInfo)> {
    let is_excluded = |info: &NodeInfo| info.labels.contains_key(kubernetes::EXCLUDE_BALANCERS);
    let (excluded, others): (Vec<_>, Vec<_>) = nodes.partition(|(_, info)| is_excluded(info));
    if others.is_empty() { excluded } else { others }
}

impl<'a> Choice<'a> {
    /// Returns the step that moves an address, proposes it again to its holder, or replaces its standby.
    pub(in super::super) fn reassignment(&mut self, lease: &AddressLease) -> Option<Step> {
        let assign =
            |nodes, is_proposal| Step::Assign { lease: lease.clone().into(), nodes, is_proposal };
        let Assignment { holder, standby, state, .. } = &lease.assignment;
        let (pool, local) = (self.pool_of(lease), self.local_nodes(lease));
        let standby = standby.as_ref().filter(|standby| !self.is_down(standby));
        let is_again = lease.is_refused() && self.view.has_passed(REPROPOSAL, lease.acquired);
        let is_removed = !self.view.nodes.contains_key(holder);
        if self.view.is_late(*state, lease.acquired)
            || is_again
            || is_removed
            || (self.is_down(holder) && standby.is_none())
            || (*state == State::Accepted && self.has_better(pool, holder, None, &local))
        {
            let other = self.nodes(pool, Some(holder), &local);
            // From a node without pods of the Service, the address would come back.
            let stays_local = !self.is_down(holder) && local.contains(holder);
            let other = other.filter(|other| !stays_local || local.contains(&other.holder));
            let again = || Nodes { holder: holder.clone(), standby: standby.cloned() };
            let again = (is_again && !self.is_down(holder)).then(again);
            return other.or(again).map(|nodes| assign(nodes, true));
        }
        let is_kept = standby.is_some_and(|standby| {
            standby != holder && !self.has_better(pool, standby, Some(holder), &local)
        });
        if is_kept {
            return None;
        }
        let standby = self.nodes(pool, Some(holder), &local)?.holder;
        Some(assign(Nodes { holder: holder.clone(), standby: Some(standby) }, false))
    }

    /// Returns the problem of a Service whose pods no node that answers for its address runs.
    pub(in super::super) fn without_pod(&self, lease: &AddressLease) -> Option<(Key, Problem)> {
        let local = self.local_nodes(lease);
        let Assignment { holder, state, .. } = &lease.assignment;
        let is_unreachable = *state == State::Accepted
            && !local.is_empty()
            && !local.contains(holder)
            && !self.has_better(self.pool_of(lease), holder, None, &local);
        let problem = || Problem::WithoutPod { address: lease.address(), node: holder.clone() };
        is_unreachable.then(|| (lease.owner.key.clone(), problem()))
    }

    fn pool_of(&self, lease: &AddressLease) -> Option<&'a Pool> {
        // One that cannot be used any more still selects the nodes.
        let usable = self.view.pools.values().filter_map(|pool| pool.as_ref().ok());
        let unusable =
            self.view.pools.values().filter_map(|pool| pool.as_ref().err()?.pool.as_ref());
        usable.chain(unusable).find(|pool| pool.contains(lease.address()))
    }

    /// Returns the nodes that run pods of the Service of a Lease, if only they can serve it.
    fn local_nodes(&self, lease: &AddressLease) -> BTreeSet<&'a NodeName> {
        let service = self.view.owner(&lease.owner);
        service.and_then(|service| self.view.local_nodes(service)).unwrap_or_default()
    }

    /// Returns whether a node runs no pod of the Service and another one does.
    fn has_better(
        &self,
        pool: Option<&Pool>,
        node: &NodeName,
        except: Option<&NodeName>,
        local: &BTreeSet<&NodeName>,
    ) -> bool {
        let is_better = |name: &NodeName| Some(name) != except && local.contains(name);
        !local.is_empty()
            && !local.contains(node)
            && self.pool_nodes(pool, &Agent::Ready).iter().any(|(name, _)| is_better(name))
    }

    fn is_down(&self, node: &NodeName) -> bool {
        matches!(self.view.speakers.get(node), None | Some(Agent::Down { .. }))
    }

    /// Returns the nodes of a pool whose speaker is in this state.
    pub(super) fn pool_nodes(
        &self,
        pool: Option<&Pool>,
        speaker: &Agent,
    ) -> Vec<(&'a NodeName, &'a NodeInfo)> {
        let has = |name: &NodeName| self.view.speakers.get(name) == Some(speaker);
        let takes = |info: &NodeInfo| pool.is_none_or(|pool| pool.takes_node(&info.labels));
        balancing_nodes(self.view.nodes.iter().filter(|(name, info)| has(name) && takes(info)))
    }

    /// Returns the two best of these nodes, without `except`. The best run pods of the Service.
    pub(super) fn nodes(
        &mut self,
        pool: Option<&Pool>,
        except: Option<&NodeName>,
        local: &BTreeSet<&NodeName>,
    ) -> Option<Nodes> {
        let nodes = self
            .pool_nodes(pool, &Agent::Ready)
            .into_iter()
            .filter(|(name, _)| Some(*name) != except);
        let mut ranked: Vec<_> = nodes
            .map(|(name, info)| {
                let is_unavailable = info.availability == Availability::Unavailable;
                let count = self.held.get(name).copied().unwrap_or_default();
                (!local.contains(name), is_unavailable, count, name)
            })
            .collect();
        ranked.sort_unstable();
        let mut best = ranked.into_iter().map(|(_, _, _, name)| name);
        let holder = best.next()?;
        *self.held.entry(holder).or_default() += 1;
        Some(Nodes { holder: holder.clone(), standby: best.next().cloned() })
    }
}
