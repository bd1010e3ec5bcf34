//! The ioctls of btrfs, one function for each: numbers and structures from `linux/btrfs.h`. The
//! module interprets nothing.
#![expect(unsafe_code, reason = "a raw ioctl: the caller must match the number and the structure")]

use super::super::Subvolume;
use super::is_name;
use rustix::fd::BorrowedFd;
use rustix::io::{Errno, Result};
use rustix::ioctl::{Opcode, Setter, Updater, ioctl, opcode};
use std::ffi::OsStr;
use std::ops::RangeInclusive;
use std::os::unix::ffi::OsStrExt as _;

/// The ioctl type of btrfs.
const BTRFS: u8 = 0x94;

#[repr(C)]
struct SubvolumeArgs {
    fd: i64,
    transaction: u64,
    flags: u64,
    unused: [u64; 4],
    name: [u8; 4040],
}

#[repr(C)]
struct NameArgs {
    fd: i64,
    name: [u8; 4088],
}

#[repr(C)]
struct LimitArgs {
    group: u64,
    flags: u64,
    max_referenced: u64,
    max_exclusive: u64,
    reserved_referenced: u64,
    reserved_exclusive: u64,
}

#[repr(C)]
struct GroupArgs {
    create: u64,
    group: u64,
}

#[repr(C)]
struct AssignArgs {
    assign: u64,
    member: u64,
    group: u64,
}

#[repr(C)]
struct SubvolumeInfo {
    number: u64,
    name: [u8; 256],
    parent: u64,
    directory: u64,
    generation: u64,
    flags: u64,
    uuid: [u8; 16],
    other_uuids: [u8; 32],
    transactions: [u64; 4],
    times: [u64; 8],
    unused: [u64; 8],
}

#[repr(C)]
struct SearchArgs {
    tree: u64,
    min_object: u64,
    max_object: u64,
    min_offset: u64,
    max_offset: u64,
    min_transaction: u64,
    max_transaction: u64,
    min_kind: u32,
    max_kind: u32,
    items: u32,
    unused: u32,
    unused_more: [u64; 4],
    found: [u8; 3992],
}

/// The length of the header of each search result: transaction, object and offset of 8 bytes each,
/// type and length of 4.
const HEADER: usize = 32;

const CREATE: Opcode = opcode::write::<SubvolumeArgs>(BTRFS, 24);
const DESTROY: Opcode = opcode::write::<NameArgs>(BTRFS, 15);
const SEARCH: Opcode = opcode::read_write::<SearchArgs>(BTRFS, 17);
const SET_FLAGS: Opcode = opcode::write::<u64>(BTRFS, 26);
const ASSIGN: Opcode = opcode::write::<AssignArgs>(BTRFS, 41);
const GROUP: Opcode = opcode::write::<GroupArgs>(BTRFS, 42);
/// The header declares this ioctl as reading, although it writes.
const LIMIT: Opcode = opcode::read::<LimitArgs>(BTRFS, 43);
const INFO: Opcode = opcode::read::<SubvolumeInfo>(BTRFS, 60);

pub(in crate::host) fn create_subvolume(fd: BorrowedFd<'_>, name: &OsStr) -> Result<()> {
    let args = SubvolumeArgs { fd: 0, transaction: 0, flags: 0, unused: [0; 4], name: text(name)? };
    // SAFETY: the number is that of BTRFS_IOC_SUBVOL_CREATE_V2; the structure matches and is only read.
    unsafe { ioctl(fd, Setter::<CREATE, _>::new(args)) }
}

/// Removes a subvolume with its content. Its quota group remains.
pub(in crate::host) fn destroy_subvolume(fd: BorrowedFd<'_>, name: &OsStr) -> Result<()> {
    let args = NameArgs { fd: 0, name: text(name)? };
    // SAFETY: the number is that of BTRFS_IOC_SNAP_DESTROY; the structure matches and is only read.
    unsafe { ioctl(fd, Setter::<DESTROY, _>::new(args)) }
}

/// Clears the only settable flag, read-only, of the subvolume with this root directory. The kernel
/// allows it to the owner and with CAP_FOWNER.
pub(in crate::host) fn make_writable(fd: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: the number is that of BTRFS_IOC_SUBVOL_SETFLAGS; the structure matches and is only read.
    unsafe { ioctl(fd, Setter::<SET_FLAGS, u64>::new(0)) }
}

pub(super) fn limit_group(fd: BorrowedFd<'_>, group: u64, flags: u64, most: u64) -> Result<()> {
    let args = LimitArgs {
        group,
        flags,
        max_referenced: most,
        max_exclusive: 0,
        reserved_referenced: 0,
        reserved_exclusive: 0,
    };
    // SAFETY: the number is that of BTRFS_IOC_QGROUP_LIMIT; the structure matches and is only read.
    unsafe { ioctl(fd, Setter::<LIMIT, _>::new(args)) }
}

pub(super) fn create_group(fd: BorrowedFd<'_>, group: u64) -> Result<()> {
    let args = GroupArgs { create: 1, group };
    // SAFETY: the number is that of BTRFS_IOC_QGROUP_CREATE; the structure matches and is only read.
    unsafe { ioctl(fd, Setter::<GROUP, _>::new(args)) }
}

/// Makes one group a member of another.
pub(super) fn assign_group(fd: BorrowedFd<'_>, member: u64, group: u64) -> Result<()> {
    let args = AssignArgs { assign: 1, member, group };
    // SAFETY: the number is that of BTRFS_IOC_QGROUP_ASSIGN; the structure matches and is only read.
    unsafe { ioctl(fd, Setter::<ASSIGN, _>::new(args)) }
}

/// Removes a quota group. The caller must check that the subvolume is gone: older kernels also
/// remove the group of an existing subvolume.
pub(in crate::host) fn destroy_group(fd: BorrowedFd<'_>, group: u64) -> Result<()> {
    let args = GroupArgs { create: 0, group };
    // SAFETY: the number is that of BTRFS_IOC_QGROUP_CREATE; the structure matches and is only read.
    unsafe { ioctl(fd, Setter::<GROUP, _>::new(args)) }
}

/// Returns the subvolume that contains the descriptor.
pub(in crate::host) fn subvolume(fd: BorrowedFd<'_>) -> Result<Subvolume> {
    let mut info = SubvolumeInfo {
        number: 0,
        name: [0; 256],
        parent: 0,
        directory: 0,
        generation: 0,
        flags: 0,
        uuid: [0; 16],
        other_uuids: [0; 32],
        transactions: [0; 4],
        times: [0; 8],
        unused: [0; 8],
    };
    // SAFETY: the number is that of BTRFS_IOC_GET_SUBVOL_INFO; the structure matches.
    unsafe { ioctl(fd, Updater::<INFO, _>::new(&mut info)) }?;
    Ok(Subvolume { number: info.number, uuid: info.uuid })
}

/// Returns the content of the first item of one type and object of a tree with an offset in a range.
pub(super) fn item(
    fd: BorrowedFd<'_>,
    tree: u64,
    (object, kind): (u64, u32),
    offsets: RangeInclusive<u64>,
) -> Result<Option<Vec<u8>>> {
    let mut args = SearchArgs {
        tree,
        min_object: object,
        max_object: object,
        min_offset: *offsets.start(),
        max_offset: *offsets.end(),
        min_transaction: 0,
        max_transaction: u64::MAX,
        min_kind: kind,
        max_kind: kind,
        items: 1,
        unused: 0,
        unused_more: [0; 4],
        found: [0; 3992],
    };
    // SAFETY: the number is that of BTRFS_IOC_TREE_SEARCH; the structure matches.
    unsafe { ioctl(fd, Updater::<SEARCH, _>::new(&mut args)) }?;
    if args.items == 0 {
        return Ok(None);
    }
    let (header, content) = args.found.split_at(HEADER);
    let length = header[28..32].try_into().map_or(0, u32::from_ne_bytes);
    Ok(content.get(..length as usize).map(<[u8]>::to_vec))
}

/// Returns the name in a zero-padded field of fixed length.
fn text<const LENGTH: usize>(name: &OsStr) -> Result<[u8; LENGTH]> {
    let mut field = [0; LENGTH];
    match field.get_mut(..name.len()) {
        Some(start) if is_name(name) => start.copy_from_slice(name.as_bytes()),
        _ => return Err(Errno::INVAL),
    }
    Ok(field)
}
