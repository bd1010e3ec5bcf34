//! Finds out what volumes hold and tells it: as metrics, and slowly on the objects of the volumes.
//!
//! Where the kernel counts, it is asked. Elsewhere files are counted one by one, in short steps with
//! long rests, so that pods that use the same disk do not feel it: then the figures are as old as a
//! round takes.

use crate::context::Context;
use crate::facts::volume::Volume;
use crate::host::measure::{Count, Size};
use crate::metrics::room::OfVolume;
use crate::volumes::ledger::{Grant, Held};
use crate::volumes::usage::{Look, Standing};
use crate::volumes::{Store, VolumeError};
use fastrak_api::pool::PoolName;
use fastrak_api::volume::VolumeId;
use fastrak_runtime::chain::Chain;
use fastrak_runtime::shutdown::Shutdown;
use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a step of a count works before it rests.
const WORK: Duration = Duration::from_millis(5);
/// How much longer than it worked it rests.
const REST: u32 = 9;
/// However long one look at the disk has taken.
const LONGEST_REST: Duration = Duration::from_secs(10);
/// On an object no figure is written sooner again: each is a write that every watcher sees.
const ON_OBJECTS: Duration = Duration::from_secs(10 * 60);

/// What was done between two rests.
struct Spell {
    /// How many volumes were looked into.
    done: usize,
    /// The count of the last of them, where there was not the time for all of it.
    begun: Option<(VolumeId, Count)>,
    took: Duration,
}

/// When something was last written on each object.
#[derive(Default)]
struct Written {
    by_volume: HashMap<VolumeId, Instant>,
}

/// Looks at all volumes at intervals until shutdown is requested.
pub async fn run(
    context: Arc<Context>,
    interval: Duration,
    shutdown: Shutdown,
) -> Result<(), Infallible> {
    let mut written = Written::default();
    loop {
        let look = async {
            round(&context, &mut written).await;
            tokio::time::sleep(interval).await;
        };
        tokio::select! {
            biased;
            () = shutdown.requested() => return Ok(()),
            () = look => {}
        }
    }
}

async fn round(context: &Context, written: &mut Written) {
    for standing in standings(context).await {
        let ids = standing.grants.into_iter().map(|(id, _)| id).collect();
        look(context, &standing.pool, ids).await;
    }
    let standings = standings(context).await;
    tell(context, &standings);
    written.forget(&standings);
    for standing in &standings {
        for (id, grant) in &standing.grants {
            annotate(context, written, (id, grant)).await;
        }
    }
    // What was found out may make room.
    context.wake_waiting();
}

async fn standings(context: &Context) -> Vec<Standing> {
    match context.on_disk(|store| Ok(store.standings())).await {
        Ok(standings) => standings,
        Err(error) => {
            tracing::warn!(error = %Chain(&error), "could not see how the pools stand");
            Vec::new()
        }
    }
}

/// Looks into these volumes, with a rest whenever it has worked for a while.
async fn look(context: &Context, pool: &PoolName, ids: Vec<VolumeId>) {
    let (ids, mut done) = (Arc::<[VolumeId]>::from(ids), 0);
    while done < ids.len() {
        let (name, all) = (pool.clone(), Arc::clone(&ids));
        let spell = match context.on_disk(move |store| work(store, &name, &all[done..])).await {
            Ok(spell) => spell,
            Err(error) => {
                tracing::debug!(%pool, error = %Chain(&error), "cannot see what volumes hold");
                return;
            }
        };
        done += spell.done;
        rest(spell.took).await;
        if let Some((id, begun)) = spell.begun {
            count(context, (pool, &id), begun).await;
        }
    }
}

/// Works for a while. Most volumes have few files, and many of those are counted in it.
fn work(store: &Store, pool: &PoolName, ids: &[VolumeId]) -> Result<Spell, VolumeError> {
    let start = Instant::now();
    let (mut done, mut begun) = (0, None);
    store.look_into_each(pool, ids, |id, look| {
        done += 1;
        match look {
            Ok(Look::Count(mut count)) => {
                match count.step(WORK.saturating_sub(start.elapsed()).into()) {
                    Some(size) => store.note_usage(pool, id, held(size)),
                    None => begun = Some((id.clone(), count)),
                }
            }
            Ok(Look::Told | Look::Gone) => {}
            Err(error) => {
                let volume = id.volume_name();
                tracing::debug!(volume, error = %Chain(&error), "cannot see what a volume holds");
            }
        }
        begun.is_none() && start.elapsed() < WORK
    })?;
    Ok(Spell { done, begun, took: start.elapsed() })
}

async fn rest(worked: Duration) {
    tokio::time::sleep((worked * REST).min(LONGEST_REST)).await;
}

const fn held(size: Size) -> Held {
    Held { bytes: size.bytes, inodes: Some(size.inodes) }
}

async fn count(context: &Context, (pool, id): (&PoolName, &VolumeId), mut count: Count) {
    loop {
        let step = move |_: &Store| {
            let start = Instant::now();
            let size = count.step(WORK.into());
            Ok((count, size, start.elapsed()))
        };
        let Ok((begun, size, worked)) = context.on_disk(step).await else { return };
        if let Some(size) = size {
            return context.store.note_usage(pool, id, held(size));
        }
        count = begun;
        rest(worked).await;
    }
}

fn tell(context: &Context, standings: &[Standing]) {
    let mut volumes = Vec::new();
    for Standing { pool, room, grants } in standings {
        context.metrics.room.set_pool(pool, room);
        volumes.extend(grants.iter().filter_map(|(id, grant)| of_volume(context, pool, id, grant)));
    }
    context.metrics.room.set_volumes(volumes);
}

fn of_volume(context: &Context, pool: &PoolName, id: &VolumeId, grant: &Grant) -> Option<OfVolume> {
    let claim = context.facts.about(id).volume?.claim?;
    Some(OfVolume {
        pool: pool.clone(),
        claim: (claim.namespace, claim.name),
        granted: grant.bytes,
        used: grant.usage.map(|held| held.bytes),
        inodes: grant.usage.and_then(|held| held.inodes),
    })
}

async fn annotate(context: &Context, written: &mut Written, (id, grant): (&VolumeId, &Grant)) {
    let Some(held) = grant.usage else { return };
    let Some(volume) = context.facts.about(id).volume.filter(Volume::is_ours) else { return };
    if volume.deleting || !written.is_due(id, &volume, held.bytes) {
        return;
    }
    match context.cluster.note_used(&volume, held.bytes).await {
        Ok(()) => written.set(id),
        Err(error) => {
            tracing::debug!(volume = volume.name, error = %Chain(&error), "figure not written");
        }
    }
}

impl Written {
    /// Whether a figure is to be written: one that differs by a twentieth from the one that is there.
    fn is_due(&self, id: &VolumeId, volume: &Volume, bytes: u64) -> bool {
        if self.by_volume.get(id).is_some_and(|at| at.elapsed() < ON_OBJECTS) {
            return false;
        }
        let shown: Option<u64> = volume.used.as_deref().and_then(|text| text.parse().ok());
        shown.is_none_or(|shown| shown.abs_diff(bytes) > shown / 20)
    }

    fn set(&mut self, id: &VolumeId) {
        self.by_volume.insert(id.clone(), Instant::now());
    }

    fn forget(&mut self, standings: &[Standing]) {
        let known: std::collections::HashSet<_> =
            standings.iter().flat_map(|standing| &standing.grants).map(|(id, _)| id).collect();
        self.by_volume.retain(|id, _| known.contains(id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_written_when_it_has_changed_and_not_too_often() {
        let id = VolumeId::parse("0b0a3a2e-0d6c-4f5f-9e57-3c2f1d2b4a59").unwrap();
        let shows =
            |text: Option<&str>| Volume { used: text.map(str::to_owned), ..Volume::default() };
        let mut written = Written::default();
        assert!(written.is_due(&id, &shows(None), 0));
        assert!(written.is_due(&id, &shows(Some("not a number")), 0));
        assert!(!written.is_due(&id, &shows(Some("1000")), 1050));
        assert!(written.is_due(&id, &shows(Some("1000")), 1051));
        assert!(written.is_due(&id, &shows(Some("1000")), 900));
        written.set(&id);
        assert!(!written.is_due(&id, &shows(Some("900")), 10));
        written.forget(&[]);
        assert!(written.is_due(&id, &shows(Some("900")), 10));
    }
}
