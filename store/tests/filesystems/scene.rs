//! A filesystem with projects, directories that stand for volumes on it, and tenants who write to
//! them.

use anyhow::{Context as _, Result};
use fastrak_store::host::quota::{Limits, Usage, project};
use fastrak_testkit::eventually;
use rustix::fd::AsFd as _;
use rustix::io::Errno;
use rustix::process::{Gid, Uid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
use std::cell::Cell;
use std::fmt::{Display, Formatter};
use std::fs::{File, Permissions, create_dir, set_permissions};
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A mebibyte.
pub(crate) const MIB: u64 = 1 << 20;
/// Who writes as an ordinary user.
pub(crate) const TENANT: u32 = 1000;
/// The first of the projects of checks.
const FIRST: u32 = 0x4600_0000;

/// The filesystems on which every check runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filesystem {
    Xfs,
    Ext4,
}

/// A filesystem that enforces limits of projects.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) on: Filesystem,
    pub(crate) root: PathBuf,
    last: Cell<u32>,
}

/// A directory that is a project.
#[derive(Debug)]
pub(crate) struct Volume {
    pub(crate) project: u32,
    pub(crate) path: PathBuf,
    pub(crate) dir: File,
}

impl Filesystem {
    pub(crate) const ALL: [Self; 2] = [Self::Xfs, Self::Ext4];

    /// The letter of its disk.
    pub(crate) fn letter(self) -> char {
        match self {
            Self::Xfs => 'a',
            Self::Ext4 => 'b',
        }
    }

    /// As mount(2) calls it.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::Xfs => "xfs",
            Self::Ext4 => "ext4",
        }
    }

    /// What it says to a writer who has come to the limit.
    pub(crate) fn full(self) -> Errno {
        match self {
            Self::Xfs => Errno::NOSPC,
            Self::Ext4 => Errno::DQUOT,
        }
    }
}

impl Display for Filesystem {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.kind())
    }
}

impl Scene {
    pub(crate) fn new(on: Filesystem, root: PathBuf) -> Self {
        Self { on, root, last: Cell::new(FIRST) }
    }

    /// Counts on from another number.
    pub(crate) fn from(&mut self, number: u32) {
        self.last.set(number);
    }

    /// A number of which nothing is said yet.
    pub(crate) fn number(&self) -> u32 {
        self.last.set(self.last.get() + 1);
        self.last.get()
    }

    /// The root of the filesystem, open.
    pub(crate) fn root(&self) -> Result<File> {
        File::open(&self.root).context("open the filesystem")
    }

    /// A new volume that may hold so many bytes, and into which everybody may write.
    pub(crate) fn volume(&self, bytes: u64) -> Result<Volume> {
        let project = self.number();
        let path = self.root.join(format!("volume-{project:x}"));
        create_dir(&path)?;
        set_permissions(&path, Permissions::from_mode(0o777))?;
        let dir = File::open(&path)?;
        project::limit(dir.as_fd(), project, Limits::bytes(bytes)).context("limit it")?;
        project::set_project(dir.as_fd(), project, true).context("give it its project")?;
        Ok(Volume { project, path, dir })
    }
}

impl Volume {
    /// What the kernel says of it.
    pub(crate) fn usage(&self) -> Result<Usage> {
        project::usage(self.dir.as_fd(), self.project).context("ask what it holds")
    }

    /// A new file of the tenant's in it.
    pub(crate) fn file(&self, name: &str) -> Result<File> {
        let path = self.path.join(name);
        let file = File::create(&path)?;
        chown(&path, Some(TENANT), Some(TENANT))?;
        Ok(file)
    }
}

/// Does this as an ordinary user, who has no right that lets him past a limit.
pub(crate) fn as_tenant<T: Send>(act: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let become_tenant = move || {
        let (user, group) = (Uid::from_raw(TENANT), Gid::from_raw(TENANT));
        // Of this thread alone, and with the user go all of its capabilities.
        set_thread_groups(&[])?;
        set_thread_res_gid(group, group, group)?;
        set_thread_res_uid(user, user, user)?;
        act()
    };
    let ran = std::thread::scope(|scope| scope.spawn(become_tenant).join());
    ran.unwrap_or_else(|_| anyhow::bail!("the tenant panicked"))
}

/// Writes to the end of a file until it is refused or `most` bytes are written: how many were, and
/// why no more.
pub(crate) fn fill(file: &mut File, most: u64) -> (u64, Option<Errno>) {
    let block = [7_u8; 16 * 1024];
    let mut written = 0;
    while written < most {
        match file.write(&block) {
            Ok(bytes) => written += bytes as u64,
            Err(error) => return (written, Errno::from_io_error(&error)),
        }
    }
    (written, None)
}

/// What the kernel said no with.
pub(crate) fn refusal<T>(result: std::io::Result<T>) -> Option<Errno> {
    result.err().and_then(|error| Errno::from_io_error(&error))
}

/// Waits for what the kernel does in the background.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let look = || {
        std::future::ready(holds().and_then(|holds| {
            anyhow::ensure!(holds, "not yet");
            Ok(())
        }))
    };
    runtime.block_on(eventually(Duration::from_secs(90), what, look))
}

/// Everything below a directory and itself: how many inodes, and how many bytes on the disk.
pub(crate) fn walked(path: &Path) -> Result<(u64, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    let own = std::fs::symlink_metadata(path)?;
    let (mut inodes, mut bytes) = (1, own.blocks() * 512);
    if own.is_dir() {
        for entry in std::fs::read_dir(path)? {
            let (more, longer) = walked(&entry?.path())?;
            inodes += more;
            bytes += longer;
        }
    }
    Ok((inodes, bytes))
}
