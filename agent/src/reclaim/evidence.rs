//! Reads the evidence about a volume that may have to be deleted. `plan.rs` decides by it.

use super::plan::Evidence;
use crate::cluster::ClaimState;
use crate::context::Context;
use crate::failure::{During as _, Failure, Operation};
use crate::owners;
use crate::snapshot::volume::Volume;
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
            Some(claim) => context.cluster.claim(claim).await.during(Operation::Delete),
            None => Ok(ClaimState::Gone),
        }
    };
    let data = async { context.find(id).await.during(Operation::Trash) };
    let (claim, data) = tokio::try_join!(claim, data)?;
    let recorded = recorded(context, volume, &data).await?;
    let is_empty = match (&claim, &data) {
        (ClaimState::Bound(_), Location::InPool(pool, _)) => {
            let content = context.content(pool, id).await.during(Operation::Trash)?;
            content == Some(Content::Empty)
        }
        _ => false,
    };
    // Read last: a mount cannot appear after its claim was found to be gone.
    Ok(Evidence { claim, is_empty, recorded, data, mounted: context.store.is_mounted(id) })
}

/// Returns a claim that is recorded on the disk, is not the one in the PersistentVolume, and still
/// exists.
async fn recorded(
    context: &Context,
    volume: &Volume,
    data: &Location,
) -> Result<Option<String>, Failure> {
    let Location::InPool(pool, identity) = data else { return Ok(None) };
    let mut recorded = owners::recorded(context, pool, identity).await.during(Operation::Trash)?;
    let named = volume.owner();
    recorded
        .retain(|owner| !owner.name.is_empty() && named.is_none_or(|named| named.uid != owner.uid));
    let existing = owners::first_existing(context, recorded).await.during(Operation::Delete)?;
    Ok(existing.map(|(claim, _)| format!("{}/{}", claim.namespace, claim.name)))
}
