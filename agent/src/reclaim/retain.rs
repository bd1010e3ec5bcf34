//! Records on the disk that a volume is retained, and whose it was: an administrator may have
//! changed the policy after its creation, and the API objects may be lost one day.

use crate::context::Context;
use crate::failure::{During as _, Failure, Operation};
use crate::owners;
use crate::snapshot::volume::{Phase, Volume};
use fastrak_api::class::ReclaimPolicy;
use fastrak_api::pool::PoolName;
use fastrak_api::volume::VolumeId;
use fastrak_store::volumes::Location;

/// Records that a retained volume is kept, and its last claim.
pub(crate) async fn record(
    context: &Context,
    id: &VolumeId,
    volume: &Volume,
) -> Result<(), Failure> {
    owners::record_owner(context, id, volume).await?;
    let found = context.find(id).await.during(Operation::Record)?;
    let Location::InPool(pool, identity) = found else { return Ok(()) };
    if identity.reclaim_policy == ReclaimPolicy::Delete {
        keep(context, &pool, id).await?;
    }
    if volume.phase == Phase::Released {
        owners::record_namespace(context, (&pool, &identity), volume).await?;
    }
    Ok(())
}

/// Records that the volume must be kept after its objects are deleted.
pub(super) async fn keep(context: &Context, pool: &PoolName, id: &VolumeId) -> Result<(), Failure> {
    let (pool, id) = (pool.clone(), id.clone());
    context.on_disk(move |store| store.keep(&pool, &id)).await.during(Operation::Record)
}
