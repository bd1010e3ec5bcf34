//! Values of fastrak's own types for tests. A test changes the fields that it is about.

use fastrak_api::class::ReclaimPolicy;
use fastrak_api::names;
use fastrak_api::volume::{IDENTITY_FORMAT, Identity, VolumeId};

/// Returns the identity of a volume of 1Gi that was made on node `node-a` for the claim `data` in
/// the namespace `shop`. It has the default class, no quota and no time in the trash.
#[must_use]
pub fn identity(volume: VolumeId) -> Identity {
    Identity {
        format: IDENTITY_FORMAT,
        volume,
        namespace: "shop".to_owned(),
        claim: "data".to_owned(),
        class: names::CLASS_DEFAULT.to_owned(),
        node: "node-a".to_owned(),
        reclaim_policy: ReclaimPolicy::Delete,
        bytes: 1 << 30,
        limit: None,
        trash_seconds: None,
        bytes_per_inode: None,
        claim_created: None,
    }
}
