//! Project quotas, as XFS and ext4 have them: the kernel counts files with the same project ID
//! together and enforces one limit. New entries of a directory can inherit its project.
//!
//! The module does not choose IDs (`volumes/quota/projects.rs` does) and changes one file at a
//! time. A project ID is neither secret nor protected: outside a user namespace, the owner of a
//! file can change it. The ID of a volume must therefore be read from where its tenant cannot
//! write.

use super::{Limits, QuotaUnavailable, Support, Usage};
use rustix::fd::BorrowedFd;
use rustix::io::Errno;

mod raw;
#[cfg(test)]
mod tests;

/// The unit of these calls in bytes, on every filesystem.
const BLOCK: u64 = 512;
/// `FS_XFLAG_PROJINHERIT`: entries created in this directory inherit its project.
const INHERIT: u32 = 0x200;
/// `FS_QUOTA_PDQ_ACCT` and `FS_QUOTA_PDQ_ENFD`: projects are counted, and limits are enforced.
const COUNTED: u16 = 1 << 4;
const ENFORCED: u16 = 1 << 5;

/// Returns the project of a file or directory; 0 is the default project.
pub fn project_of(fd: BorrowedFd<'_>) -> Result<u32, Errno> {
    raw::attributes(fd).map(|attributes| attributes.project)
}

/// Assigns a file or directory to a project. `inherit` says whether new entries in the directory
/// inherit it. Existing entries keep their project.
pub fn set_project(fd: BorrowedFd<'_>, project: u32, inherit: bool) -> Result<(), Errno> {
    let mut attributes = raw::attributes(fd)?;
    attributes.project = project;
    attributes.flags = match inherit {
        true => attributes.flags | INHERIT,
        false => attributes.flags & !INHERIT,
    };
    raw::set_attributes(fd, attributes)
}

/// Returns whether the filesystem of `fd` enforces project quotas. `could` says that its type can.
pub fn support(fd: BorrowedFd<'_>, could: bool) -> Result<Support, Errno> {
    let without = |reason| if could { reason } else { QuotaUnavailable::Unsupported };
    let reason = match raw::state(fd) {
        Ok(flags) if flags & ENFORCED != 0 => return Ok(Support::Projects),
        Ok(flags) if flags & COUNTED != 0 => QuotaUnavailable::ProjectsOff,
        Ok(_) | Err(Errno::INVAL | Errno::SRCH) => without(QuotaUnavailable::ProjectsOff),
        // ENOSYS means that no quota is on, that the filesystem has none, or that the call is
        // missing: the kernel is older than 5.14, or a seccomp filter hides the call. The kernel
        // reports a missing call before it checks the descriptor.
        Err(Errno::NOSYS) if raw::is_available() => without(QuotaUnavailable::ProjectsOff),
        Err(Errno::NOSYS) => without(QuotaUnavailable::OldKernel),
        Err(Errno::PERM | Errno::ACCESS) => without(QuotaUnavailable::Forbidden),
        Err(errno) => return Err(errno),
    };
    Ok(Support::None(reason))
}

/// Sets the limits of a project; 0 means no limit, as for the kernel. A limit below the current
/// usage is valid: nothing can be added until something is removed.
pub fn limit(fd: BorrowedFd<'_>, project: u32, limits: Limits) -> Result<(), Errno> {
    let (blocks, inodes) = (limits.bytes.unwrap_or(0).div_ceil(BLOCK), limits.inodes.unwrap_or(0));
    raw::set_limits(fd, raw::Quota::limiting(project, blocks, inodes))
}

/// Returns the usage and the limits of a project.
pub fn usage(fd: BorrowedFd<'_>, project: u32) -> Result<Usage, Errno> {
    match raw::quota(fd, project) {
        Ok(quota) => Ok(Usage {
            used: quota.blocks.saturating_mul(BLOCK),
            inodes: Some(quota.inodes),
            limit: Some(quota.hard_blocks.saturating_mul(BLOCK)).filter(|bytes| *bytes != 0),
            inode_limit: Some(quota.hard_inodes).filter(|inodes| *inodes != 0),
        }),
        // XFS has no record of a project that never had a file or a limit.
        Err(Errno::NOENT) => Ok(Usage { inodes: Some(0), ..Usage::default() }),
        Err(errno) => Err(errno),
    }
}

/// Returns the first project from `from` on that has a file or a limit.
pub fn next_used(fd: BorrowedFd<'_>, from: u32) -> Result<Option<u32>, Errno> {
    let mut from = from;
    // The highest ID stands for none, and the kernel rejects it.
    while from != u32::MAX {
        match raw::next_quota(fd, from) {
            // ext4 returns empty records of projects that somebody has just looked up.
            Ok(quota) if quota.is_empty() => from = quota.project.saturating_add(1),
            Ok(quota) => return Ok(Some(quota.project)),
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(errno),
        }
    }
    Ok(None)
}
