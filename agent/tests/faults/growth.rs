//! The part of the agent that lets volumes grow: mirrors `expand/controller.rs`, as `agent.rs` does the
//! rest; and what must be true of sizes whatever goes wrong. The decisions and the disk are real.

use crate::agent::{Agent, Done, Stop};
use crate::cluster::Cluster;
use crate::disk::Ino;
use crate::machine::{LIMIT, State};
use fastrak_agent::cluster::Changed;
use fastrak_agent::expand::plan::{self, Step};
use fastrak_agent::facts::volume::Volume;
use fastrak_agent::volumes::Whereabouts;
use fastrak_api::claim::Claim;
use fastrak_api::size::Bytes;
use fastrak_api::volume::{Identity, LimitRecord, VolumeId};

impl Agent {
    pub(crate) fn expand(&self, id: &VolumeId, volume: &Volume, cluster: &mut Cluster) -> Done {
        let uid = volume.claim.as_ref().and_then(|claim| claim.uid.as_deref());
        let Some(of) = uid.and_then(|uid| VolumeId::parse(uid).ok()) else { return Ok(()) };
        let Some(claim) = self.facts.claims.get(&of) else { return Ok(()) };
        let growth = self.facts.growths.get(&of).cloned().unwrap_or_default();
        match plan::plan(claim, &growth, volume) {
            Step::Nothing => Ok(()),
            Step::Tell { size } => self.tell(claim, &size, cluster),
            Step::Grow { bytes, size } => {
                let Whereabouts::Here(pool, _) = self.store.find(id)? else {
                    return Err(Stop::Volume);
                };
                self.store.grow(&pool, id, bytes)?;
                match self.machine.ask(|| cluster.resize(id, volume, &size))? {
                    Changed::Done(_) => self.tell(claim, &size, cluster),
                    Changed::Conflict | Changed::Gone => Err(Stop::Changed),
                }
            }
        }
    }

    fn tell(&self, claim: &Claim, size: &str, cluster: &mut Cluster) -> Done {
        self.machine.ask(|| cluster.tell(claim, size))?;
        Ok(())
    }
}

/// What is wrong with the size of a claim that is bound: everything must say the same of it, and a disk that
/// holds volumes to their size must hold it to just that.
pub(crate) fn problem(
    (of, claim): (&VolumeId, &Claim),
    (cluster, volume): (&Cluster, &Volume),
    (state, data, record): (&State, Ino, &Identity),
) -> Option<String> {
    let shown = cluster.growths.get(of).and_then(|growth| growth.shown.clone());
    let [asks, has, shows] = [&claim.storage, &volume.capacity, &shown].map(|size| {
        let size = size.as_deref().and_then(|text| Bytes::parse(text).ok());
        size.map_or(0, |size| size.0)
    });
    // What somebody has let go does not grow any more.
    if (has < asks && !volume.deleting) || shows != has || record.bytes != has {
        let is = record.bytes;
        return Some(format!("{of} asks for {asks}, has {has}, shows {shows}, and is {is}"));
    }
    // Projects have their own look.
    let limit = state.disk.see(data).tags.get(LIMIT);
    let held = record.limit != LimitRecord::Subvolume
        || limit.is_some_and(|limit| *limit == record.bytes.to_le_bytes());
    (!held).then(|| format!("{of} is {has}, and is held to {limit:?}"))
}
