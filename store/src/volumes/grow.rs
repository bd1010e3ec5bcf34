//! Resizes volumes and sets their kernel quotas again if they are lost.
//!
//! The record on the disk is authoritative. It is written before the kernel limit, so that after a
//! crash the limit can be set again from the record.

use crate::host::HostError;
use crate::host::quota::{self, QuotaGroup, Usage};
use crate::pools::OpenPool;
use crate::volumes::records::identity;
use crate::volumes::{Store, VolumeError, create, layout, open_verified, verified};
use fastrak_api::pool::PoolName;
use fastrak_api::volume::{Identity, VolumeId};

impl Store {
    /// Grows the volume to `bytes` if the pool has space. A larger volume keeps its size.
    pub fn grow(&self, pool: &PoolName, id: &VolumeId, bytes: u64) -> Result<(), VolumeError> {
        let pool = self.pools.open(pool).map_err(VolumeError::Pool)?;
        let name = pool.config.name.clone();
        let mut identity =
            verified(&pool, id)?.ok_or_else(|| VolumeError::Missing(name.clone()))?;
        let before = identity.clone();
        let dir = pool.dir.open(id.as_str()).map_err(VolumeError::SetQuota)?;
        if identity.bytes < bytes {
            identity.bytes = bytes;
            self.grant(&pool, &identity)?;
            if let Err(error) = identity::write(&dir, &identity) {
                self.set_grant(&name, &before);
                return Err(VolumeError::SetQuota(error));
            }
        }
        // Repeated if the record is already written: an earlier attempt may have been interrupted
        // here.
        dir.sync().map_err(VolumeError::SetQuota)?;
        let data = dir.open(layout::DATA).map_err(VolumeError::SetQuota)?;
        create::enforce(&data, &identity).map_err(VolumeError::SetQuota)
    }
}

/// Sets the kernel limit from the record if they differ: a power failure can lose a limit. Returns
/// whether the limit was set.
pub(super) fn reapply_limit(pool: &OpenPool<'_>, id: &VolumeId) -> Result<bool, HostError> {
    let Some((dir, identity)) = open_verified(&pool.dir, id)? else { return Ok(false) };
    let Some(group) = identity.limit else { return Ok(false) };
    let data = dir.open(layout::DATA)?;
    if is_as_recorded(quota::usage(&data, group)?, group, &identity) {
        return Ok(false);
    }
    create::enforce(&data, &identity)?;
    Ok(true)
}

fn is_as_recorded(usage: Usage, group: QuotaGroup, identity: &Identity) -> bool {
    // Filesystems round up to blocks of at most 64 KiB.
    let wanted = identity.bytes..=identity.bytes.saturating_add(0xFFFF);
    let bytes = usage.limit.is_some_and(|limit| wanted.contains(&limit));
    let inodes = match group {
        QuotaGroup::Subvolume => true,
        QuotaGroup::Project(_) => usage.inode_limit == identity.inodes(),
    };
    bytes && inodes
}
