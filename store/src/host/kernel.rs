//! The system calls of `calls.rs` on the running kernel.
//!
//! The implementation adds nothing and never retries: the caller interprets errors.

mod mount_table;

use self::mount_table::MountTable;
use super::Kind;
use super::calls::{Device, EntrySize, Handle, Machine, MountWatch, OnConflict, OpenMode, Statfs};
use super::quota::{self, Limits, QuotaGroup, Subvolume, Support, Usage};
use rustix::fs::{
    AtFlags, CWD, FileType, FlockOperation, IFlags, Mode, OFlags, RawDir, RenameFlags,
    ResolveFlags, SeekFrom, StatxAttributes, StatxFlags, XattrFlags, fchmod, flock, fsetxattr,
    fstat, fsync, ioctl_getflags, ioctl_setflags, mkdirat, open, openat2, renameat_with, seek,
    statat, statx, unlinkat,
};
use rustix::io::Errno;
use std::any::Any;
use std::ffi::{OsStr, OsString};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

const MOUNTINFO: &str = "/proc/self/mountinfo";
const RANDOM_UUID: &str = "/proc/sys/kernel/random/uuid";

/// The buffer size of a directory listing: some hundred names. It must hold at least one name, and
/// the longest has 255 bytes.
const NAMES: usize = 8 * 1024;

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// The machine that this process runs on.
#[derive(Clone, Copy, Debug)]
pub struct Kernel;

/// An open file descriptor.
#[derive(Debug)]
struct Descriptor(OwnedFd);

impl Machine for Kernel {
    fn open(&self, path: &Path) -> Result<Box<dyn Handle>, Errno> {
        Ok(Box::new(Descriptor(open(path, DIRECTORY, Mode::empty())?)))
    }

    fn kind_at(&self, path: &Path) -> Result<Kind, Errno> {
        statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW).map(|stat| kind(stat.st_mode))
    }

    fn mounts(&self) -> Result<Vec<u8>, Errno> {
        std::fs::read(MOUNTINFO).map_err(|error| errno(&error))
    }

    fn watch_mounts(&self) -> Result<Box<dyn MountWatch>, Errno> {
        Ok(Box::new(MountTable::open(Path::new(MOUNTINFO))?))
    }

    fn random_uuid(&self) -> Result<String, Errno> {
        std::fs::read_to_string(RANDOM_UUID).map_err(|error| errno(&error))
    }
}

impl Handle for Descriptor {
    fn open(&self, name: &OsStr, how: OpenMode) -> Result<Box<dyn Handle>, Errno> {
        let (flags, more) = match how {
            OpenMode::Directory => (DIRECTORY, ResolveFlags::empty()),
            OpenMode::SameMount => (DIRECTORY, ResolveFlags::NO_XDEV),
            OpenMode::Read => (OFlags::RDONLY | OFlags::NONBLOCK, ResolveFlags::empty()),
            OpenMode::New => {
                (OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL, ResolveFlags::empty())
            }
        };
        let resolve =
            ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS | more;
        // openat2 rejects a mode without O_CREAT. 0600 is right for every file that the agent
        // creates.
        let mode = if how == OpenMode::New { Mode::from_raw_mode(0o600) } else { Mode::empty() };
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(Box::new(Self(openat2(&self.0, name, flags, mode, resolve)?)))
    }

    fn mkdir(&self, name: &OsStr, mode: u32) -> Result<(), Errno> {
        mkdirat(&self.0, name, Mode::from_raw_mode(mode))
    }

    fn chmod(&self, mode: u32) -> Result<(), Errno> {
        fchmod(&self.0, Mode::from_raw_mode(mode))
    }

    fn set_xattr(&self, name: &str, value: &[u8]) -> Result<(), Errno> {
        fsetxattr(&self.0, name, value, XattrFlags::empty())
    }

    fn flags(&self) -> Result<IFlags, Errno> {
        ioctl_getflags(&self.0)
    }

    fn set_flags(&self, flags: IFlags) -> Result<(), Errno> {
        ioctl_setflags(&self.0, flags)
    }

    fn kind(&self) -> Result<Kind, Errno> {
        fstat(&self.0).map(|stat| kind(stat.st_mode))
    }

    fn kind_of(&self, name: &OsStr) -> Result<Kind, Errno> {
        statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW).map(|stat| kind(stat.st_mode))
    }

    fn entry_size(&self, name: &OsStr) -> Result<EntrySize, Errno> {
        let stat = statx(&self.0, name, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BASIC_STATS)?;
        let bytes = stat.stx_blocks.saturating_mul(512);
        let links = u64::from(stat.stx_nlink.max(1));
        Ok(EntrySize { kind: kind(stat.stx_mode.into()), bytes, links })
    }

    fn names(&self, limit: usize) -> Result<Vec<OsString>, Errno> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.0)? {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            names.push(name.to_owned());
            if names.len() == limit {
                break;
            }
        }
        Ok(names)
    }

    fn more_names(&self) -> Result<Option<Vec<OsString>>, Errno> {
        let mut buffer = [MaybeUninit::uninit(); NAMES];
        let mut entries = RawDir::new(&self.0, &mut buffer);
        let mut names = Vec::new();
        // Only the first iteration calls the kernel; the others drain the buffer.
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(OsStr::from_bytes(name).to_owned());
            }
            if entries.is_buffer_empty() {
                return Ok(Some(names));
            }
        }
        Ok(None)
    }

    fn rewind(&self) -> Result<(), Errno> {
        seek(&self.0, SeekFrom::Start(0)).map(drop)
    }

    fn rename(
        &self,
        name: &OsStr,
        target: &dyn Handle,
        new: &OsStr,
        there: OnConflict,
    ) -> Result<(), Errno> {
        // A handle of another implementation is on another machine.
        let target = (target as &dyn Any).downcast_ref::<Self>().ok_or(Errno::XDEV)?;
        let flags = match there {
            OnConflict::Fail => RenameFlags::NOREPLACE,
            OnConflict::Replace => RenameFlags::empty(),
        };
        renameat_with(&self.0, name, &target.0, new, flags)
    }

    fn unlink(&self, name: &OsStr) -> Result<(), Errno> {
        unlinkat(&self.0, name, AtFlags::empty())
    }

    fn remove_empty(&self, name: &OsStr) -> Result<(), Errno> {
        unlinkat(&self.0, name, AtFlags::REMOVEDIR)
    }

    fn read(&self, buffer: &mut [u8]) -> Result<usize, Errno> {
        rustix::io::read(&self.0, buffer)
    }

    fn write(&self, bytes: &[u8]) -> Result<usize, Errno> {
        rustix::io::write(&self.0, bytes)
    }

    fn lock(&self) -> Result<(), Errno> {
        flock(&self.0, FlockOperation::NonBlockingLockExclusive)
    }

    fn unlock(&self) -> Result<(), Errno> {
        flock(&self.0, FlockOperation::NonBlockingUnlock)
    }

    fn sync(&self) -> Result<(), Errno> {
        fsync(&self.0)
    }

    fn device(&self, name: &str) -> Result<Device, Errno> {
        let flags = AtFlags::EMPTY_PATH | AtFlags::SYMLINK_NOFOLLOW;
        let stat = statx(&self.0, name, flags, StatxFlags::BASIC_STATS)?;
        // Kernels before 5.8 do not report it.
        let known = stat.stx_attributes_mask.contains(StatxAttributes::MOUNT_ROOT);
        Ok(Device {
            number: (stat.stx_dev_major, stat.stx_dev_minor),
            inode: stat.stx_ino,
            mount_root: known.then(|| stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT)),
        })
    }

    fn statfs(&self) -> Result<Statfs, Errno> {
        quota::statfs(self.0.as_fd())
    }

    fn support(&self) -> Result<Support, Errno> {
        quota::supported(self.0.as_fd())
    }

    fn make_subvolume(&self, name: &OsStr) -> Result<(), Errno> {
        quota::btrfs::raw::create_subvolume(self.0.as_fd(), name)
    }

    fn remove_subvolume(&self, name: &OsStr) -> Result<(), Errno> {
        quota::btrfs::raw::destroy_subvolume(self.0.as_fd(), name)
    }

    fn join_project(&self, project: u32) -> Result<(), Errno> {
        quota::project::set_project(self.0.as_fd(), project, true)
    }

    fn project_from(&self, first: u32) -> Result<Option<u32>, Errno> {
        quota::project::next_used(self.0.as_fd(), first)
    }

    fn limit(&self, group: QuotaGroup, limits: Limits) -> Result<(), Errno> {
        match group {
            QuotaGroup::Subvolume => quota::btrfs::limit(self.0.as_fd(), limits.bytes),
            QuotaGroup::Project(number) => quota::project::limit(self.0.as_fd(), number, limits),
        }
    }

    fn usage(&self, group: QuotaGroup) -> Result<Usage, Errno> {
        match group {
            QuotaGroup::Subvolume => quota::btrfs::usage(self.0.as_fd()),
            QuotaGroup::Project(number) => quota::project::usage(self.0.as_fd(), number),
        }
    }

    fn is_subvolume(&self, name: &OsStr) -> Result<bool, Errno> {
        let stat = statx(&self.0, name, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BASIC_STATS)?;
        let is_directory = kind(stat.stx_mode.into()) == Kind::Directory;
        Ok(is_directory && stat.stx_ino == quota::btrfs::ROOT_INODE)
    }

    fn make_writable(&self) -> Result<(), Errno> {
        quota::btrfs::raw::make_writable(self.0.as_fd())
    }

    fn subvolume(&self) -> Result<Subvolume, Errno> {
        quota::btrfs::raw::subvolume(self.0.as_fd())
    }

    fn subvolume_uuid(&self, number: u64) -> Result<Option<[u8; 16]>, Errno> {
        quota::btrfs::uuid(self.0.as_fd(), number)
    }

    fn remove_group(&self, number: u64) -> Result<(), Errno> {
        quota::btrfs::raw::destroy_group(self.0.as_fd(), number)
    }
}

fn kind(mode: u32) -> Kind {
    match FileType::from_raw_mode(mode) {
        FileType::Directory => Kind::Directory,
        FileType::RegularFile => Kind::File,
        FileType::Symlink => Kind::Symlink,
        _ => Kind::Other,
    }
}

fn errno(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}
