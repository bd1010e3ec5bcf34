//! What must be true of sizes whatever goes wrong.

use crate::cluster::Cluster;
use crate::disk::Ino;
use crate::machine::{LIMIT, State};
use fastrak_agent::snapshot::volume::Volume;
use fastrak_api::claim::Claim;
use fastrak_api::size::Bytes;
use fastrak_api::volume::{Identity, QuotaGroup, VolumeId};

/// What is wrong with the size of a claim that is bound: everything must say the same of it, and a disk that
/// holds volumes to their size must hold it to just that.
pub(crate) fn problem(
    (of, claim): (&VolumeId, &Claim),
    (cluster, volume): (&Cluster, &Volume),
    (state, data, record): (&State, Ino, &Identity),
) -> Option<String> {
    let shown = cluster.growths.get(of).and_then(|growth| growth.shown.clone());
    let [asks, has, shows] = [&claim.storage, &volume.capacity, &shown].map(|size| {
        let size = size.as_deref().and_then(|text| Bytes::parse(text).ok());
        size.map_or(0, |size| size.0)
    });
    // What somebody has let go does not grow any more.
    if (has < asks && !volume.deleting) || shows != has || record.bytes != has {
        let is = record.bytes;
        return Some(format!("{of} asks for {asks}, has {has}, shows {shows}, and is {is}"));
    }
    let growth = cluster.growths.get(of);
    let promised = growth.and_then(|growth| growth.allocated.as_ref());
    // What was never asked to grow was promised nothing.
    if promised.is_some_and(|promised| Some(promised) != shown.as_ref())
        || growth.is_some_and(|growth| growth.unsettled)
    {
        return Some(format!("{of} shows {shows}, and is said to become {promised:?}"));
    }
    // Projects have their own look.
    let limit = state.disk.see(data).tags.get(LIMIT);
    let held = record.limit != Some(QuotaGroup::Subvolume)
        || limit.is_some_and(|limit| *limit == record.bytes.to_le_bytes());
    (!held).then(|| format!("{of} is {has}, and is held to {limit:?}"))
}
