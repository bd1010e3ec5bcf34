//! Looks at a volume for which neither a claim nor an object has been seen: usually there is nothing
//! left of it, sometimes a directory.
//!
//! Decided in `orphans.rs`; here the API server is asked and the verdict carried out.

use super::orphans::{self, Evidence, Verdict};
use crate::cluster::{ClaimState, ClusterError};
use crate::context::{Context, Outcome};
use crate::facts::volume::ClaimRef;
use crate::metrics::{Delete, OfPool};
use crate::pace::Pace;
use crate::volumes::back::Found;
use crate::volumes::discard::Parting;
use crate::volumes::owner::Owner;
use crate::volumes::{VolumeError, Whereabouts, layout};
use fastrak_api::pool::PoolName;
use fastrak_api::volume::VolumeId;
use fastrak_runtime::chain::Chain;

/// A directory without an owner could not be dealt with this time.
#[derive(Debug, thiserror::Error)]
enum StrayError {
    #[error("the directory could not be looked at or moved")]
    Volume(#[source] VolumeError),
    #[error("the API server could not be asked for its owner")]
    Cluster(#[source] ClusterError),
}

/// Looks at a volume that has neither claim nor object.
pub async fn tend(context: &Context, id: &VolumeId) -> Outcome {
    look(context, id).await.unwrap_or_else(|error| {
        tracing::warn!(volume = %id, error = %Chain(&error), "directory without an owner");
        Outcome::Again(Pace::Failed)
    })
}

async fn look(context: &Context, id: &VolumeId) -> Result<Outcome, StrayError> {
    let of = id.clone();
    let data = context.on_disk(move |store| store.find(&of)).await.map_err(StrayError::Volume)?;
    let evidence = gather(context, id, data).await?;
    let seen = context.unfinished.stray_since(id);
    match orphans::decide(&evidence, seen, context.orphan_grace) {
        Verdict::Owned => Ok(Outcome::Done),
        Verdict::LookAgain(delay) => Ok(Outcome::Stray(delay)),
        Verdict::Keep(why) => {
            // Said in the metric; a line at every scan, for years, would be noise.
            tracing::debug!(volume = %id, why, "directory without an owner is kept");
            Ok(Outcome::Done)
        }
        Verdict::Trash(pool) => trash(context, id, &pool).await,
    }
}

async fn gather(
    context: &Context,
    id: &VolumeId,
    data: Whereabouts,
) -> Result<Evidence, StrayError> {
    let Whereabouts::Here(_, identity) = &data else {
        // Nothing that could be taken away: nobody needs to be asked.
        return Ok(Evidence { data, has_volume: false, claim: ClaimState::Gone, mounted: None });
    };
    let first = ClaimRef::from(Owner::first(identity));
    // Whoever has it now, where that is somebody else: with its object gone too, nothing but the disk
    // tells.
    let of = id.clone();
    let found =
        context.on_disk(move |store| store.search(&of)).await.map_err(StrayError::Volume)?;
    let owner = match found {
        Found::Known(known) if known.owner.uid != id.as_str() => ClaimRef::from(known.owner),
        _ => first.clone(),
    };
    let name = id.volume_name();
    let claims = async {
        match context.cluster.claim(&first).await? {
            ClaimState::Gone if owner != first && !owner.name.is_empty() => {
                context.cluster.claim(&owner).await
            }
            state => Ok(state),
        }
    };
    let asked = tokio::try_join!(context.cluster.volume(&name), claims);
    let (volume, claim) = asked.map_err(StrayError::Cluster)?;
    Ok(Evidence {
        data,
        has_volume: volume.is_some(),
        claim,
        mounted: context.store.is_mounted(id),
    })
}

async fn trash(context: &Context, id: &VolumeId, pool: &PoolName) -> Result<Outcome, StrayError> {
    // An object of another name, such as one that was restored by hand, may own it all the same.
    let is_its_path = |path: &str| layout::is_data_path(path.as_bytes(), id);
    let owned = context.cluster.any_volume_at(&is_its_path);
    if owned.await.map_err(StrayError::Cluster)? {
        tracing::info!(volume = %id, "directory belongs to a volume of another name");
        return Ok(Outcome::Done);
    }
    let (name, of) = (pool.clone(), id.clone());
    let parting = Parting { owner: None, now: context.clock.now().as_second() };
    let moved = context.on_disk(move |store| store.discard(&name, &of, &parting)).await;
    if moved.map_err(StrayError::Volume)? {
        tracing::info!(volume = %id, %pool, "directory of a claim that is gone taken away");
        context.metrics.delete(Delete::orphan);
        context.metrics.add(OfPool::Volumes, pool, -1);
        context.trash.notify_one();
        context.scan.notify_one();
    }
    Ok(Outcome::Done)
}
