//! The agent's controllers, as a loop without an API server, tasks and clocks.
//!
//! What is real: the decisions (`provision/plan`, `reclaim/plan`, `orphans`), the objects that are
//! written, and all that is done to the disk, down to each call. What mirrors `controller.rs`,
//! `stray.rs` and `upkeep/`: the order in which they ask, decide and act, one thing at a time.

use crate::cluster::{self, Cluster, NODE};
use crate::machine::FaultyMachine;
use fastrak_agent::cluster::{Changed, ClaimState};
use fastrak_agent::facts::volume::{ClaimRef, Volume};
use fastrak_agent::pools::{PoolConfig, Pools, Seen};
use fastrak_agent::provision::plan::{self as provision, Decision, Here, Plan};
use fastrak_agent::provision::pv;
use fastrak_agent::reclaim::orphans::plan::{self as orphans, Verdict};
use fastrak_agent::reclaim::plan::{self as reclaim, Evidence, Interest, Step};
use fastrak_agent::volumes::discard::Parting;
use fastrak_agent::volumes::owner::Owner;
use fastrak_agent::volumes::{Store, VolumeError, Whereabouts, layout};
use fastrak_api::capacity::{Reserve, Terms};
use fastrak_api::claim::Claim;
use fastrak_api::node::NodeName;
use fastrak_api::pool::PoolName;
use fastrak_api::volume::{ReclaimRecord, VolumeId};
use rustix::io::Errno;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The pools, and where they are.
pub(crate) const POOLS: [(&str, &str); 2] = [("near", "/near"), ("far", "/far")];

/// The cluster of the node.
const CLUSTER: &str = "00000000-0000-4000-a000-000000000000";

/// How long a directory without an owner is left alone.
pub(crate) const GRACE: Duration = Duration::from_secs(60);

/// A few things are removed at once, so that the trash needs several steps.
const BUDGET: usize = 5;

/// How much of a pool the trash may hold.
const PERCENT: u8 = 25;

/// One process of the agent.
pub(crate) struct Agent {
    pub(crate) machine: FaultyMachine,
    pub(crate) store: Store,
    node: NodeName,
    pools: Vec<PoolName>,
    // What its watches have shown it.
    pub(crate) facts: Cluster,
    strays: BTreeMap<VolumeId, Duration>,
}

/// What the agent has decided and done that a witness should know of.
#[derive(Default)]
pub(crate) struct Witness {
    /// Volumes whose data a plan has let go.
    pub(crate) let_go: BTreeSet<VolumeId>,
    /// What was wrong at the moment at which it was done.
    pub(crate) problems: Vec<String>,
}

/// It could not be done this time.
#[derive(Debug)]
pub(crate) enum Stop {
    Volume,
    Api,
    Changed,
}

pub(crate) type Done = Result<(), Stop>;

impl From<Errno> for Stop {
    fn from(_: Errno) -> Self {
        Self::Api
    }
}

impl From<VolumeError> for Stop {
    fn from(_: VolumeError) -> Self {
        Self::Volume
    }
}

impl Agent {
    /// One that has done nothing yet.
    pub(crate) fn new(machine: &FaultyMachine, cluster: &Cluster) -> Self {
        let node = NodeName::parse(NODE).expect("a name");
        let pools: Vec<_> =
            POOLS.iter().map(|(name, _)| PoolName::parse(name).expect("a name")).collect();
        let configs = POOLS.iter().zip(&pools).map(|((_, path), name)| PoolConfig {
            name: name.clone(),
            path: PathBuf::from(path),
            require_mount: false,
            terms: Terms { reserve: Reserve::Percent(0), ..Terms::default() },
        });
        let configs = configs.collect();
        let pools_of_node = Pools::new(Arc::new(machine.clone()), node.clone(), configs);
        pools_of_node.set_seen(Seen { cluster: CLUSTER.to_owned(), ..Seen::default() });
        let store = Store::new(Arc::new(pools_of_node));
        let facts = cluster.clone();
        let strays = BTreeMap::new();
        Self { machine: machine.clone(), store, node, pools, facts, strays }
    }

    /// Starts one. Nothing else is done before its first look at the pools.
    pub(crate) fn start(machine: &FaultyMachine, cluster: &Cluster) -> Self {
        let mut agent = Self::new(machine, cluster);
        agent.look();
        agent
    }

    /// Its watches show it what there is.
    pub(crate) fn see(&mut self, cluster: &Cluster) {
        if self.facts.version != cluster.version {
            self.facts = cluster.clone();
        }
    }

    /// Whether it waits for time to pass.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.strays.is_empty()
    }

    /// `upkeep/pools.rs`.
    pub(crate) fn look(&mut self) {
        let volumes = self.facts.volumes.values();
        let ours = volumes.filter(|volume| volume.is_ours() && volume.finalizer().is_some());
        let in_use = ours.filter_map(|volume| volume.pool_label.clone()).collect();
        let cluster = CLUSTER.to_owned();
        self.store.pools().set_seen(Seen { cluster, in_use, adopt: None });
        self.store.pools().look();
    }

    /// `upkeep/scan.rs`: the directories without an owner.
    pub(crate) fn scan(&mut self) -> Vec<VolumeId> {
        let contents = self.store.survey().into_iter();
        let mut found: Vec<_> = contents.flat_map(|content| content.volumes).collect();
        found.sort();
        found.retain(|id| {
            !self.facts.claims.contains_key(id) && !self.facts.volumes.contains_key(id)
        });
        found
    }

    /// `upkeep/trash.rs`.
    pub(crate) fn empty_trash(&mut self, now: Duration) {
        self.store.sort_trash(PERCENT, seconds(now));
        let mut stuck: BTreeSet<OsString> = BTreeSet::new();
        loop {
            let mut more = false;
            for state in self.store.empty_trash(BUDGET, &stuck) {
                more |= state.more;
                stuck.extend(state.stuck.into_iter().map(|(name, _)| name));
            }
            if !more {
                return;
            }
        }
    }

    /// All volumes that it knows of.
    pub(crate) fn known(&self) -> Vec<VolumeId> {
        let mut known: Vec<_> = self.facts.claims.keys().chain(self.facts.volumes.keys()).collect();
        known.sort();
        known.dedup();
        known.into_iter().cloned().collect()
    }

    /// `worker.rs`.
    pub(crate) fn tend(
        &mut self,
        id: &VolumeId,
        (cluster, witness, now): (&mut Cluster, &mut Witness, Duration),
    ) -> Done {
        let (claim, volume) = (self.facts.claims.get(id).cloned(), self.facts.volume(id));
        let stray = self.strays.remove(id);
        if let Some(volume) = &volume {
            match reclaim::interest(volume, &self.node.key()) {
                Interest::NotOurs => {}
                Interest::InUse => {
                    self.note_owner(id, volume)?;
                    return self.expand(id, volume, cluster);
                }
                Interest::Keep => {
                    self.note_owner(id, volume)?;
                    self.record_keep(id)?;
                    return self.expand(id, volume, cluster);
                }
                Interest::Ending => return self.end(id, volume, (cluster, witness, now)),
            }
        }
        match claim {
            Some(claim) => self.provision(&claim, (cluster, witness)),
            None => {
                let done = self.tend_stray(id, stray, (cluster, witness, now));
                if let (Err(_), Some(since)) = (&done, stray) {
                    self.strays.insert(id.clone(), since);
                }
                done
            }
        }
    }

    /// `provision/controller.rs`.
    fn provision(&self, claim: &Claim, (cluster, witness): (&mut Cluster, &mut Witness)) -> Done {
        let here = Here { node: &self.node, hostname: Some("host-a"), pools: &self.pools };
        let class = claim.class_name().and_then(cluster::class);
        let Decision::Make(plan) = provision::plan(claim, class.as_ref(), &here) else {
            return Ok(());
        };
        if let Some(Ok(wish)) = &claim.wish {
            return self.restore((claim, &plan, wish), (cluster, witness));
        }
        let (made, _) = self.store.ensure(&plan.order)?;
        let object = Volume::read(&pv::object(&plan, &made));
        let id = &plan.order.identity.volume;
        let created = self.machine.ask(|| {
            let created = cluster.create(id, object);
            if created {
                self.witness_publication(&plan, witness);
            }
            created
        })?;
        if created {
            return Ok(());
        }
        match self.machine.ask(|| cluster.volume(id))? {
            Some(existing) if pv::is_the_same(&existing, &plan, &made) => Ok(()),
            _ => Err(Stop::Changed),
        }
    }

    /// Whatever happens from now on, the volume must be there: also when the power fails at once.
    fn witness_publication(&self, plan: &Plan, witness: &mut Witness) {
        let state = self.machine.state();
        let (id, mode) = (&plan.order.identity.volume, plan.order.mode.0);
        let place = PathBuf::from("/").join(plan.order.pools[0].as_str());
        if let Err(problem) = state.durable_volume(&place, id, mode) {
            witness.problems.push(format!("{id} is published, and on the disk {problem}"));
        }
    }

    /// `reclaim/controller.rs`, and so are the next four.
    fn record_keep(&self, id: &VolumeId) -> Done {
        if let Whereabouts::Here(pool, identity) = self.store.find(id)?
            && identity.reclaim_policy == ReclaimRecord::Delete
        {
            self.store.keep(&pool, id)?;
        }
        Ok(())
    }

    fn end(
        &self,
        id: &VolumeId,
        _: &Volume,
        (cluster, witness, now): (&mut Cluster, &mut Witness, Duration),
    ) -> Done {
        let Some(live) = self.machine.ask(|| cluster.volume(id))? else { return Ok(()) };
        if reclaim::interest(&live, &self.node.key()) != Interest::Ending {
            return Ok(());
        }
        let claim = match &live.claim {
            Some(claim) => self.machine.ask(|| cluster.claim(claim))?,
            None => ClaimState::Gone,
        };
        let data = self.store.find(id)?;
        let recorded = self.recorded(&live, &data, cluster)?;
        let evidence = Evidence { claim, recorded, data, mounted: self.store.is_mounted(id) };
        let step = reclaim::decide(&live, id, &evidence);
        let owner = live.claim.as_ref().and_then(ClaimRef::owner);
        match &step {
            Step::Wait(_) => return Ok(()),
            Step::LetGo => return self.finalize(id, &live, cluster),
            Step::Keep(pool) => {
                self.store.keep(pool, id)?;
                return self.finalize(id, &live, cluster);
            }
            Step::Trash(_) | Step::Finish | Step::FinishMissing => {}
        }
        let marked = if live.deleting {
            Some(live)
        } else {
            match self.machine.ask(|| cluster.delete(id, &live))? {
                Changed::Done(marked) => Some(*marked),
                Changed::Conflict => return Err(Stop::Changed),
                Changed::Gone => None,
            }
        };
        if let Step::Trash(pool) = &step {
            witness.let_go.insert(id.clone());
            self.store.discard(pool, id, &Parting { owner, namespace_uid: None, now: seconds(now) })?;
        } else {
            self.store.settle()?;
        }
        match marked {
            Some(marked) => self.finalize(id, &marked, cluster),
            None => Ok(()),
        }
    }

    fn recorded(
        &self,
        live: &Volume,
        data: &Whereabouts,
        cluster: &Cluster,
    ) -> Result<Option<String>, Stop> {
        let Whereabouts::Here(pool, identity) = data else { return Ok(None) };
        let named = live.claim.as_ref().and_then(|claim| claim.uid.clone());
        for owner in [Some(Owner::first(identity)), self.store.owner(pool, &identity.volume)?] {
            let Some(owner) = owner.filter(|owner| Some(&owner.uid) != named.as_ref()) else {
                continue;
            };
            let name = owner.claim.clone();
            if self.machine.ask(|| cluster.claim(&owner.into()))? != ClaimState::Gone {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    fn finalize(&self, id: &VolumeId, volume: &Volume, cluster: &mut Cluster) -> Done {
        self.machine.ask(|| cluster.finalize(id, volume))?;
        Ok(())
    }

    /// `reclaim/orphans/controller.rs`.
    fn tend_stray(
        &mut self,
        id: &VolumeId,
        since: Option<Duration>,
        (cluster, witness, now): (&mut Cluster, &mut Witness, Duration),
    ) -> Done {
        let Whereabouts::Here(pool, identity) = self.store.find(id)? else { return Ok(()) };
        // As the scan does for all of them.
        let at = |volume: &Volume| {
            let path = volume.path.as_deref().unwrap_or_default();
            layout::is_data_path(path.as_bytes(), id)
        };
        if self.machine.ask(|| cluster.volumes.values().any(at))? {
            return Ok(());
        }
        let contents = self.store.contents(&pool, std::slice::from_ref(id))?;
        let Some((_, content)) = contents.into_iter().next() else { return Ok(()) };
        let mut claims = ClaimState::Gone;
        for owner in [Some(Owner::first(&identity)), self.store.owner(&pool, id)?] {
            if let (Some(owner), ClaimState::Gone) = (owner, claims) {
                claims = self.machine.ask(|| cluster.claim(&owner.into()))?;
            }
        }
        let has_volume = self.machine.ask(|| cluster.volume(id))?.is_some();
        let mounted = self.store.is_mounted(id);
        let evidence = orphans::Evidence { content, has_volume, claims, mounted };
        let seen = since.map(|since| now.saturating_sub(since));
        match orphans::decide(&evidence, seen, GRACE, None) {
            Verdict::Owned | Verdict::Keep(_) => {}
            Verdict::LookAgain(_) => {
                self.strays.insert(id.clone(), since.unwrap_or(now));
            }
            Verdict::Trash => {
                witness.let_go.insert(id.clone());
                self.store.discard_orphan(&pool, id, None, seconds(now))?;
            }
        }
        Ok(())
    }
}

/// The time, as clocks tell it.
pub(crate) fn seconds(now: Duration) -> i64 {
    1_800_000_000 + i64::try_from(now.as_secs()).expect("not that late")
}
