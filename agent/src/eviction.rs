//! Evicts restorable volumes from the trash if their space is needed.

use crate::context::Context;
use fastrak_api::capacity::Shortage;
use fastrak_api::claim::Claim;
use fastrak_api::pool::PoolName;
use fastrak_api::reason::EventReason;
use fastrak_api::size::Bytes;
use fastrak_runtime::chain::Chain;
use fastrak_store::volumes::trash::plan::Entry;
use fastrak_store::volumes::{Store, VolumeError};

/// Evicts restorable volumes if that resolves one of the shortages of a claim in the namespace
/// `requester`. Returns whether any was evicted. Their space is free when they are removed, a
/// little later.
pub async fn evict_for_claim(context: &Context, shortages: &[Shortage], requester: &str) -> bool {
    for (pool, bytes) in shortages.iter().filter_map(Shortage::to_remove) {
        match evict_trash(context, pool, (bytes, requester)).await {
            Ok(false) => {}
            Ok(true) => return true,
            Err(error) => {
                tracing::warn!(%pool, error = %Chain(&error), "could not evict volumes from the trash");
            }
        }
    }
    false
}

async fn evict_trash(
    context: &Context,
    pool: &PoolName,
    (bytes, requester): (u64, &str),
) -> Result<bool, VolumeError> {
    // The space of the latest eviction is freed first.
    if context.store.has_pending_evictions() {
        return Ok(true);
    }
    let (name, now, requester) =
        (pool.clone(), context.clock.now().as_second(), requester.to_owned());
    let work = move |store: &Store| store.evict_trash(&name, (bytes, &requester), now);
    let evicted = context.on_disk(work).await?;
    evicted.iter().for_each(|volume| report(context, pool, volume));
    context.trash.notify_one();
    Ok(!evicted.is_empty())
}

/// Reports an eviction. The claim and the volume are deleted: the event is all that their user can
/// find.
pub(crate) fn report(context: &Context, pool: &PoolName, volume: &Entry) {
    let Entry { id, owner, bytes, .. } = volume;
    tracing::warn!(%pool, volume = %id, namespace = owner.namespace, claim = owner.name, "evicted a volume from the trash");
    if owner.namespace.is_empty() {
        return;
    }
    let claim = Claim {
        namespace: owner.namespace.clone(),
        name: owner.name.clone(),
        uid: owner.uid.clone(),
        ..Claim::default()
    };
    let size = Bytes(*bytes);
    let text = format!(
        "volume {name} of {size} was evicted from the trash and cannot be restored: pool {pool} on node {node} needed its space",
        name = id.volume_name(),
        node = context.node
    );
    context.events.write(&claim, EventReason::TrashEvicted, text);
}
