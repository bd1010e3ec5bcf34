//! Subvolumes of btrfs, the limits on them and what they hold. A subvolume is a directory to
//! everybody but these calls; the group that counts it bears its number.
//!
//! The group outlives its subvolume, which the kernel takes away in the background: until then it
//! lets nobody remove the group.
//!
//! A subvolume that a tenant makes in his volume has a group of its own. Simple quotas make it a member
//! of the groups above that of the subvolume it is made in, full quotas of none
//! (`qgroup_auto_inherit` in `fs/btrfs/qgroup.c`). So with simple quotas the limit is on a group above,
//! which a volume shares with all subvolumes in it. That holds what ordinary programs make; a tenant who
//! calls BTRFS_IOC_SUBVOL_CREATE_V2 with a list of groups of his own is in those alone, and Linux asks
//! for no right.
//! Newer kernels then do so themselves, where no snapshot shares what
//! the group has counted. Which groups are to be removed is for others to know.

use super::subvolume::shared_group;
use super::{Lack, Subvolume, Support, Usage};
use rustix::fd::{AsFd as _, BorrowedFd};
use rustix::fs::{Mode, OFlags, fstat, openat};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

mod raw;
#[cfg(test)]
mod tests;

/// The numbers of the trees of all trees and of the quota groups, and the kinds of their items.
const ROOT_TREE: u64 = 1;
const QUOTA_TREE: u64 = 8;
const ROOT_ITEM: u32 = 132;
const STATUS_ITEM: u32 = 240;
const INFO_ITEM: u32 = 242;
const LIMIT_ITEM: u32 = 244;
/// The inode number of a subvolume's own root directory, which nothing else has.
pub(in super::super) const ROOT_INODE: u64 = 256;
/// Where the item of a subvolume's root has its uuid.
const UUID: usize = 247;
/// The flag of a limit on what is referenced. What is shared with a snapshot counts as well: a tenant
/// is told the size of what he sees.
const REFERENCED: u64 = 1;
/// The flag of simple quotas in the status.
const SIMPLE: u64 = 1 << 3;
/// The value that takes a limit off.
const NO_LIMIT: u64 = u64::MAX;

/// Whether quotas can be set on this filesystem of btrfs.
pub(super) fn support(fd: BorrowedFd<'_>) -> Result<Support, Errno> {
    match item(fd, STATUS_ITEM, 0) {
        Ok(Some(status)) => Ok(Support::Subvolumes { nested: is_simple(status) }),
        // There is no such tree before quotas are switched on.
        Ok(None) | Err(Errno::NOENT) => Ok(Support::None(Lack::BtrfsOff)),
        Err(Errno::PERM | Errno::ACCESS) => Ok(Support::None(Lack::Forbidden)),
        Err(errno) => Err(errno),
    }
}

/// Makes a subvolume.
pub(in super::super) fn make(fd: BorrowedFd<'_>, name: &OsStr) -> Result<(), Errno> {
    raw::create_subvolume(fd, name)
}

/// Removes a subvolume with all that is in it, at once. Its group is left.
pub(in super::super) fn remove(fd: BorrowedFd<'_>, name: &OsStr) -> Result<(), Errno> {
    raw::destroy_subvolume(fd, name)
}

/// Clears the read-only flag of the subvolume whose root this is. The owner may do that, and so may we
/// with CAP_FOWNER.
pub(in super::super) fn make_writable(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    raw::set_subvolume_flags(fd, 0)
}

/// Limits what the subvolume may hold whose root this is, with the subvolumes in it if the filesystem has
/// simple quotas; or takes its limits off.
pub(in super::super) fn limit(fd: BorrowedFd<'_>, most: Option<u64>) -> Result<(), Errno> {
    // Any other directory is in a subvolume that may be somebody else's.
    if fstat(fd)?.st_ino != ROOT_INODE {
        return Err(Errno::INVAL);
    }
    let Some(most) = most else { return lift(fd) };
    let status = item(fd, STATUS_ITEM, 0)?;
    if !status.is_some_and(is_simple) {
        // 0 asks for the group of the subvolume that the descriptor is in.
        return raw::limit_group(fd, 0, REFERENCED, most);
    }
    let number = raw::subvolume(fd)?.0;
    let shared = shared_group(number);
    // From outside: what a call writes is first counted for the subvolume that its descriptor is in, and
    // one that is full refuses that, also where the call raises its limit. Tenants cannot move the root.
    let outside = openat(fd, "..", OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let fd = outside.as_fd();
    // The limit comes last: where it is, the rest is.
    for done in [raw::create_group(fd, shared), raw::assign_group(fd, number, shared)] {
        match done {
            Ok(()) | Err(Errno::EXIST) => {}
            other => return other,
        }
    }
    raw::limit_group(fd, shared, REFERENCED, most)?;
    // A volume that was made before the shared groups has a limit that does not grow with it.
    match limit_of(fd, number)? {
        Some(_) => raw::limit_group(fd, number, REFERENCED, NO_LIMIT),
        None => Ok(()),
    }
}

/// Takes the limits off that the subvolume has, alone or with those in it.
fn lift(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    let number = raw::subvolume(fd)?.0;
    let outside = openat(fd, "..", OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    for group in [number, shared_group(number)] {
        if limit_of(fd, group)?.is_some() {
            raw::limit_group(outside.as_fd(), group, REFERENCED, NO_LIMIT)?;
        }
    }
    Ok(())
}

/// What the subvolume holds, and may hold; with the subvolumes in it if the filesystem has simple quotas.
pub(in super::super) fn usage(fd: BorrowedFd<'_>) -> Result<Usage, Errno> {
    let number = raw::subvolume(fd)?.0;
    let shared = shared_group(number);
    if let Some(info) = item(fd, INFO_ITEM, shared)? {
        return Ok(Usage { used: info[1], limit: limit_of(fd, shared)?, ..Usage::default() });
    }
    let info = item(fd, INFO_ITEM, number)?.ok_or(Errno::NOENT)?;
    // A limit that does not hold the subvolumes in it is set again, on the shared group.
    let is_simple = item(fd, STATUS_ITEM, 0)?.is_some_and(is_simple);
    let limit = if is_simple { None } else { limit_of(fd, number)? };
    Ok(Usage { used: info[1], limit, ..Usage::default() })
}

fn limit_of(fd: BorrowedFd<'_>, group: u64) -> Result<Option<u64>, Errno> {
    let limit = item(fd, LIMIT_ITEM, group)?.filter(|words| words[0] & REFERENCED != 0);
    Ok(limit.map(|words| words[1]).filter(|most| *most != NO_LIMIT))
}

/// Whether the status of quotas is that of simple ones.
const fn is_simple(status: [u64; 4]) -> bool {
    status[2] & SIMPLE != 0
}

/// The subvolume that the descriptor is in.
pub(in super::super) fn subvolume(fd: BorrowedFd<'_>) -> Result<Subvolume, Errno> {
    let (number, uuid) = raw::subvolume(fd)?;
    Ok(Subvolume { number, uuid })
}

/// The uuid of the subvolume of this number, also while the kernel still takes it away.
pub(in super::super) fn uuid(fd: BorrowedFd<'_>, number: u64) -> Result<Option<[u8; 16]>, Errno> {
    let found = raw::items(fd, ROOT_TREE, (number, ROOT_ITEM), 0..=u64::MAX, 1)?;
    let Some((_, item)) = found.first() else { return Ok(None) };
    // Subvolumes of before Linux 3.6 have none, and their items end earlier.
    let uuid = item.get(UUID..UUID + 16).and_then(|bytes| bytes.try_into().ok());
    Ok(Some(uuid.unwrap_or_default()))
}

/// Removes a group. The caller has seen that the subvolume is gone: older kernels take away also the
/// group of one that is there.
pub(in super::super) fn remove_group(fd: BorrowedFd<'_>, number: u64) -> Result<(), Errno> {
    raw::destroy_group(fd, number)
}

/// The first words of the item of a group in the quota tree: little-endian numbers of 8 bytes each.
fn item(fd: BorrowedFd<'_>, kind: u32, group: u64) -> Result<Option<[u64; 4]>, Errno> {
    let found = raw::items(fd, QUOTA_TREE, (0, kind), group..=group, 1)?;
    let word = |bytes: &[u8], at: usize| {
        let bytes = bytes.get(at * 8..at * 8 + 8).and_then(|bytes| bytes.try_into().ok());
        bytes.map_or(0, u64::from_le_bytes)
    };
    Ok(found.first().map(|(_, bytes)| [0, 1, 2, 3].map(|at| word(bytes, at))))
}

/// A name as these calls take it: no longer than a file's may be, and no path.
fn is_name(name: &OsStr) -> bool {
    let bytes = name.as_bytes();
    !bytes.is_empty()
        && bytes.len() <= 255
        && !bytes.contains(&b'/')
        && bytes != b"."
        && bytes != b".."
}
