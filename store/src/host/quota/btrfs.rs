//! btrfs subvolumes, their limits and their usage. Other calls see a subvolume as a directory; its
//! quota group has the subvolume's ID.
//!
//! The group outlives its subvolume, which the kernel removes in the background. Until then the
//! kernel refuses to remove the group. Newer kernels remove the group themselves unless a snapshot
//! shares its data. The caller knows which groups to remove.
//!
//! A subvolume that a tenant creates inside a volume has its own group. Simple quotas make it a
//! member of the groups above that of the enclosing subvolume; full quotas make it a member of none
//! (`qgroup_auto_inherit` in `fs/btrfs/qgroup.c`). With simple quotas the limit is therefore set on
//! a higher group, which the volume shares with all nested subvolumes. This covers what ordinary
//! programs create. A tenant who calls BTRFS_IOC_SUBVOL_CREATE_V2 with a list of groups puts the
//! subvolume into those alone, and Linux requires no permission for it.

use super::{QuotaUnavailable, Support, Usage, shared_group};
use rustix::fd::{AsFd as _, BorrowedFd};
use rustix::fs::{Mode, OFlags, fstat, openat};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

pub(in super::super) mod raw;
#[cfg(test)]
mod tests;

/// The IDs of the root tree and the quota tree, and the types of their items.
const ROOT_TREE: u64 = 1;
const QUOTA_TREE: u64 = 8;
const ROOT_ITEM: u32 = 132;
const STATUS_ITEM: u32 = 240;
const INFO_ITEM: u32 = 242;
const LIMIT_ITEM: u32 = 244;
/// The inode number of a subvolume's root directory. No other directory has it.
pub(in super::super) const ROOT_INODE: u64 = 256;
/// The offset of the UUID in the item of a subvolume's root.
const UUID: usize = 247;
/// The flag for a limit on referenced bytes. Data shared with a snapshot counts too: a tenant's
/// limit applies to what the tenant sees.
const REFERENCED: u64 = 1;
/// The flag of simple quotas in the status item.
const SIMPLE: u64 = 1 << 3;
/// The value that clears a limit.
const NO_LIMIT: u64 = u64::MAX;

/// Returns whether quotas can be set on this btrfs.
pub(super) fn support(fd: BorrowedFd<'_>) -> Result<Support, Errno> {
    match item(fd, STATUS_ITEM, 0) {
        Ok(Some(status)) => Ok(Support::Subvolumes { nested: is_simple(status) }),
        // The quota tree does not exist until quotas are switched on.
        Ok(None) | Err(Errno::NOENT) => Ok(Support::None(QuotaUnavailable::BtrfsOff)),
        Err(Errno::PERM | Errno::ACCESS) => Ok(Support::None(QuotaUnavailable::Forbidden)),
        Err(errno) => Err(errno),
    }
}

/// Sets or clears the limit of the subvolume with this root directory. With simple quotas the limit
/// includes nested subvolumes.
pub(in super::super) fn limit(fd: BorrowedFd<'_>, most: Option<u64>) -> Result<(), Errno> {
    // Any other directory may be in a subvolume of another volume.
    if fstat(fd)?.st_ino != ROOT_INODE {
        return Err(Errno::INVAL);
    }
    let Some(most) = most else { return clear_limits(fd) };
    let status = item(fd, STATUS_ITEM, 0)?;
    if !status.is_some_and(is_simple) {
        // 0 stands for the group of the subvolume that contains the descriptor.
        return raw::limit_group(fd, 0, REFERENCED, most);
    }
    let number = raw::subvolume(fd)?.number;
    let shared = shared_group(number);
    // The kernel charges a call's metadata to the subvolume of the descriptor, and a full subvolume
    // rejects it, even if the call raises its limit. The parent directory is outside. Tenants
    // cannot move the root.
    let outside = openat(fd, "..", OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let fd = outside.as_fd();
    // The limit is set last: if it exists, the rest exists.
    for done in [raw::create_group(fd, shared), raw::assign_group(fd, number, shared)] {
        match done {
            Ok(()) | Err(Errno::EXIST) => {}
            other => return other,
        }
    }
    raw::limit_group(fd, shared, REFERENCED, most)?;
    // A volume from before the shared groups has a limit of its own, which does not grow.
    match limit_of(fd, number)? {
        Some(_) => raw::limit_group(fd, number, REFERENCED, NO_LIMIT),
        None => Ok(()),
    }
}

/// Clears the limits of the subvolume's own group and of its shared group.
fn clear_limits(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    let number = raw::subvolume(fd)?.number;
    let outside = openat(fd, "..", OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    for group in [number, shared_group(number)] {
        if limit_of(fd, group)?.is_some() {
            raw::limit_group(outside.as_fd(), group, REFERENCED, NO_LIMIT)?;
        }
    }
    Ok(())
}

/// Returns the usage and the limit of the subvolume, including nested subvolumes with simple
/// quotas.
pub(in super::super) fn usage(fd: BorrowedFd<'_>) -> Result<Usage, Errno> {
    let number = raw::subvolume(fd)?.number;
    let shared = shared_group(number);
    if let Some(info) = item(fd, INFO_ITEM, shared)? {
        return Ok(Usage { used: info[1], limit: limit_of(fd, shared)?, ..Usage::default() });
    }
    let info = item(fd, INFO_ITEM, number)?.ok_or(Errno::NOENT)?;
    // With simple quotas, a limit on the own group excludes nested subvolumes. It is reported as no
    // limit, so that the caller sets it again on the shared group.
    let is_simple = item(fd, STATUS_ITEM, 0)?.is_some_and(is_simple);
    let limit = if is_simple { None } else { limit_of(fd, number)? };
    Ok(Usage { used: info[1], limit, ..Usage::default() })
}

fn limit_of(fd: BorrowedFd<'_>, group: u64) -> Result<Option<u64>, Errno> {
    let limit = item(fd, LIMIT_ITEM, group)?.filter(|words| words[0] & REFERENCED != 0);
    Ok(limit.map(|words| words[1]).filter(|most| *most != NO_LIMIT))
}

/// Returns whether the status item says that quotas are simple.
const fn is_simple(status: [u64; 4]) -> bool {
    status[2] & SIMPLE != 0
}

/// Returns the UUID of the subvolume with this ID, also while the kernel is removing it.
pub(in super::super) fn uuid(fd: BorrowedFd<'_>, number: u64) -> Result<Option<[u8; 16]>, Errno> {
    let found = raw::item(fd, ROOT_TREE, (number, ROOT_ITEM), 0..=u64::MAX)?;
    let Some(item) = found else { return Ok(None) };
    // Subvolumes from before Linux 3.6 have no UUID and a shorter item.
    let uuid = item.get(UUID..UUID + 16).and_then(|bytes| bytes.try_into().ok());
    Ok(Some(uuid.unwrap_or_default()))
}

/// Returns the first words of a group's item in the quota tree: little-endian 64-bit integers.
fn item(fd: BorrowedFd<'_>, kind: u32, group: u64) -> Result<Option<[u64; 4]>, Errno> {
    let found = raw::item(fd, QUOTA_TREE, (0, kind), group..=group)?;
    let word = |bytes: &[u8], at: usize| {
        let bytes = bytes.get(at * 8..at * 8 + 8).and_then(|bytes| bytes.try_into().ok());
        bytes.map_or(0, u64::from_le_bytes)
    };
    Ok(found.map(|bytes| [0, 1, 2, 3].map(|at| word(&bytes, at))))
}

/// Returns whether `name` is a file name of valid length and not a path.
fn is_name(name: &OsStr) -> bool {
    let bytes = name.as_bytes();
    !bytes.is_empty()
        && bytes.len() <= 255
        && !bytes.contains(&b'/')
        && bytes != b"."
        && bytes != b".."
}
