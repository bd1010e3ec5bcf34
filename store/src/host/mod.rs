//! The only door to the machine: directories, small files, mounts, what a filesystem is.
//!
//! It decides nothing and knows no Kubernetes. All of it goes through the calls in `calls.rs`, which
//! `kernel.rs` makes for real. Everything below a pool is reached from an open descriptor, one name at
//! a time, so that nothing that a tenant does to the folders he may write to can lead it elsewhere.

pub mod calls;
pub mod dirs;
pub mod files;
mod kernel;
pub mod machine;
pub mod measure;
pub mod mounts;
pub mod quota;
pub mod reap;

use rustix::io::Errno;
use std::fmt;

pub use dirs::{Dir, Kind};
pub use kernel::Kernel;

/// What was being done to the machine when it said no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Opening a file or a directory.
    Open,
    /// Reading a file or a directory.
    Read,
    /// Writing a file.
    Write,
    /// Making a directory.
    Make,
    /// Setting permissions.
    Permit,
    /// Writing an extended attribute.
    Tag,
    /// Limiting what it may hold.
    Limit,
    /// Taking its lock.
    Lock,
    /// Making sure that it is on the disk.
    Sync,
    /// Renaming.
    Rename,
    /// Removing.
    Remove,
    /// Asking what it is.
    Examine,
}

/// The machine said no.
#[derive(Debug, thiserror::Error)]
#[error("could not {verb} {what}")]
pub struct HostError {
    /// What was being done.
    pub verb: Verb,
    /// To what.
    pub what: String,
    /// What the kernel said.
    #[source]
    pub errno: Errno,
}

impl HostError {
    /// Whether it is only that there is nothing of that name.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        self.errno == Errno::NOENT
    }

    /// Whether it is only that there is something of that name already.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        self.errno == Errno::EXIST
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::Read => "read",
            Self::Write => "write",
            Self::Make => "make",
            Self::Permit => "set the permissions of",
            Self::Tag => "tag",
            Self::Limit => "limit",
            Self::Lock => "lock",
            Self::Sync => "sync",
            Self::Rename => "rename",
            Self::Remove => "remove",
            Self::Examine => "examine",
        })
    }
}
