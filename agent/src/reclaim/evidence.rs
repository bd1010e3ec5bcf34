//! Reads the evidence about a volume that may have to be deleted. `plan.rs` decides by it.

use super::plan::Evidence;
use crate::cluster::ClaimState;
use crate::context::Context;
use crate::failure::{Failure, Operation};
use crate::snapshot::volume::Volume;
use fastrak_api::claim_ref::ClaimRef;
use fastrak_api::pool::PoolName;
use fastrak_api::volume::VolumeId;
use fastrak_store::volumes::Location;
use fastrak_store::volumes::orphan::Content;

/// Reads the evidence about a volume that may have to be deleted.
pub(super) async fn gather(
    context: &Context,
    id: &VolumeId,
    volume: &Volume,
) -> Result<Evidence, Failure> {
    let claim = async {
        match &volume.claim {
            Some(claim) => {
                context.cluster.claim(claim).await.map_err(Failure::of(Operation::Delete))
            }
            None => Ok(ClaimState::Gone),
        }
    };
    let data = async { context.find(id).await.map_err(Failure::of(Operation::Trash)) };
    let (claim, data) = tokio::try_join!(claim, data)?;
    let recorded = recorded(context, volume, &data).await?;
    let is_empty = match (&claim, &data) {
        (ClaimState::Bound(_), Location::InPool(pool, _)) => is_empty(context, pool, id).await?,
        _ => false,
    };
    // Read last: a mount cannot appear after its claim was found to be gone.
    Ok(Evidence { claim, is_empty, recorded, data, mounted: context.store.is_mounted(id) })
}

async fn is_empty(context: &Context, pool: &PoolName, id: &VolumeId) -> Result<bool, Failure> {
    let (pool, ids) = (pool.clone(), vec![id.clone()]);
    let contents = context.on_disk(move |store| store.contents(&pool, &ids)).await;
    let contents = contents.map_err(Failure::of(Operation::Trash))?;
    Ok(matches!(contents[..], [(_, Content::Empty)]))
}

/// Returns a claim that is recorded on the disk, is not the one in the PersistentVolume, and still
/// exists.
async fn recorded(
    context: &Context,
    volume: &Volume,
    data: &Location,
) -> Result<Option<String>, Failure> {
    let Location::InPool(pool, identity) = data else { return Ok(None) };
    let (pool, id) = (pool.clone(), identity.volume.clone());
    let owner = context.on_disk(move |store| store.owner(&pool, &id)).await;
    let owner = owner.map_err(Failure::of(Operation::Trash))?;
    let named = volume.owner();
    for owner in [Some(ClaimRef::original(identity)), owner].into_iter().flatten() {
        if named.is_some_and(|named| named.uid == owner.uid) || owner.name.is_empty() {
            continue;
        }
        let claim = format!("{}/{}", owner.namespace, owner.name);
        let state = context.cluster.claim(&owner).await;
        if state.map_err(Failure::of(Operation::Delete))? != ClaimState::Gone {
            return Ok(Some(claim));
        }
    }
    Ok(None)
}
