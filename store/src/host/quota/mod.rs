//! Limits on what a directory may hold that the kernel itself enforces, and what it holds: no
//! shell, no helper, no walk through files.
//!
//! It decides on no limit, and knows neither claims nor pools. What a filesystem can do is asked of
//! that filesystem and not of its name: a quota that is built in may still be off.

pub(super) mod btrfs;
pub mod project;
mod subvolume;

pub use subvolume::Subvolume;

use super::calls::Room;
use super::dirs::{Dir, PRIVATE, failed};
use super::{HostError, Verb};
use rustix::fd::BorrowedFd;
use rustix::fs::fstatfs;
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fmt;

/// How a filesystem can hold directories to limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// By subvolumes of btrfs, each with a group of its own.
    Subvolumes {
        /// Whether subvolumes that are made in one are held to its limit with it.
        nested: bool,
    },
    /// By projects, whose number files carry.
    Projects,
    /// Not at all, and why.
    None(Lack),
}

/// Why a filesystem holds nothing to a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// It has no quotas that could be set here.
    Filesystem,
    /// It is btrfs, and its quotas are off.
    BtrfsOff,
    /// It is btrfs with full quotas, which do not hold subvolumes in a volume to the volume's limit.
    BtrfsNested,
    /// It could count projects, and is mounted without.
    ProjectsOff,
    /// It could count projects, and the kernel is too old to be asked.
    OldKernel,
    /// No number for a project is free.
    NoNumber,
    /// We may not ask for them.
    Forbidden,
}

pub use fastrak_api::volume::QuotaGroup;

/// What a group holds, as the kernel counts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes.
    pub used: u64,
    /// Files and directories; none where they are not counted.
    pub inodes: Option<u64>,
    /// The most bytes that it may hold; none where nothing limits them.
    pub limit: Option<u64>,
    /// The most files and directories that it may hold; none where nothing limits them.
    pub inode_limit: Option<u64>,
}

/// The most that a group may hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes; none for any number.
    pub bytes: Option<u64>,
    /// Files and directories; none for any number. Only projects can be held to it: what files take of
    /// a btrfs beside their content is counted in bytes there.
    pub inodes: Option<u64>,
}

/// `f_type` of btrfs, from `linux/magic.h`.
const BTRFS: u32 = 0x9123_683E;
/// That of XFS.
const XFS: u32 = 0x5846_5342;
/// That of ext4, and of its elders.
const EXT4: u32 = 0xEF53;

/// How the filesystem of `dir` can hold directories to limits.
pub fn support(dir: &Dir) -> Result<Support, HostError> {
    dir.handle().support().map_err(failed(Verb::Examine, dir.path()))
}

/// Makes the directory `name` in `dir`, with exactly this mode, as a subvolume.
pub fn make_subvolume(dir: &Dir, name: &OsStr, mode: u32) -> Result<Dir, HostError> {
    let path = dir.path().join(name);
    dir.handle().make_subvolume(name).map_err(failed(Verb::Make, &path))?;
    let made = dir.open(name)?;
    made.handle().permit(mode).map_err(failed(Verb::Permit, &path))?;
    Ok(made)
}

/// Makes the directory `name` in `dir`, with exactly this mode, whose content is counted as `project`.
pub fn make_in_project(
    dir: &Dir,
    (name, mode): (&OsStr, u32),
    project: u32,
) -> Result<Dir, HostError> {
    let made = dir.make(name, PRIVATE)?;
    made.handle().join_project(project).map_err(failed(Verb::Limit, made.path()))?;
    made.handle().permit(mode).map_err(failed(Verb::Permit, made.path()))?;
    Ok(made)
}

/// Limits what the group of `dir` may hold. Less than it holds already is a limit too: nothing can be
/// added then until something is removed.
pub fn limit(dir: &Dir, group: QuotaGroup, limits: Limits) -> Result<(), HostError> {
    dir.handle().limit(group, limits).map_err(failed(Verb::Limit, dir.path()))
}

/// What the group of `dir` holds, and may hold.
pub fn usage(dir: &Dir, group: QuotaGroup) -> Result<Usage, HostError> {
    dir.handle().usage(group).map_err(failed(Verb::Examine, dir.path()))
}

/// The first project from `first` on that is in use on the filesystem of `dir`.
pub fn project_from(dir: &Dir, first: u32) -> Result<Option<u32>, HostError> {
    dir.handle().project_from(first).map_err(failed(Verb::Examine, dir.path()))
}

/// The uuid of the subvolume of this number on the filesystem of `dir`; `None` where there is none.
pub fn subvolume_uuid(dir: &Dir, number: u64) -> Result<Option<[u8; 16]>, HostError> {
    dir.handle().subvolume_uuid(number).map_err(failed(Verb::Examine, dir.path()))
}

/// Sees to it that a subvolume that is gone has no groups on the filesystem of `dir`: neither its own nor
/// the one that it shared with the subvolumes in it. Returns `false` where the kernel still needs one.
pub fn remove_groups(dir: &Dir, number: u64) -> Result<bool, HostError> {
    for group in [number, subvolume::shared_group(number)] {
        match dir.handle().remove_group(group) {
            // Since Linux 6.10 the kernel may have been first, and only a volume has the second.
            Ok(()) | Err(Errno::NOENT) => {}
            // The last bytes of the subvolume are still being given back, or a snapshot has them too,
            // or a subvolume that was in it is not gone yet.
            Err(Errno::BUSY) => return Ok(false),
            Err(errno) => return Err(failed(Verb::Remove, dir.path())(errno)),
        }
    }
    Ok(true)
}

/// What the filesystem of this descriptor is, and what room it has.
pub(super) fn room(fd: BorrowedFd<'_>) -> Result<Room, Errno> {
    /// statfs(2): the flag of a filesystem that is read-only.
    const RDONLY: i128 = 1;
    let stat = fstatfs(fd)?;
    let size = u64::try_from(stat.f_bsize).unwrap_or(0);
    Ok(Room {
        // The field is 32 bits wide in the kernel, and wider or signed on some platforms here.
        kind: u32::try_from(i128::from(stat.f_type) & 0xFFFF_FFFF).unwrap_or(0),
        read_only: i128::from(stat.f_flags) & RDONLY != 0,
        total: stat.f_blocks.saturating_mul(size),
        free: stat.f_bavail.saturating_mul(size),
        inodes: stat.f_files,
        free_inodes: stat.f_ffree,
    })
}

/// How the filesystem of this descriptor can hold directories to limits.
pub(super) fn supported(fd: BorrowedFd<'_>) -> Result<Support, Errno> {
    match room(fd)?.kind {
        BTRFS => btrfs::support(fd),
        kind => project::support(fd, matches!(kind, XFS | EXT4)),
    }
}

impl Limits {
    /// No limit at all.
    pub const NONE: Self = Self { bytes: None, inodes: None };

    /// A limit on bytes alone.
    #[must_use]
    pub const fn bytes(bytes: u64) -> Self {
        Self { bytes: Some(bytes), inodes: None }
    }
}

impl From<&fastrak_api::volume::Identity> for Limits {
    fn from(identity: &fastrak_api::volume::Identity) -> Self {
        Self { bytes: Some(identity.bytes), inodes: identity.inodes() }
    }
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Filesystem => {
                "its filesystem has no quotas that could be used; btrfs, XFS and ext4 have"
            }
            Self::BtrfsOff => {
                "the quotas of its btrfs are off; switch them on with `btrfs quota enable --simple`, \
                 or without --simple before Linux 6.7"
            }
            Self::BtrfsNested => {
                "the quotas of its btrfs do not hold subvolumes that a pod makes in its volume to the \
                 volume's size; simple quotas do (Linux 6.7 and newer): `btrfs quota disable`, then \
                 `btrfs quota enable --simple`"
            }
            Self::ProjectsOff => {
                "it is mounted without project quotas; mount it with prjquota (ext4 needs the \
                 features quota and project as well)"
            }
            Self::OldKernel => {
                "the kernel cannot be asked for the quotas of its filesystem; Linux 5.14 and newer can"
            }
            Self::NoNumber => "so many project numbers are taken that none was found for it",
            Self::Forbidden => {
                "the agent may not set quotas; give it the capability SYS_ADMIN, as the overlay \
                 deploy/quotas does"
            }
        })
    }
}
