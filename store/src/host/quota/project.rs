//! Projects, as XFS and ext4 have them: files that bear one number are counted together, and held
//! to one limit. What is made in a directory that passes its number on bears it too.
//!
//! It chooses no numbers (`volumes/projects.rs` does) and changes one file at a time. A number on a
//! file is no secret and no lock: outside of a user namespace whoever owns a file may give it another
//! one. So what a volume's number is must be read from where its tenant cannot write.

use super::{Lack, Limits, Support, Usage};
use rustix::fd::BorrowedFd;
use rustix::io::Errno;

mod raw;
#[cfg(test)]
mod tests;

/// The unit in which these calls count, in bytes, on every filesystem.
const BLOCK: u64 = 512;
/// `FS_XFLAG_PROJINHERIT`: what is made in this directory gets its project.
const INHERIT: u32 = 0x200;
/// `FS_QUOTA_PDQ_ACCT` and `FS_QUOTA_PDQ_ENFD`: projects are counted, and held to their limits.
const COUNTED: u16 = 1 << 4;
const ENFORCED: u16 = 1 << 5;

/// What a filesystem does with projects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It counts them and holds them to their limits.
    Enforced,
    /// It counts them, and limits nothing.
    Counted,
    /// It does neither: it has no quotas, or they are not switched on.
    Off,
    /// The kernel is older than 5.14 and lacks the call, or whoever confines this process hides it.
    NoCall,
}

/// The project of a file or directory; 0 where nobody has given it one.
pub fn project_of(fd: BorrowedFd<'_>) -> Result<u32, Errno> {
    raw::attributes(fd).map(|attributes| attributes.project)
}

/// Gives a file or directory to a project, and says whether what is made in it follows. What it holds
/// already stays in its own.
pub fn set_project(fd: BorrowedFd<'_>, project: u32, inherit: bool) -> Result<(), Errno> {
    let mut attributes = raw::attributes(fd)?;
    attributes.project = project;
    attributes.flags = match inherit {
        true => attributes.flags | INHERIT,
        false => attributes.flags & !INHERIT,
    };
    raw::set_attributes(fd, attributes)
}

/// Whether the filesystem that `fd` is on holds projects to limits; `could` says that its kind can.
pub(super) fn support(fd: BorrowedFd<'_>, could: bool) -> Result<Support, Errno> {
    Ok(match state(fd) {
        Ok(State::Enforced) => Support::Projects,
        Ok(State::Counted) => Support::None(Lack::ProjectsOff),
        Ok(State::Off) if could => Support::None(Lack::ProjectsOff),
        Ok(State::NoCall) if could => Support::None(Lack::OldKernel),
        Ok(State::Off | State::NoCall) => Support::None(Lack::Filesystem),
        Err(Errno::PERM | Errno::ACCESS) if could => Support::None(Lack::Forbidden),
        Err(Errno::PERM | Errno::ACCESS) => Support::None(Lack::Filesystem),
        Err(errno) => return Err(errno),
    })
}

/// What the filesystem that `fd` is on does with projects.
pub fn state(fd: BorrowedFd<'_>) -> Result<State, Errno> {
    match raw::state(fd) {
        Ok(flags) if flags & ENFORCED != 0 => Ok(State::Enforced),
        Ok(flags) if flags & COUNTED != 0 => Ok(State::Counted),
        Ok(_) | Err(Errno::INVAL | Errno::SRCH) => Ok(State::Off),
        // The same word means that no quota is on, that the filesystem has none and that there is no
        // such call. The last of them is said before anything is looked at, the descriptor too.
        Err(Errno::NOSYS) => Ok(if raw::is_there() { State::Off } else { State::NoCall }),
        Err(errno) => Err(errno),
    }
}

/// Limits what the files of a project may hold; the kernel takes 0 for no limit, and so do we. Less
/// than they hold already is a limit too: nothing can be added then until something is removed.
pub fn limit(fd: BorrowedFd<'_>, project: u32, limits: Limits) -> Result<(), Errno> {
    let (blocks, inodes) = (limits.bytes.unwrap_or(0).div_ceil(BLOCK), limits.inodes.unwrap_or(0));
    raw::set_limits(fd, raw::Quota::limiting(project, blocks, inodes))
}

/// What the files of a project hold, and may hold.
pub fn usage(fd: BorrowedFd<'_>, project: u32) -> Result<Usage, Errno> {
    match raw::quota(fd, project) {
        Ok(quota) => Ok(Usage {
            used: quota.blocks.saturating_mul(BLOCK),
            inodes: Some(quota.inodes),
            limit: Some(quota.hard_blocks.saturating_mul(BLOCK)).filter(|bytes| *bytes != 0),
            inode_limit: Some(quota.hard_inodes).filter(|inodes| *inodes != 0),
        }),
        // XFS has no record of a project of which there was never a file or a limit.
        Err(Errno::NOENT) => Ok(Usage { inodes: Some(0), ..Usage::default() }),
        Err(errno) => Err(errno),
    }
}

/// The first project from `from` on of which there is a file or a limit.
pub fn next_used(fd: BorrowedFd<'_>, from: u32) -> Result<Option<u32>, Errno> {
    let mut from = from;
    // The last of all numbers stands for none, and the kernel does not take it.
    while from != u32::MAX {
        match raw::next_quota(fd, from) {
            // ext4 shows records that are empty: of projects that somebody has just asked about.
            Ok(quota) if quota.is_empty() => from = quota.project.saturating_add(1),
            Ok(quota) => return Ok(Some(quota.project)),
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(errno),
        }
    }
    Ok(None)
}
