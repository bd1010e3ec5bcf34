//! The arguments and results of the calls that concern files and filesystems.

/// The type of a directory entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A symbolic link.
    Symlink,
    /// A FIFO, a socket or a device.
    Other,
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
