//! Whose a volume is, beside what its PersistentVolume says: the claims that are recorded on the disk, and
//! the namespace of the last one.
//!
//! It moves no data. What it records is what `restore/` goes by later.

use super::controller::{ReclaimError, find};
use crate::cluster::ClaimState;
use crate::cluster::identity::NamespaceView;
use crate::context::Context;
use crate::snapshot::volume::{ClaimRef, Volume};
use fastrak_api::pool::PoolName;
use fastrak_api::volume::{Identity, VolumeId};
use fastrak_store::volumes::Location;
use fastrak_store::volumes::records::owner::Owner;
use fastrak_store::volumes::trash::discard::TrashMetadata;

/// An administrator may have given it to another claim. The disk must know of that too: what the
/// second has written is not the first one's to have back.
pub(super) async fn record_owner(
    context: &Context,
    id: &VolumeId,
    volume: &Volume,
) -> Result<(), ReclaimError> {
    let owner = volume.claim.as_ref().and_then(ClaimRef::owner);
    let Some(owner) = owner.filter(|owner| owner.uid != id.as_str()) else { return Ok(()) };
    if let Location::InPool(pool, _) = find(context, id).await? {
        let id = id.clone();
        let noted =
            context.on_disk(move |store| store.record_owner(&pool, &id, &owner, None)).await;
        noted.map_err(ReclaimError::Volume)?;
    }
    Ok(())
}

/// Records in which namespace the claim was whose volume is kept, while that namespace exists.
pub(super) async fn note_namespace(
    context: &Context,
    (pool, identity): (&PoolName, &Identity),
    volume: &Volume,
) -> Result<(), ReclaimError> {
    let Some(owner) = volume.claim.as_ref().and_then(ClaimRef::owner) else { return Ok(()) };
    let (name, id, of) = (pool.clone(), identity.volume.clone(), owner.clone());
    let is_known = context.on_disk(move |store| store.knows_namespace_of(&name, &id, &of)).await;
    if is_known.map_err(ReclaimError::Volume)? {
        return Ok(());
    }
    let Some(uid) = namespace_uid(context, &owner, identity).await? else { return Ok(()) };
    let (pool, id) = (pool.clone(), identity.volume.clone());
    let noted =
        context.on_disk(move |store| store.record_owner(&pool, &id, &owner, Some(&uid))).await;
    noted.map_err(ReclaimError::Volume)
}

/// The uid of the namespace that the claim was in; `None` if that is gone by now. One that is younger
/// than the claim for which the volume was made is another namespace of the same name.
async fn namespace_uid(
    context: &Context,
    owner: &Owner,
    identity: &Identity,
) -> Result<Option<String>, ReclaimError> {
    let found = context.cluster.namespace(&owner.namespace).await.map_err(ReclaimError::Cluster)?;
    let is_older = |namespace: &NamespaceView| {
        namespace.created.zip(identity.claim_created).is_some_and(|(this, claim)| this <= claim)
    };
    Ok(found.filter(is_older).map(|namespace| namespace.uid))
}

/// A claim that is recorded beside the data, is not the one that the object names, and still exists.
pub(super) async fn recorded(
    context: &Context,
    volume: &Volume,
    data: &Location,
) -> Result<Option<String>, ReclaimError> {
    let Location::InPool(pool, identity) = data else { return Ok(None) };
    let (pool, id) = (pool.clone(), identity.volume.clone());
    let owner = context.on_disk(move |store| store.owner(&pool, &id)).await;
    let owner = owner.map_err(ReclaimError::Volume)?;
    let named = volume.claim.as_ref().and_then(|claim| claim.uid.as_deref());
    for owner in [Some(Owner::first(identity)), owner].into_iter().flatten() {
        if named == Some(owner.uid.as_str()) || owner.claim.is_empty() {
            continue;
        }
        let claim = format!("{}/{}", owner.namespace, owner.claim);
        let state = context.cluster.claim(&ClaimRef::from(owner)).await;
        if state.map_err(ReclaimError::Cluster)? != ClaimState::Gone {
            return Ok(Some(claim));
        }
    }
    Ok(None)
}

/// What is recorded of a volume that goes. Its namespace is of interest only if it can be restored.
pub(super) async fn parting(
    context: &Context,
    owner: Option<Owner>,
    data: &Location,
) -> Result<TrashMetadata, ReclaimError> {
    let now = context.clock.now().as_second();
    let namespace_uid = match (data, &owner) {
        (Location::InPool(_, identity), Some(owner)) if identity.trash_seconds.is_some() => {
            namespace_uid(context, owner, identity).await?
        }
        _ => None,
    };
    Ok(TrashMetadata { owner, namespace_uid, now })
}
