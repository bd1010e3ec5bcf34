//! The invariants of sizes.

use crate::cluster::Cluster;
use crate::disk::Ino;
use crate::machine::{LIMIT, State};
use fastrak_agent::snapshot::volume::Volume;
use fastrak_api::claim::Claim;
use fastrak_api::size::Bytes;
use fastrak_api::volume::{Identity, QuotaGroup, VolumeId};

/// Returns what is wrong with the size of a bound claim: claim, volume, record and quota must
/// agree.
pub(crate) fn problem(
    (of, claim): (&VolumeId, &Claim),
    (cluster, volume): (&Cluster, &Volume),
    (state, data, record): (&State, Ino, &Identity),
) -> Option<String> {
    let capacity = cluster.growths.get(of).and_then(|growth| growth.capacity.clone());
    let [asks, has, shows] = [&claim.storage, &volume.capacity, &capacity].map(|size| {
        let size = size.as_deref().and_then(|text| Bytes::parse(text).ok());
        size.map_or(0, |size| size.0)
    });
    // A volume that is being deleted no longer grows.
    if (has < asks && !volume.deleting) || shows != has || record.bytes != has {
        let is = record.bytes;
        return Some(format!(
            "{of} requests {asks}, has {has}, its status has {shows}, its record {is}"
        ));
    }
    let growth = cluster.growths.get(of);
    let promised = growth.and_then(|growth| growth.allocated.as_ref());
    // A claim that never grew was promised nothing.
    if promised.is_some_and(|promised| Some(promised) != capacity.as_ref())
        || growth.is_some_and(|growth| growth.unsettled)
    {
        return Some(format!("{of} has the status {shows}, and {promised:?} is promised"));
    }
    // `projects.rs` checks projects.
    let limit = state.disk.see(data).xattrs.get(LIMIT);
    let is_enforced = record.limit != Some(QuotaGroup::Subvolume)
        || limit.is_some_and(|limit| *limit == record.bytes.to_le_bytes());
    (!is_enforced).then(|| format!("{of} is {has}, and its limit is {limit:?}"))
}
