//! Kernel quotas of directories: sets limits and reads usage, without a shell, a helper or a walk
//! through files.
//!
//! The module chooses no limit and knows neither claims nor pools. It asks the filesystem, not its
//! type, what it supports: a filesystem with quotas may have them switched off.

pub(super) mod btrfs;
pub mod project;

pub use super::calls::{Limits, QuotaGroup, QuotaUnavailable, Subvolume, Support, Usage};

use super::calls::Statfs;
use super::dirs::{Dir, PRIVATE, failed};
use super::{HostError, Operation};
use rustix::fd::BorrowedFd;
use rustix::fs::fstatfs;
use rustix::io::Errno;
use std::ffi::OsStr;

/// The magic number of btrfs (`linux/magic.h`).
const BTRFS: u32 = 0x9123_683E;
/// The magic number of XFS.
const XFS: u32 = 0x5846_5342;
/// The magic number of ext2, ext3 and ext4.
const EXT4: u32 = 0xEF53;

/// The level of the quota groups that a volume shares with its nested subvolumes. People count
/// levels from 1, so only fastrak uses this level. The level occupies the bits above the ID.
const SHARED: u64 = 0x4654;

/// Returns the ID of the quota group that the subvolume shares with its nested subvolumes.
pub(super) const fn shared_group(number: u64) -> u64 {
    SHARED << 48 | number
}

/// Returns how the filesystem of `dir` can enforce quotas.
pub fn support(dir: &Dir) -> Result<Support, HostError> {
    dir.handle().support().map_err(failed(Operation::Inspect, dir.path()))
}

/// Creates the directory `name` in `dir` as a subvolume, with exactly this mode.
pub fn make_subvolume(dir: &Dir, name: &OsStr, mode: u32) -> Result<Dir, HostError> {
    let path = dir.path().join(name);
    dir.handle().make_subvolume(name).map_err(failed(Operation::Create, &path))?;
    let made = dir.open(name)?;
    made.handle().chmod(mode).map_err(failed(Operation::SetPermissions, &path))?;
    Ok(made)
}

/// Creates the directory `name` in `dir`, with exactly this mode, and assigns it to `project`.
pub fn make_in_project(
    dir: &Dir,
    (name, mode): (&OsStr, u32),
    project: u32,
) -> Result<Dir, HostError> {
    let made = dir.make(name, PRIVATE)?;
    made.handle().join_project(project).map_err(failed(Operation::SetQuota, made.path()))?;
    made.handle().chmod(mode).map_err(failed(Operation::SetPermissions, made.path()))?;
    Ok(made)
}

/// Sets the limits of the quota group of `dir`. A limit below the current usage is valid: nothing
/// can be added until something is removed.
pub fn limit(dir: &Dir, group: QuotaGroup, limits: Limits) -> Result<(), HostError> {
    dir.handle().limit(group, limits).map_err(failed(Operation::SetQuota, dir.path()))
}

/// Returns the usage and the limits of the quota group of `dir`.
pub fn usage(dir: &Dir, group: QuotaGroup) -> Result<Usage, HostError> {
    dir.handle().usage(group).map_err(failed(Operation::Inspect, dir.path()))
}

/// Returns the first project ID from `first` on that is in use on the filesystem of `dir`.
pub fn project_from(dir: &Dir, first: u32) -> Result<Option<u32>, HostError> {
    dir.handle().project_from(first).map_err(failed(Operation::Inspect, dir.path()))
}

/// Returns the UUID of the subvolume with this ID on the filesystem of `dir`, if there is one.
pub fn subvolume_uuid(dir: &Dir, number: u64) -> Result<Option<[u8; 16]>, HostError> {
    dir.handle().subvolume_uuid(number).map_err(failed(Operation::Inspect, dir.path()))
}

/// Removes the quota groups of a subvolume that is gone: its own and the one that it shared with
/// nested subvolumes. Returns `false` while the kernel still uses one of them.
pub fn remove_groups(dir: &Dir, number: u64) -> Result<bool, HostError> {
    for group in [number, shared_group(number)] {
        match dir.handle().remove_group(group) {
            // Since Linux 6.10 the kernel may remove the first itself. Only a volume has the
            // second.
            Ok(()) | Err(Errno::NOENT) => {}
            // The kernel still frees the subvolume, or a snapshot shares its data, or a nested
            // subvolume is not gone yet.
            Err(Errno::BUSY) => return Ok(false),
            Err(errno) => return Err(failed(Operation::Remove, dir.path())(errno)),
        }
    }
    Ok(true)
}

/// Returns the type and the capacity of the filesystem of this descriptor.
pub(super) fn statfs(fd: BorrowedFd<'_>) -> Result<Statfs, Errno> {
    /// The read-only flag of statfs(2).
    const RDONLY: i128 = 1;
    let stat = fstatfs(fd)?;
    let size = u64::try_from(stat.f_bsize).unwrap_or(0);
    Ok(Statfs {
        // The field has 32 bits in the kernel, and is wider or signed on some platforms.
        kind: u32::try_from(i128::from(stat.f_type) & 0xFFFF_FFFF).unwrap_or(0),
        read_only: i128::from(stat.f_flags) & RDONLY != 0,
        total: stat.f_blocks.saturating_mul(size),
        free: stat.f_bavail.saturating_mul(size),
        inodes: stat.f_files,
        free_inodes: stat.f_ffree,
    })
}

/// Returns how the filesystem of this descriptor can enforce quotas.
pub(super) fn supported(fd: BorrowedFd<'_>) -> Result<Support, Errno> {
    match statfs(fd)?.kind {
        BTRFS => btrfs::support(fd),
        kind => project::support(fd, matches!(kind, XFS | EXT4)),
    }
}
