//! The system calls of project quotas, one function for each: numbers and structures from
//! `linux/fs.h`, `linux/quota.h` and `linux/dqblk_xfs.h`. The module interprets nothing.
//!
//! It uses the XFS commands (`Q_X..`): the kernel translates them for every other filesystem, so
//! one structure serves all.
#![expect(
    unsafe_code,
    reason = "a raw system call: the caller must match the number and the structure"
)]

use rustix::fd::{AsRawFd as _, BorrowedFd};
use rustix::io::{Errno, Result};
use rustix::ioctl::{Getter, Opcode, Setter, ioctl, opcode};

/// The quota type of every call here: `PRJQUOTA`.
const PROJECTS: u32 = 2;
/// `FS_PROJ_QUOTA`: the quota type as a flag in a record.
const OF_PROJECT: i8 = 1 << 1;
/// `FS_DQ_ISOFT`, `FS_DQ_IHARD`, `FS_DQ_BSOFT` and `FS_DQ_BHARD`: the limits that a record sets.
const EVERY_LIMIT: u16 = 0b1111;
/// The versions of the structures.
const QUOTA_VERSION: i8 = 1;
const STATE_VERSION: i8 = 1;

/// Returns `XQM_CMD(n)` for projects.
const fn command(n: u32) -> u32 {
    ((('X' as u32) << 8) + n) << 8 | PROJECTS
}

pub(super) const GET_QUOTA: u32 = command(3);
pub(super) const SET_LIMITS: u32 = command(4);
pub(super) const GET_STATE: u32 = command(8);
pub(super) const GET_NEXT_QUOTA: u32 = command(9);

pub(super) const GET_ATTRIBUTES: Opcode = opcode::read::<Attributes>(b'X', 31);
pub(super) const SET_ATTRIBUTES: Opcode = opcode::write::<Attributes>(b'X', 32);

/// `struct fsxattr`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(super) struct Attributes {
    pub(super) flags: u32,
    extent_size: u32,
    extents: u32,
    pub(super) project: u32,
    copy_extent_size: u32,
    unused: [u8; 8],
}

/// `struct fs_disk_quota`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Quota {
    version: i8,
    kind: i8,
    fields: u16,
    pub(super) project: u32,
    pub(super) hard_blocks: u64,
    soft_blocks: u64,
    pub(super) hard_inodes: u64,
    soft_inodes: u64,
    pub(super) blocks: u64,
    pub(super) inodes: u64,
    timers: [i32; 2],
    warnings: [u16; 2],
    timers_high: [i8; 4],
    real_time: [u64; 3],
    real_time_timer: i32,
    real_time_warnings: u16,
    unused: [u8; 10],
}

/// `struct fs_quota_statv`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct State {
    version: i8,
    unused: u8,
    flags: u16,
    in_core: u32,
    files: [[u64; 3]; 3],
    times: [i32; 3],
    warnings: [u16; 4],
    unused_more: [u8; 4],
    for_later: [u64; 7],
}

// The kernel would write past the end of a structure that is too short.
const _: () = assert!(size_of::<Attributes>() == 28);
const _: () = assert!(size_of::<Quota>() == 112);
const _: () = assert!(size_of::<State>() == 160);

/// A structure that the kernel fills. It has only integer fields, so every bit pattern is valid.
trait KernelStruct {}
impl KernelStruct for Quota {}
impl KernelStruct for State {}

impl Quota {
    /// Returns the record of a project with hard limits only.
    pub(super) fn limiting(project: u32, hard_blocks: u64, hard_inodes: u64) -> Self {
        let (version, kind, fields) = (QUOTA_VERSION, OF_PROJECT, EVERY_LIMIT);
        Self { version, kind, fields, project, hard_blocks, hard_inodes, ..Self::default() }
    }

    /// Returns whether the record has no file and no limit.
    pub(super) fn is_empty(&self) -> bool {
        let hard = self.hard_blocks | self.hard_inodes;
        let soft = self.soft_blocks | self.soft_inodes;
        // The real-time device: two limits and the usage.
        let real_time = self.real_time[0] | self.real_time[1] | self.real_time[2];
        hard | soft | real_time | self.blocks | self.inodes == 0
    }
}

pub(super) fn attributes(fd: BorrowedFd<'_>) -> Result<Attributes> {
    // SAFETY: the number is that of FS_IOC_FSGETXATTR, the structure matches, and the kernel fills it.
    unsafe { ioctl(fd, Getter::<GET_ATTRIBUTES, Attributes>::new()) }
}

pub(super) fn set_attributes(fd: BorrowedFd<'_>, attributes: Attributes) -> Result<()> {
    // SAFETY: the number is that of FS_IOC_FSSETXATTR and the structure matches; the kernel only reads it.
    unsafe { ioctl(fd, Setter::<SET_ATTRIBUTES, _>::new(attributes)) }
}

/// Returns the quota flags of the filesystem.
pub(super) fn state(fd: BorrowedFd<'_>) -> Result<u16> {
    let mut state = State { version: STATE_VERSION, ..State::default() };
    call(fd.as_raw_fd(), GET_STATE, 0, &mut state)?;
    Ok(state.flags)
}

pub(super) fn quota(fd: BorrowedFd<'_>, project: u32) -> Result<Quota> {
    let mut quota = Quota::default();
    call(fd.as_raw_fd(), GET_QUOTA, project, &mut quota)?;
    Ok(quota)
}

/// Returns the record of the first project from `from` on that has one.
pub(super) fn next_quota(fd: BorrowedFd<'_>, from: u32) -> Result<Quota> {
    let mut quota = Quota::default();
    call(fd.as_raw_fd(), GET_NEXT_QUOTA, from, &mut quota)?;
    Ok(quota)
}

/// Sets the limits in the record, and clears those that it lacks.
pub(super) fn set_limits(fd: BorrowedFd<'_>, mut quota: Quota) -> Result<()> {
    call(fd.as_raw_fd(), SET_LIMITS, quota.project, &mut quota)
}

/// Returns whether the kernel has the system call: it then rejects the invalid descriptor.
pub(super) fn is_available() -> bool {
    call(-1, GET_STATE, 0, &mut State::default()) != Err(Errno::NOSYS)
}

fn call<F: KernelStruct>(fd: i32, command: u32, project: u32, form: &mut F) -> Result<()> {
    let form = std::ptr::from_mut(form);
    // SAFETY: no command here writes more than its structure, which has the kernel's size and is ours.
    let result = unsafe { libc::syscall(libc::SYS_quotactl_fd, fd, command, project, form) };
    match result {
        0 => Ok(()),
        _ => Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)),
    }
}
