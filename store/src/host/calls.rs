//! The calls of the kernel that the agent makes, one method each, as two traits.
//!
//! This is the seam below everything that the agent does to a machine: whoever implements it sees
//! every call, in order, and may refuse it. `kernel.rs` is the one implementation that ships. No
//! method does more than its one call, or the few that set one thing, and none decides anything.

use super::Kind;
use super::quota::{Limits, QuotaGroup, Subvolume, Support, Usage};
use futures::future::BoxFuture;
use rustix::fs::IFlags;
use rustix::io::Errno;
use std::any::Any;
use std::ffi::{OsStr, OsString};
use std::fmt::Debug;
use std::path::Path;

/// What can be asked of a machine without an open file.
pub trait Machine: Debug + Send + Sync {
    /// Opens the directory at `path`. Links are followed on the way, but not at the end.
    fn open(&self, path: &Path) -> Result<Box<dyn Handle>, Errno>;

    /// What `path` stands for, a link at its end not followed.
    fn kind_at(&self, path: &Path) -> Result<Kind, Errno>;

    /// The mounts that are visible now, as proc(5) writes them.
    fn mounts(&self) -> Result<Vec<u8>, Errno>;

    /// Opens the list of mounts to wait for its changes. Fails if it cannot be waited for.
    fn watch_mounts(&self) -> Result<Box<dyn MountWatch>, Errno>;

    /// A new random UUID.
    fn random_uuid(&self) -> Result<String, Errno>;
}

/// The list of mounts, open to wait for its changes.
pub trait MountWatch: Debug + Send + Sync {
    /// Returns when the list has changed since it was opened, or since the last change was returned.
    /// Cancelling the wait loses no change.
    fn changed(&self) -> BoxFuture<'_, Result<(), Errno>>;
}

/// An open file or directory. It is closed when it is dropped.
pub trait Handle: Any + Debug + Send + Sync {
    /// Opens `name` in this directory, as [`How`] says; never through a link, never outside.
    fn open(&self, name: &OsStr, how: How) -> Result<Box<dyn Handle>, Errno>;

    /// Makes the directory `name`.
    fn make(&self, name: &OsStr, mode: u32) -> Result<(), Errno>;

    /// Sets the permissions of this file or directory.
    fn permit(&self, mode: u32) -> Result<(), Errno>;

    /// Writes an extended attribute of this file or directory.
    fn tag(&self, name: &str, value: &[u8]) -> Result<(), Errno>;

    /// The marks that chattr(1) sets.
    fn flags(&self) -> Result<IFlags, Errno>;

    /// Sets them.
    fn set_flags(&self, flags: IFlags) -> Result<(), Errno>;

    /// What this is.
    fn kind(&self) -> Result<Kind, Errno>;

    /// What `name` in this directory is, a link not followed.
    fn kind_of(&self, name: &OsStr) -> Result<Kind, Errno>;

    /// What `name` in this directory takes, a link not followed.
    fn extent(&self, name: &OsStr) -> Result<Extent, Errno>;

    /// Up to `limit` names in this directory, in the order in which it gives them.
    fn names(&self, limit: usize) -> Result<Vec<OsString>, Errno>;

    /// Some of the names that follow those read before; `None` at the end. Names that come or go
    /// meanwhile may be among them or not; all others are, once.
    fn more_names(&self) -> Result<Option<Vec<OsString>>, Errno>;

    /// Lets [`Handle::more_names`] begin again.
    fn rewind(&self) -> Result<(), Errno>;

    /// Moves `name` into the directory `target` as `new`.
    fn rename(
        &self,
        name: &OsStr,
        target: &dyn Handle,
        new: &OsStr,
        there: There,
    ) -> Result<(), Errno>;

    /// Removes `name`, which is no directory.
    fn unlink(&self, name: &OsStr) -> Result<(), Errno>;

    /// Removes the empty directory `name`.
    fn remove_empty(&self, name: &OsStr) -> Result<(), Errno>;

    /// Reads on from where the last reading ended; how much, and nothing at the end.
    fn read(&self, buffer: &mut [u8]) -> Result<usize, Errno>;

    /// Writes on from where the last writing ended; how much.
    fn write(&self, bytes: &[u8]) -> Result<usize, Errno>;

    /// Takes the exclusive lock of this file or directory (flock(2)), which is held until this handle is
    /// closed; an error if another open file holds it.
    fn lock(&self) -> Result<(), Errno>;

    /// Gives the lock up, also if a process that was just forked still has a copy of this handle.
    fn unlock(&self) -> Result<(), Errno>;

    /// Returns when what was done to this file or directory is on the disk.
    fn sync(&self) -> Result<(), Errno>;

    /// On which device `name` in this directory is; with an empty name, this itself.
    fn device(&self, name: &str) -> Result<Device, Errno>;

    /// What this one's filesystem is, and what room it has.
    fn room(&self) -> Result<Room, Errno>;

    /// How this one's filesystem can hold directories to limits.
    fn support(&self) -> Result<Support, Errno>;

    /// Makes `name` in this directory as a subvolume of btrfs.
    fn make_subvolume(&self, name: &OsStr) -> Result<(), Errno>;

    /// Removes the subvolume `name` with all that is in it but other subvolumes.
    fn remove_subvolume(&self, name: &OsStr) -> Result<(), Errno>;

    /// Has this directory, which is empty, and all that is ever made in it counted as this project.
    fn join_project(&self, project: u32) -> Result<(), Errno>;

    /// The first project from this number on that anything is counted as, or limited by.
    fn project_from(&self, first: u32) -> Result<Option<u32>, Errno>;

    /// Sets the limits of `group`, to which this directory belongs, and takes away those it lacks.
    fn limit(&self, group: QuotaGroup, limits: Limits) -> Result<(), Errno>;

    /// What `group`, to which this directory belongs, holds.
    fn usage(&self, group: QuotaGroup) -> Result<Usage, Errno>;

    /// Whether `name` in this directory is a subvolume, on a filesystem that has them.
    fn is_subvolume(&self, name: &OsStr) -> Result<bool, Errno>;

    /// Makes the subvolume writable whose root this directory is, also if it is writable already.
    fn make_writable(&self) -> Result<(), Errno>;

    /// The subvolume that this directory is in.
    fn subvolume(&self) -> Result<Subvolume, Errno>;

    /// The uuid of the subvolume that has this number now; `None` where none has it.
    fn subvolume_uuid(&self, number: u64) -> Result<Option<[u8; 16]>, Errno>;

    /// Removes the group of this number, which is that of a subvolume or one above it.
    fn remove_group(&self, number: u64) -> Result<(), Errno>;
}

/// What is to be opened, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// A directory.
    Directory,
    /// A directory on which nothing is mounted.
    SameMount,
    /// A file, for reading. A pipe in its place does not hold up the caller.
    Read,
    /// A new file, for writing, where there is nothing of that name.
    New,
}

/// What a rename does about something that has the new name already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum There {
    /// Nothing: the rename fails.
    Stays,
    /// It is replaced.
    IsReplaced,
}

/// The device on which a directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its number, as the kernel counts it now.
    pub number: (u32, u32),
    /// The inode of the directory on it.
    pub inode: u64,
    /// Whether the directory is where something is mounted; `None` where the kernel cannot tell.
    pub mount_root: Option<bool>,
}

/// What a filesystem is and has, as statfs(2) tells it, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// Its kind, by the number that `linux/magic.h` has for it.
    pub kind: u32,
    /// Whether nothing can be written to it.
    pub read_only: bool,
    /// All that it can hold.
    pub total: u64,
    /// What ordinary users can still write.
    pub free: u64,
    /// How many files it can have; 0 where it does not count them.
    pub inodes: u64,
    /// How many more.
    pub free_inodes: u64,
}

impl Room {
    /// Whether the filesystem keeps what is in it in memory alone, as tmpfs and ramfs do.
    #[must_use]
    pub fn is_in_memory(&self) -> bool {
        const TMPFS: u32 = 0x0102_1994;
        const RAMFS: u32 = 0x8584_58F6;
        matches!(self.kind, TMPFS | RAMFS)
    }
}

/// What a file or directory takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// What it is.
    pub kind: Kind,
    /// Bytes on the disk.
    pub bytes: u64,
    /// How many names it has.
    pub links: u64,
}
