//! Kernel quotas of directories: sets limits and reads usage, without a shell, a helper or a walk
//! through files.
//!
//! The module chooses no limit and knows neither claims nor pools. It asks the filesystem, not its
//! type, what it supports: a filesystem with quotas may have them switched off.

pub(super) mod btrfs;
pub mod project;
mod subvolume;

pub use subvolume::Subvolume;

use super::calls::Statfs;
use super::dirs::{Dir, PRIVATE, failed};
use super::{HostError, Operation};
use rustix::fd::BorrowedFd;
use rustix::fs::fstatfs;
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fmt;

/// How a filesystem can enforce quotas on directories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// With btrfs subvolumes, each with its own quota group.
    Subvolumes {
        /// Whether subvolumes created inside a subvolume count towards its limit.
        nested: bool,
    },
    /// With project IDs on files.
    Projects,
    /// Not at all, with the reason.
    None(QuotaUnavailable),
}

/// Why a filesystem cannot enforce quotas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuotaUnavailable {
    /// It has no quotas that this agent can set.
    Unsupported,
    /// It is btrfs with quotas off.
    BtrfsOff,
    /// It is btrfs with full quotas, which do not count nested subvolumes towards the volume's limit.
    BtrfsFullQuotas,
    /// It supports project quotas and is mounted without them.
    ProjectsOff,
    /// It supports project quotas and the kernel is too old to set them.
    OldKernel,
    /// No project ID is free.
    NoProjectId,
    /// The agent lacks the permission.
    Forbidden,
}

pub use fastrak_api::volume::QuotaGroup;

/// The usage of a quota group, as the kernel counts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes in use.
    pub used: u64,
    /// Files and directories; `None` if they are not counted.
    pub inodes: Option<u64>,
    /// The limit in bytes, if there is one.
    pub limit: Option<u64>,
    /// The limit of files and directories, if there is one.
    pub inode_limit: Option<u64>,
}

/// The limits of a quota group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes; `None` for no limit.
    pub bytes: Option<u64>,
    /// Files and directories; `None` for no limit. Only projects can limit them: btrfs counts the
    /// metadata of files in bytes.
    pub inodes: Option<u64>,
}

/// The magic number of btrfs (`linux/magic.h`).
const BTRFS: u32 = 0x9123_683E;
/// The magic number of XFS.
const XFS: u32 = 0x5846_5342;
/// The magic number of ext2, ext3 and ext4.
const EXT4: u32 = 0xEF53;

/// Returns how the filesystem of `dir` can enforce quotas.
pub fn support(dir: &Dir) -> Result<Support, HostError> {
    dir.handle().support().map_err(failed(Operation::Inspect, dir.path()))
}

/// Creates the directory `name` in `dir` as a subvolume, with exactly this mode.
pub fn make_subvolume(dir: &Dir, name: &OsStr, mode: u32) -> Result<Dir, HostError> {
    let path = dir.path().join(name);
    dir.handle().make_subvolume(name).map_err(failed(Operation::Create, &path))?;
    let made = dir.open(name)?;
    made.handle().permit(mode).map_err(failed(Operation::SetPermissions, &path))?;
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
    made.handle().permit(mode).map_err(failed(Operation::SetPermissions, made.path()))?;
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
    for group in [number, subvolume::shared_group(number)] {
        match dir.handle().remove_group(group) {
            // Since Linux 6.10 the kernel may remove the first itself. Only a volume has the second.
            Ok(()) | Err(Errno::NOENT) => {}
            // The kernel still frees the subvolume, or a snapshot shares its data, or a nested subvolume
            // is not gone yet.
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

impl Limits {
    /// No limit.
    pub const NONE: Self = Self { bytes: None, inodes: None };

    /// Limits bytes alone.
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

impl fmt::Display for QuotaUnavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unsupported => {
                "its filesystem has no quotas that the agent can set; use btrfs, XFS or ext4"
            }
            Self::BtrfsOff => {
                "the quotas of its btrfs are off; switch them on with `btrfs quota enable --simple`, \
                 or without --simple before Linux 6.7"
            }
            Self::BtrfsFullQuotas => {
                "the full quotas of its btrfs do not limit subvolumes that a pod creates in its volume; \
                 switch to simple quotas (Linux 6.7 and newer): `btrfs quota disable`, then \
                 `btrfs quota enable --simple`"
            }
            Self::ProjectsOff => {
                "it is mounted without project quotas; mount it with prjquota (ext4 needs the \
                 features quota and project as well)"
            }
            Self::OldKernel => {
                "the kernel lacks quotactl_fd, which sets the quotas of its filesystem; use Linux \
                 5.14 or newer"
            }
            Self::NoProjectId => "no free project ID was found for the volume",
            Self::Forbidden => {
                "the agent may not set quotas; give it the capability SYS_ADMIN, as the component \
                 deploy/quotas does"
            }
        })
    }
}
