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

pub use calls::Kind;
pub use dirs::Dir;
pub use kernel::Kernel;

/// The operation that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Operation {
    /// Open a file or a directory.
    #[error("open")]
    Open,
    /// Read a file or a directory.
    #[error("read")]
    Read,
    /// Write a file.
    #[error("write")]
    Write,
    /// Create a directory.
    #[error("create")]
    Create,
    /// Set permissions.
    #[error("set the permissions of")]
    SetPermissions,
    /// Set an extended attribute.
    #[error("set an extended attribute of")]
    SetAttribute,
    /// Set a quota.
    #[error("set the quota of")]
    SetQuota,
    /// Lock a file or a directory.
    #[error("lock")]
    Lock,
    /// Flush a file or a directory to the disk.
    #[error("sync")]
    Sync,
    /// Rename an entry.
    #[error("rename")]
    Rename,
    /// Remove an entry.
    #[error("remove")]
    Remove,
    /// Read the metadata of an entry or a filesystem.
    #[error("inspect")]
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
