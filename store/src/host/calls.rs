//! The system calls of the agent as two traits, one method for each call.
//!
//! Tests implement the traits to observe every call in order and to fail any of them. `kernel.rs`
//! is the implementation that ships. A method makes one call, or the few that set one property, and
//! decides nothing.

mod quota;
mod subvolume;
mod types;

pub use fastrak_api::volume::QuotaGroup;
pub use quota::{Limits, QuotaUnavailable, Support, Usage};
pub use subvolume::Subvolume;
pub use types::{Device, EntrySize, Kind, OnConflict, OpenMode, Statfs};

use futures::future::BoxFuture;
use rustix::fs::IFlags;
use rustix::io::Errno;
use std::any::Any;
use std::ffi::{OsStr, OsString};
use std::fmt::Debug;
use std::path::Path;

/// The calls that need no open file.
pub trait Machine: Debug + Send + Sync {
    /// Opens the directory at `path`. Follows symbolic links except in the last component.
    fn open(&self, path: &Path) -> Result<Box<dyn Handle>, Errno>;

    /// Returns the type of `path` without following a symbolic link.
    fn kind_at(&self, path: &Path) -> Result<Kind, Errno>;

    /// Returns the visible mounts in the format of `mountinfo` (proc(5)).
    fn mounts(&self) -> Result<Vec<u8>, Errno>;

    /// Opens the mount table to wait for changes.
    fn watch_mounts(&self) -> Result<Box<dyn MountWatch>, Errno>;

    /// Returns a new random UUID.
    fn random_uuid(&self) -> Result<String, Errno>;
}

/// The mount table, open to wait for changes.
pub trait MountWatch: Debug + Send + Sync {
    /// Waits for a change since the table was opened or the last change was returned. Cancelling
    /// the wait loses no change.
    fn changed(&self) -> BoxFuture<'_, Result<(), Errno>>;
}

/// An open file or directory, closed on drop.
pub trait Handle: Any + Debug + Send + Sync {
    /// Opens `name` in this directory. Never follows a symbolic link and never leaves the
    /// directory.
    fn open(&self, name: &OsStr, how: OpenMode) -> Result<Box<dyn Handle>, Errno>;

    /// Creates the directory `name`.
    fn mkdir(&self, name: &OsStr, mode: u32) -> Result<(), Errno>;

    /// Sets the permissions of this file or directory.
    fn chmod(&self, mode: u32) -> Result<(), Errno>;

    /// Sets an extended attribute of this file or directory.
    fn set_xattr(&self, name: &str, value: &[u8]) -> Result<(), Errno>;

    /// Returns the inode flags, as chattr(1) sets them.
    fn flags(&self) -> Result<IFlags, Errno>;

    /// Sets the inode flags.
    fn set_flags(&self, flags: IFlags) -> Result<(), Errno>;

    /// Returns the type of this file or directory.
    fn kind(&self) -> Result<Kind, Errno>;

    /// Returns the type of `name` without following a symbolic link.
    fn kind_of(&self, name: &OsStr) -> Result<Kind, Errno>;

    /// Returns the disk usage of `name` without following a symbolic link.
    fn entry_size(&self, name: &OsStr) -> Result<EntrySize, Errno>;

    /// Returns up to `limit` names in this directory, in directory order.
    fn names(&self, limit: usize) -> Result<Vec<OsString>, Errno>;

    /// Returns the next batch of names, or `None` at the end. Each name that exists throughout the
    /// listing appears exactly once.
    fn more_names(&self) -> Result<Option<Vec<OsString>>, Errno>;

    /// Restarts the listing of [`Handle::more_names`].
    fn rewind(&self) -> Result<(), Errno>;

    /// Moves `name` into the directory `target` as `new`.
    fn rename(
        &self,
        name: &OsStr,
        target: &dyn Handle,
        new: &OsStr,
        there: OnConflict,
    ) -> Result<(), Errno>;

    /// Removes `name`, which must not be a directory.
    fn unlink(&self, name: &OsStr) -> Result<(), Errno>;

    /// Removes the empty directory `name`.
    fn remove_empty(&self, name: &OsStr) -> Result<(), Errno>;

    /// Reads at the current offset. Returns the number of bytes, 0 at the end of the file.
    fn read(&self, buffer: &mut [u8]) -> Result<usize, Errno>;

    /// Writes at the current offset. Returns the number of bytes.
    fn write(&self, bytes: &[u8]) -> Result<usize, Errno>;

    /// Takes the exclusive lock (flock(2)) without waiting. The lock is held until the handle
    /// closes.
    fn lock(&self) -> Result<(), Errno>;

    /// Releases the lock, also if a forked process still holds a copy of the descriptor.
    fn unlock(&self) -> Result<(), Errno>;

    /// Flushes this file or directory to the disk.
    fn sync(&self) -> Result<(), Errno>;

    /// Returns the device of `name`, or of this directory if the name is empty.
    fn device(&self, name: &str) -> Result<Device, Errno>;

    /// Returns the type and the capacity of the filesystem.
    fn statfs(&self) -> Result<Statfs, Errno>;

    /// Returns how the filesystem can enforce quotas on directories.
    fn support(&self) -> Result<Support, Errno>;

    /// Creates the btrfs subvolume `name`.
    fn make_subvolume(&self, name: &OsStr) -> Result<(), Errno>;

    /// Removes the subvolume `name` with its content. Fails if it contains another subvolume.
    fn remove_subvolume(&self, name: &OsStr) -> Result<(), Errno>;

    /// Assigns this empty directory, and everything created in it, to a project.
    fn join_project(&self, project: u32) -> Result<(), Errno>;

    /// Returns the first project ID from `first` on that has a file or a limit.
    fn project_from(&self, first: u32) -> Result<Option<u32>, Errno>;

    /// Sets the limits of this directory's quota group, and clears those that `limits` lacks.
    fn limit(&self, group: QuotaGroup, limits: Limits) -> Result<(), Errno>;

    /// Returns the usage of this directory's quota group.
    fn usage(&self, group: QuotaGroup) -> Result<Usage, Errno>;

    /// Returns whether `name` is a btrfs subvolume.
    fn is_subvolume(&self, name: &OsStr) -> Result<bool, Errno>;

    /// Clears the read-only flag of the subvolume whose root this directory is.
    fn make_writable(&self) -> Result<(), Errno>;

    /// Returns the subvolume that contains this directory.
    fn subvolume(&self) -> Result<Subvolume, Errno>;

    /// Returns the UUID of the subvolume with this ID, or `None` if there is none.
    fn subvolume_uuid(&self, number: u64) -> Result<Option<[u8; 16]>, Errno>;

    /// Removes the quota group with this ID.
    fn remove_group(&self, number: u64) -> Result<(), Errno>;
}
