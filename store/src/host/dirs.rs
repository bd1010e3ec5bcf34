//! Directories by descriptor: open, make, rename, list, remove.
//!
//! It removes one thing at a time; whole trees are `reap.rs`. It never follows a symbolic link and,
//! where asked to, never crosses into another mount.

use super::calls::{Handle, How, Machine, There};
use super::{HostError, Verb};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// Permissions of what only root may enter.
pub const PRIVATE: u32 = 0o700;

/// An open directory. Its path is kept for messages only.
#[derive(Debug)]
pub struct Dir {
    handle: Box<dyn Handle>,
    path: PathBuf,
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// An ordinary file.
    File,
    /// A symbolic link, not followed.
    Symlink,
    /// A pipe, a socket, a device.
    Other,
}

impl Dir {
    /// Opens the directory at `path`. Links are followed on the way, but not at the end.
    pub fn open_at(machine: &dyn Machine, path: &Path) -> Result<Self, HostError> {
        let handle = machine.open(path).map_err(failed(Verb::Open, path))?;
        Ok(Self { handle, path: path.to_owned() })
    }

    /// Opens the directory `name` in this one.
    pub fn open(&self, name: &OsStr) -> Result<Self, HostError> {
        let opened = self.handle.open(name, How::Directory);
        let handle = opened.map_err(failed(Verb::Open, &self.path.join(name)))?;
        Ok(Self { handle, path: self.path.join(name) })
    }

    /// Opens the directory `name` in this one; `None` where there is nothing of that name.
    pub fn open_if_there(&self, name: &OsStr) -> Result<Option<Self>, HostError> {
        match self.open(name) {
            Ok(dir) => Ok(Some(dir)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Its path, for messages.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the directory `name` in this one with exactly `mode`, whatever the umask is.
    pub fn make(&self, name: &OsStr, mode: u32) -> Result<Self, HostError> {
        let made = self.handle.make(name, PRIVATE);
        made.map_err(failed(Verb::Make, &self.path.join(name)))?;
        let dir = self.open(name)?;
        dir.handle.permit(mode).map_err(failed(Verb::Permit, &dir.path))?;
        Ok(dir)
    }

    /// Keeps everyone but its owner out.
    pub fn make_private(&self) -> Result<(), HostError> {
        self.handle.permit(PRIVATE).map_err(failed(Verb::Permit, &self.path))
    }

    /// Opens the directory `name`, or makes it, for root alone.
    pub fn open_or_make(&self, name: &OsStr) -> Result<Self, HostError> {
        match self.make(name, PRIVATE) {
            Err(error) if error.is_taken() => self.open(name),
            other => other,
        }
    }

    /// What `name` stands for in this directory; `None` where it stands for nothing.
    pub fn kind_of(&self, name: &OsStr) -> Result<Option<Kind>, HostError> {
        if_there(self.handle.kind_of(name)).map_err(failed(Verb::Examine, &self.path.join(name)))
    }

    /// Moves `name` into `target` as `new`; an error that [`HostError::is_taken`] where that
    /// exists, since the kernel itself refuses to replace it.
    pub fn rename(&self, name: &OsStr, target: &Self, new: &OsStr) -> Result<(), HostError> {
        self.handle
            .rename(name, &*target.handle, new, There::Stays)
            .map_err(failed(Verb::Rename, &self.path.join(name)))
    }

    /// Moves `name` over `new` in this directory.
    pub fn replace(&self, name: &OsStr, new: &OsStr) -> Result<(), HostError> {
        self.handle
            .rename(name, &*self.handle, new, There::IsReplaced)
            .map_err(failed(Verb::Rename, &self.path.join(name)))
    }

    /// Up to `limit` names in this directory, in the order in which it gives them.
    pub fn names(&self, limit: usize) -> Result<Vec<OsString>, HostError> {
        self.handle.names(limit).map_err(failed(Verb::Read, &self.path))
    }

    /// Some of the names that follow those read before; `None` at the end.
    pub(super) fn more_names(&self) -> Result<Option<Vec<OsString>>, Errno> {
        self.handle.more_names()
    }

    /// Lets [`Dir::more_names`] begin again.
    pub(super) fn rewind(&self) -> Result<(), Errno> {
        self.handle.rewind()
    }

    /// Writes an extended attribute; `false` where the filesystem has none.
    pub fn tag(&self, name: &str, value: &str) -> Result<bool, HostError> {
        match self.handle.tag(name, value.as_bytes()) {
            Ok(()) => Ok(true),
            Err(Errno::OPNOTSUPP) => Ok(false),
            Err(errno) => Err(failed(Verb::Tag, &self.path)(errno)),
        }
    }

    /// Removes the file `name`; it may be gone already.
    pub fn remove_file(&self, name: &OsStr) -> Result<(), HostError> {
        match self.handle.unlink(name) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(failed(Verb::Remove, &self.path.join(name))(errno)),
        }
    }

    /// Removes the empty directory `name`; it may be gone already.
    pub fn remove_directory(&self, name: &OsStr) -> Result<(), HostError> {
        match self.handle.remove_empty(name) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(failed(Verb::Remove, &self.path.join(name))(errno)),
        }
    }

    /// Opens this directory a second time and takes its exclusive lock, which is held until what is
    /// returned is dropped; `None` if somebody else holds it.
    pub fn lock(&self) -> Result<Option<Self>, HostError> {
        let held = self.open(OsStr::new("."))?;
        match held.handle.lock() {
            Ok(()) => Ok(Some(held)),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(errno) => Err(failed(Verb::Lock, &self.path)(errno)),
        }
    }

    /// Gives up the lock that [`Dir::lock`] has taken.
    pub fn unlock(&self) -> Result<(), HostError> {
        self.handle.unlock().map_err(failed(Verb::Lock, &self.path))
    }

    /// Returns when its entries are on the disk.
    pub fn sync(&self) -> Result<(), HostError> {
        self.handle.sync().map_err(failed(Verb::Sync, &self.path))
    }

    pub(super) fn handle(&self) -> &dyn Handle {
        &*self.handle
    }

    pub(super) fn unlink(&self, name: &OsStr) -> Result<(), Errno> {
        self.handle.unlink(name)
    }

    pub(super) fn remove_empty(&self, name: &OsStr) -> Result<(), Errno> {
        self.handle.remove_empty(name)
    }

    /// Opens the directory `name` unless something is mounted on it.
    pub(super) fn open_same_mount(&self, name: &OsStr) -> Result<Self, Errno> {
        let handle = self.handle.open(name, How::SameMount)?;
        Ok(Self { handle, path: self.path.join(name) })
    }
}

/// What `path` stands for, a link at its end not followed.
pub fn kind_at(machine: &dyn Machine, path: &Path) -> Result<Option<Kind>, HostError> {
    if_there(machine.kind_at(path)).map_err(failed(Verb::Examine, path))
}

pub(super) fn failed(verb: Verb, path: &Path) -> impl Fn(Errno) -> HostError + use<> {
    let what = path.display().to_string();
    move |errno| HostError { verb, what: what.clone(), errno }
}

fn if_there(kind: Result<Kind, Errno>) -> Result<Option<Kind>, Errno> {
    match kind {
        Ok(kind) => Ok(Some(kind)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Kernel;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn os(text: &str) -> &OsStr {
        OsStr::new(text)
    }

    #[test]
    fn a_directory_gets_its_mode_whatever_the_umask() {
        let folder = tempfile::tempdir().unwrap();
        let root = Dir::open_at(&Kernel, folder.path()).unwrap();
        for mode in [0o777, 0o700, 0o2770, 0o1777] {
            let name = format!("m{mode:o}");
            root.make(os(&name), mode).unwrap();
            let made = std::fs::metadata(folder.path().join(&name)).unwrap();
            assert_eq!(made.permissions().mode() & 0o7777, mode);
        }
        assert!(root.make(os("m777"), 0o700).unwrap_err().is_taken());
    }

    #[test]
    fn no_name_leads_out_of_a_directory() {
        let folder = tempfile::tempdir().unwrap();
        symlink("/", folder.path().join("root")).unwrap();
        symlink("/proc/self/cwd", folder.path().join("magic")).unwrap();
        std::fs::create_dir(folder.path().join("inner")).unwrap();
        symlink("inner", folder.path().join("near")).unwrap();
        let root = Dir::open_at(&Kernel, folder.path()).unwrap();
        for name in ["root", "magic", "near", "..", "../..", "inner/../..", "/etc"] {
            assert!(root.open(os(name)).is_err(), "{name}");
        }
        assert!(root.open(os("inner")).is_ok());
        assert!(Dir::open_at(&Kernel, &folder.path().join("near")).is_err());
    }

    #[test]
    fn a_rename_never_replaces() {
        let folder = tempfile::tempdir().unwrap();
        let root = Dir::open_at(&Kernel, folder.path()).unwrap();
        root.make(os("a"), PRIVATE).unwrap();
        root.make(os("b"), PRIVATE).unwrap();
        assert!(root.rename(os("a"), &root, os("b")).unwrap_err().is_taken());
        assert!(root.rename(os("x"), &root, os("y")).unwrap_err().is_missing());
        root.rename(os("a"), &root, os("c")).unwrap();
        assert_eq!(root.kind_of(os("a")).unwrap(), None);
        assert_eq!(root.kind_of(os("c")).unwrap(), Some(Kind::Directory));
    }

    #[test]
    fn names_are_listed_up_to_a_limit_and_need_not_be_text() {
        let folder = tempfile::tempdir().unwrap();
        let strange = OsStr::from_bytes(b"\xff\xfe\n");
        std::fs::write(folder.path().join(strange), "").unwrap();
        let root = Dir::open_at(&Kernel, folder.path()).unwrap();
        assert_eq!(root.names(10).unwrap(), [strange]);
        for number in 0..5 {
            std::fs::write(folder.path().join(number.to_string()), "").unwrap();
        }
        assert_eq!(root.names(3).unwrap().len(), 3);
        assert_eq!(root.names(usize::MAX).unwrap().len(), 6);
    }
}
