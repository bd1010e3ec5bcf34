//! The system calls of the agent as two traits, one method for each call.
//!
//! Tests implement the traits to observe every call in order and to fail any of them. `kernel.rs` is
//! the implementation that ships. A method makes one call, or the few that set one property, and
//! decides nothing.

use super::Kind;
use super::quota::{Limits, QuotaGroup, Subvolume, Support, Usage};
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
    /// Waits for a change since the table was opened or the last change was returned. Cancelling the
    /// wait loses no change.
    fn changed(&self) -> BoxFuture<'_, Result<(), Errno>>;
}

/// An open file or directory, closed on drop.
pub trait Handle: Any + Debug + Send + Sync {
    /// Opens `name` in this directory. Never follows a symbolic link and never leaves the directory.
    fn open(&self, name: &OsStr, how: OpenMode) -> Result<Box<dyn Handle>, Errno>;

    /// Creates the directory `name`.
    fn make(&self, name: &OsStr, mode: u32) -> Result<(), Errno>;

    /// Sets the permissions of this file or directory.
    fn permit(&self, mode: u32) -> Result<(), Errno>;

    /// Sets an extended attribute of this file or directory.
    fn tag(&self, name: &str, value: &[u8]) -> Result<(), Errno>;

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

    /// Takes the exclusive lock (flock(2)) without waiting. The lock is held until the handle closes.
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

/// How a name is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// As a directory.
    Directory,
    /// As a directory that is not a mount point.
    SameMount,
    /// As a file, for reading. A FIFO does not block the caller.
    Read,
    /// As a new file, for writing. Fails if the name exists.
    New,
}

/// What a rename does if the new name exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnConflict {
    /// Fails.
    Fail,
    /// Replaces it.
    Replace,
}

/// The device of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// The major and minor number.
    pub number: (u32, u32),
    /// The inode of the directory.
    pub inode: u64,
    /// Whether the directory is a mount point; `None` if the kernel cannot report it.
    pub mount_root: Option<bool>,
}

/// The type and the capacity of a filesystem, in bytes (statfs(2)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statfs {
    /// The magic number of the filesystem (`linux/magic.h`).
    pub kind: u32,
    /// Whether it is mounted read-only.
    pub read_only: bool,
    /// The capacity.
    pub total: u64,
    /// The space that unprivileged users can still write.
    pub free: u64,
    /// The number of inodes; 0 if the filesystem has no fixed number.
    pub inodes: u64,
    /// The number of free inodes.
    pub free_inodes: u64,
}

impl Statfs {
    /// Returns whether the filesystem is in memory (tmpfs or ramfs).
    #[must_use]
    pub fn is_in_memory(&self) -> bool {
        const TMPFS: u32 = 0x0102_1994;
        const RAMFS: u32 = 0x8584_58F6;
        matches!(self.kind, TMPFS | RAMFS)
    }
}

/// The disk usage of a file or directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntrySize {
    /// Its type.
    pub kind: Kind,
    /// Its allocated bytes.
    pub bytes: u64,
    /// Its number of hard links.
    pub links: u64,
}
