//! The part of the agent that gives a claim a volume which was there before: mirrors
//! `restore/controller.rs`, as `agent.rs` does the rest. The decisions and the disk are real.

use crate::agent::{Agent, Done, Stop, Witness};
use crate::cluster::{Cluster, NAMESPACE_CREATED};
use fastrak_agent::cluster::{Changed, ClaimState};
use fastrak_agent::facts::volume::{ClaimRef, Volume};
use fastrak_agent::provision::plan::Plan;
use fastrak_agent::provision::pv;
use fastrak_agent::restore::plan::{self, Ask, Evidence, Step, Way};
use fastrak_agent::restore::publish;
use fastrak_agent::volumes::Whereabouts;
use fastrak_agent::volumes::back::{Found, Known};
use fastrak_agent::volumes::import::Import;
use fastrak_agent::volumes::owner::Owner;
use fastrak_api::claim::{Claim, Wish};
use fastrak_api::pool::PoolName;
use fastrak_api::volume::{Identity, LimitRecord, ReclaimRecord, VolumeId};
use std::ffi::OsString;
use std::path::PathBuf;

/// The folder of another provisioner, on the disk of the first pool.
pub(crate) const LEFT: &str = "/near/left";

impl Agent {
    pub(crate) fn restore(
        &self,
        (claim, plan, wish): (&Claim, &Plan, &Wish),
        (cluster, witness): (&mut Cluster, &mut Witness),
    ) -> Done {
        let (id, way) = match wish {
            Wish::Undelete(id) => (id, Way::Undelete),
            Wish::Adopt(id) => (id, Way::Adopt),
            Wish::Import(name) => return self.import(plan, name, (cluster, witness)),
        };
        let ask = Ask { claim, plan, id, way };
        match plan::decide(&ask, &self.gather(&ask, cluster)?) {
            Step::Done | Step::Wait(_) | Step::Refuse(_) => Ok(()),
            Step::Publish(known) => self.publish(&ask, &known, (cluster, witness)),
            Step::Repoint(known, volume) => {
                self.bring_back(&ask, &known)?;
                let owner = owner(&ask);
                match self.machine.ask(|| cluster.repoint(id, &volume, owner.into()))? {
                    Changed::Done(_) => Ok(()),
                    Changed::Conflict | Changed::Gone => Err(Stop::Changed),
                }
            }
        }
    }

    /// `restore/import/controller.rs`, from where it is decided that the claim may have it.
    fn import(
        &self,
        plan: &Plan,
        name: &str,
        (cluster, witness): (&mut Cluster, &mut Witness),
    ) -> Done {
        let identity = Identity {
            reclaim_policy: ReclaimRecord::Retain,
            limit: LimitRecord::None,
            ..plan.order.identity.clone()
        };
        let id = identity.volume.clone();
        let made = match self.store.imported(&id)? {
            Some(made) => made,
            None => self.store.import(&Import {
                identity: identity.clone(),
                pools: plan.order.pools.clone(),
                from: PathBuf::from(LEFT),
                name: OsString::from(name),
                volume: name.to_owned(),
            })?,
        };
        let mut plan = plan.clone();
        plan.order.identity = identity;
        let object = Volume::read(&pv::object(&plan, &made));
        self.machine.ask(|| {
            if cluster.create(&id, object) {
                self.witness_durable(&made.pool, &id, witness);
            }
        })?;
        Ok(())
    }

    fn gather(&self, ask: &Ask<'_>, cluster: &Cluster) -> Result<Evidence, Stop> {
        let data = self.store.search(ask.id)?;
        let volume = self.machine.ask(|| cluster.volume(ask.id))?;
        let (mut claims, mut namespace_created) = (ClaimState::Gone, None);
        if let Found::Known(known) = &data {
            claims = self.claims(&plan::others(ask, known), cluster)?;
            namespace_created = Some(self.machine.ask(|| NAMESPACE_CREATED)?);
        }
        let mounted = self.store.is_mounted(ask.id);
        Ok(Evidence { data, volume, claims, namespace_created, mounted })
    }

    fn claims(&self, owners: &[Owner], cluster: &Cluster) -> Result<ClaimState, Stop> {
        for owner in owners {
            let state = self.machine.ask(|| cluster.claim(&owner.clone().into()))?;
            if state != ClaimState::Gone {
                return Ok(state);
            }
        }
        Ok(ClaimState::Gone)
    }

    fn publish(
        &self,
        ask: &Ask<'_>,
        known: &Known,
        (cluster, witness): (&mut Cluster, &mut Witness),
    ) -> Done {
        let made = self.store.bring_back(&known.pool, ask.id, &owner(ask))?;
        let object = Volume::read(&publish::object(ask.plan, known, &made, ask.claim));
        let created = self.machine.ask(|| {
            let created = cluster.create(ask.id, object);
            if created {
                // From now on it is a claim's again, and has to be let go anew.
                witness.let_go.remove(ask.id);
                self.witness_durable(&known.pool, ask.id, witness);
            }
            created
        })?;
        if created { Ok(()) } else { Err(Stop::Changed) }
    }

    fn bring_back(&self, ask: &Ask<'_>, known: &Known) -> Done {
        self.store.bring_back(&known.pool, ask.id, &owner(ask))?;
        Ok(())
    }

    /// `reclaim/controller.rs`: whose the volume is, where it was given to another claim.
    pub(crate) fn note_owner(&self, id: &VolumeId, volume: &Volume) -> Done {
        let owner = volume.claim.as_ref().and_then(ClaimRef::owner);
        let Some(owner) = owner.filter(|owner| owner.uid != id.as_str()) else { return Ok(()) };
        if let Whereabouts::Here(pool, _) = self.store.find(id)? {
            self.store.note_owner(&pool, id, &owner)?;
        }
        Ok(())
    }

    /// `reclaim/stray.rs`: the claim that has a volume last, where it is another than the first.
    pub(crate) fn last_claim(&self, id: &VolumeId, first: ClaimRef) -> Result<ClaimRef, Stop> {
        Ok(match self.store.search(id)? {
            Found::Known(known) if known.owner.uid != id.as_str() => known.owner.into(),
            _ => first,
        })
    }

    /// Room is needed in the first pool.
    pub(crate) fn give_way(&self, now: i64) {
        let pool = PoolName::parse("near").expect("a name");
        drop(self.store.give_way(&pool, (1, "other"), now));
    }

    /// Whatever happens from now on, the volume must be there: also when the power fails at once.
    fn witness_durable(&self, pool: &PoolName, id: &VolumeId, witness: &mut Witness) {
        let place = PathBuf::from("/").join(pool.as_str());
        if let Err(problem) = self.machine.state().durable_volume(&place, id, 0o777) {
            witness.problems.push(format!("{id} is given, and on the disk {problem}"));
        }
    }
}

fn owner(ask: &Ask<'_>) -> Owner {
    let uid = ask.plan.order.identity.volume.to_string();
    Owner { namespace: ask.claim.namespace.clone(), claim: ask.claim.name.clone(), uid }
}
