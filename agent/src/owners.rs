//! Records the owner of a volume on the disk: the last claim and its namespace, and reads which of
//! the recorded claims exist. `restore/` relies on these records.

use crate::cluster::NamespaceView;
use crate::cluster::{ClaimState, ClusterError};
use crate::context::Context;
use crate::failure::{During as _, Failure, Operation};
use crate::snapshot::volume::Volume;
use fastrak_api::claim_ref::ClaimRef;
use fastrak_api::pool::PoolName;
use fastrak_api::volume::{Identity, VolumeId};
use fastrak_store::volumes::{Location, Store, VolumeError};

/// Records the claim in the PersistentVolume if an administrator has changed it. The first claim
/// must not get data that the second has written.
pub(crate) async fn record_owner(
    context: &Context,
    id: &VolumeId,
    volume: &Volume,
) -> Result<(), Failure> {
    let owner = volume.owner().filter(|owner| !owner.is(id.as_str()));
    let Some(owner) = owner.cloned() else { return Ok(()) };
    let found = context.find(id).await.during(Operation::Record)?;
    let Location::InPool(pool, _) = found else { return Ok(()) };
    let id = id.clone();
    let record = move |store: &Store| store.record_owner(&pool, &id, &owner, None);
    context.on_disk(record).await.during(Operation::Record)
}

/// Records the namespace UID of the claim of a retained volume while that namespace exists.
pub(crate) async fn record_namespace(
    context: &Context,
    (pool, identity): (&PoolName, &Identity),
    volume: &Volume,
) -> Result<(), Failure> {
    let Some(owner) = volume.owner().cloned() else { return Ok(()) };
    let (name, id, of) = (pool.clone(), identity.volume.clone(), owner.clone());
    let is_known = move |store: &Store| store.knows_namespace_of(&name, &id, &of);
    if context.on_disk(is_known).await.during(Operation::Record)? {
        return Ok(());
    }
    let uid = namespace_uid(context, &owner, identity).await.during(Operation::Record)?;
    let Some(uid) = uid else { return Ok(()) };
    let (pool, id) = (pool.clone(), identity.volume.clone());
    let record = move |store: &Store| store.record_owner(&pool, &id, &owner, Some(&uid));
    context.on_disk(record).await.during(Operation::Record)
}

/// Returns the claims that the volume's records name: the one that it was created for, and the last
/// one if that is another.
pub(crate) async fn recorded(
    context: &Context,
    pool: &PoolName,
    identity: &Identity,
) -> Result<Vec<ClaimRef>, VolumeError> {
    let (pool, id) = (pool.clone(), identity.volume.clone());
    let last = context.on_disk(move |store| store.owner(&pool, &id)).await?;
    Ok([Some(ClaimRef::original(identity)), last].into_iter().flatten().collect())
}

/// Returns the first of these claims that exists, with its state.
pub(crate) async fn first_existing(
    context: &Context,
    claims: Vec<ClaimRef>,
) -> Result<Option<(ClaimRef, ClaimState)>, ClusterError> {
    for claim in claims {
        match context.cluster.claim(&claim).await? {
            ClaimState::Gone => {}
            state => return Ok(Some((claim, state))),
        }
    }
    Ok(None)
}

/// Returns the UID of the claim's namespace, or `None` if it is gone. A namespace that is younger
/// than the volume's original claim is another one with the same name.
pub(crate) async fn namespace_uid(
    context: &Context,
    owner: &ClaimRef,
    identity: &Identity,
) -> Result<Option<String>, ClusterError> {
    let found = context.cluster.namespace(&owner.namespace).await?;
    let is_older = |namespace: &NamespaceView| {
        namespace.created.zip(identity.claim_created).is_some_and(|(this, claim)| this <= claim)
    };
    Ok(found.filter(is_older).map(|namespace| namespace.uid))
}
