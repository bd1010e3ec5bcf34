//! System calls: directories, small files, mounts, quotas.
//!
//! The module makes no decisions and has no Kubernetes types. Every call goes through the traits in
//! `calls.rs`; `kernel.rs` implements them. Everything below a pool is opened relative to a
//! descriptor, one name at a time, because tenants can replace the directories that they may write
//! to by symbolic links.

pub mod calls;
pub mod dirs;
pub mod files;
mod kernel;
pub mod machine;
pub mod measure;
pub mod mounts;
pub mod quota;
pub mod removal;

use rustix::io::Errno;
use std::fmt;

pub use calls::Kind;
pub use dirs::Dir;
pub use kernel::Kernel;

/// The operation that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Open a file or a directory.
    Open,
    /// Read a file or a directory.
    Read,
    /// Write a file.
    Write,
    /// Create a directory.
    Create,
    /// Set permissions.
    SetPermissions,
    /// Set an extended attribute.
    SetAttribute,
    /// Set a quota.
    SetQuota,
    /// Lock a file or a directory.
    Lock,
    /// Flush a file or a directory to the disk.
    Sync,
    /// Rename an entry.
    Rename,
    /// Remove an entry.
    Remove,
    /// Read the metadata of an entry or a filesystem.
    Inspect,
}

/// A system call that failed.
#[derive(Debug, thiserror::Error)]
#[error("could not {verb} {what}")]
pub struct HostError {
    /// The operation.
    pub verb: Operation,
    /// The object of the operation, usually a path.
    pub what: String,
    /// The error of the kernel.
    #[source]
    pub errno: Errno,
}

impl HostError {
    /// Returns whether the entry does not exist (`ENOENT`).
    #[must_use]
    pub fn is_missing(&self) -> bool {
        self.errno == Errno::NOENT
    }

    /// Returns whether the new name exists (`EEXIST`).
    #[must_use]
    pub fn already_exists(&self) -> bool {
        self.errno == Errno::EXIST
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::Read => "read",
            Self::Write => "write",
            Self::Create => "create",
            Self::SetPermissions => "set the permissions of",
            Self::SetAttribute => "set an extended attribute of",
            Self::SetQuota => "set the quota of",
            Self::Lock => "lock",
            Self::Sync => "sync",
            Self::Rename => "rename",
            Self::Remove => "remove",
            Self::Inspect => "inspect",
        })
    }
}
