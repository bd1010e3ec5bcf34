//! Records and checks the owners of a volume beyond its PersistentVolume: the claims in the records on
//! the disk, and the namespace of the last one. `restore/` relies on these records.

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

/// Records the claim in the PersistentVolume if an administrator has changed it. The first claim must not
/// get data that the second has written.
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

/// Records the namespace UID of the claim of a retained volume while that namespace exists.
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

/// Returns the UID of the claim's namespace, or `None` if it is gone. A namespace that is younger than
/// the volume's original claim is another one with the same name.
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

/// Returns a claim that is recorded on the disk, is not the one in the PersistentVolume, and still exists.
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

/// Returns what to record in the trash. The namespace is needed only if the volume can be restored.
pub(super) async fn trash_metadata(
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
