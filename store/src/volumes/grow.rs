//! Making a volume larger, and seeing to it that the kernel holds each to its size.
//!
//! The record on the disk is what counts: it says the new size before the kernel is told, so that
//! whoever finds the volume after a crash can tell the kernel again.

use crate::host::quota::{self, QuotaGroup, Usage};
use crate::host::{Dir, HostError};
use crate::pools::OpenPool;
use crate::volumes::records::identity::{self, Record};
use crate::volumes::{Store, VolumeError, layout, make, proven};
use fastrak_api::pool::PoolName;
use fastrak_api::volume::{Identity, VolumeId};
use std::ffi::OsStr;

impl Store {
    /// Makes sure that the volume may hold so many bytes, if there is room. One that may hold more
    /// keeps that.
    pub fn grow(&self, pool: &PoolName, id: &VolumeId, bytes: u64) -> Result<(), VolumeError> {
        let pool = self.pools.open(pool).map_err(VolumeError::Pool)?;
        let name = pool.config.name.clone();
        let mut identity = proven(&pool, id)?.ok_or_else(|| VolumeError::Missing(name.clone()))?;
        let before = identity.clone();
        let dir = pool.dir.open(OsStr::new(id.as_str())).map_err(VolumeError::Grow)?;
        if identity.bytes < bytes {
            identity.bytes = bytes;
            self.book(&pool, &identity)?;
            if let Err(error) = identity::write(&dir, &identity) {
                self.rebook(&name, &before);
                return Err(VolumeError::Grow(error));
            }
        }
        // Also where an earlier try has come so far: it may have been cut off here.
        dir.sync().map_err(VolumeError::Grow)?;
        let data = dir.open(OsStr::new(layout::DATA)).map_err(VolumeError::Grow)?;
        make::enforce(&data, &identity).map_err(VolumeError::Grow)
    }

    /// Looks whether the kernel holds the volume to the size in its record, and tells it so where it does
    /// not: what was said before a power cut may be lost. Whether it had to be told.
    pub(super) fn hold(&self, pool: &OpenPool<'_>, id: &VolumeId) -> Result<bool, HostError> {
        let Some(dir) = pool.dir.open_if_there(OsStr::new(id.as_str()))? else { return Ok(false) };
        match identity::read(&dir, id)? {
            Record::Proven(identity) => hold(&dir, &identity),
            Record::Doubtful(_) => Ok(false),
        }
    }
}

fn hold(dir: &Dir, identity: &Identity) -> Result<bool, HostError> {
    let Some(group) = identity.limit else { return Ok(false) };
    let data = dir.open(OsStr::new(layout::DATA))?;
    if is_as_recorded(quota::usage(&data, group)?, group, identity) {
        return Ok(false);
    }
    make::enforce(&data, identity)?;
    Ok(true)
}

fn is_as_recorded(usage: Usage, group: QuotaGroup, identity: &Identity) -> bool {
    // Filesystems count in blocks, and round up: 64 KiB is the largest that any has.
    let wanted = identity.bytes..=identity.bytes.saturating_add(0xFFFF);
    let bytes = usage.limit.is_some_and(|limit| wanted.contains(&limit));
    let inodes = match group {
        QuotaGroup::Subvolume => true,
        QuotaGroup::Project(_) => usage.inode_limit == identity.inodes(),
    };
    bytes && inodes
}
