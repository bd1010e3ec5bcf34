//! Directories by descriptor: open, create, rename, list, remove.
//!
//! The module removes one entry at a time; `removal.rs` removes trees. It never follows a symbolic
//! link, and [`Dir::open_same_mount`] never crosses into another mount.

use super::calls::{Handle, Kind, Machine, OnConflict, OpenMode};
use super::{HostError, Operation};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// Permissions for the owner only.
pub const PRIVATE: u32 = 0o700;

/// An open directory. The path is used in messages only.
#[derive(Debug)]
pub struct Dir {
    handle: Box<dyn Handle>,
    path: PathBuf,
}

impl Dir {
    /// Opens the directory at `path`. Follows symbolic links except in the last component.
    pub fn open_at(machine: &dyn Machine, path: &Path) -> Result<Self, HostError> {
        let handle = machine.open(path).map_err(failed(Operation::Open, path))?;
        Ok(Self { handle, path: path.to_owned() })
    }

    /// Opens the subdirectory `name`.
    pub fn open(&self, name: impl AsRef<OsStr>) -> Result<Self, HostError> {
        let path = self.path.join(name.as_ref());
        match self.handle.open(name.as_ref(), OpenMode::Directory) {
            Ok(handle) => Ok(Self { handle, path }),
            Err(errno) => Err(failed(Operation::Open, &path)(errno)),
        }
    }

    /// Opens the subdirectory `name`. Returns `None` if it does not exist.
    pub fn open_if_exists(&self, name: impl AsRef<OsStr>) -> Result<Option<Self>, HostError> {
        match self.open(name) {
            Ok(dir) => Ok(Some(dir)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns the path, for messages.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Creates the subdirectory `name` with exactly `mode`, independent of the umask.
    pub fn make(&self, name: impl AsRef<OsStr>, mode: u32) -> Result<Self, HostError> {
        let name = name.as_ref();
        self.handle.mkdir(name, PRIVATE).map_err(self.failed(Operation::Create, name))?;
        let dir = self.open(name)?;
        dir.handle.chmod(mode).map_err(failed(Operation::SetPermissions, &dir.path))?;
        Ok(dir)
    }

    /// Restricts access to the owner.
    pub fn make_private(&self) -> Result<(), HostError> {
        self.handle.chmod(PRIVATE).map_err(failed(Operation::SetPermissions, &self.path))
    }

    /// Opens the subdirectory `name`, and creates it for the owner alone if it does not exist.
    pub fn open_or_make(&self, name: impl AsRef<OsStr>) -> Result<Self, HostError> {
        match self.make(&name, PRIVATE) {
            Err(error) if error.already_exists() => self.open(name),
            other => other,
        }
    }

    /// Returns the type of `name`, or `None` if it does not exist.
    pub fn kind_of(&self, name: impl AsRef<OsStr>) -> Result<Option<Kind>, HostError> {
        let name = name.as_ref();
        if_exists(self.handle.kind_of(name)).map_err(self.failed(Operation::Inspect, name))
    }

    /// Moves `name` into `target` as `new`. Fails with [`HostError::already_exists`] if `new`
    /// exists: the kernel refuses to replace it.
    pub fn rename(
        &self,
        name: impl AsRef<OsStr>,
        target: &Self,
        new: impl AsRef<OsStr>,
    ) -> Result<(), HostError> {
        let (name, new) = (name.as_ref(), new.as_ref());
        let renamed = self.handle.rename(name, &*target.handle, new, OnConflict::Fail);
        renamed.map_err(self.failed(Operation::Rename, name))
    }

    /// Moves `name` over `new` in this directory.
    pub fn replace(&self, name: &OsStr, new: &OsStr) -> Result<(), HostError> {
        let renamed = self.handle.rename(name, &*self.handle, new, OnConflict::Replace);
        renamed.map_err(self.failed(Operation::Rename, name))
    }

    /// Returns up to `limit` names, in directory order.
    pub fn names(&self, limit: usize) -> Result<Vec<OsString>, HostError> {
        self.handle.names(limit).map_err(failed(Operation::Read, &self.path))
    }

    /// Returns the next batch of names, or `None` at the end.
    pub(super) fn more_names(&self) -> Result<Option<Vec<OsString>>, Errno> {
        self.handle.more_names()
    }

    /// Restarts the listing of [`Dir::more_names`].
    pub(super) fn rewind(&self) -> Result<(), Errno> {
        self.handle.rewind()
    }

    /// Sets an extended attribute. Returns `false` if the filesystem does not support them.
    pub fn set_xattr(&self, name: &str, value: &str) -> Result<bool, HostError> {
        match self.handle.set_xattr(name, value.as_bytes()) {
            Ok(()) => Ok(true),
            Err(Errno::OPNOTSUPP) => Ok(false),
            Err(errno) => Err(failed(Operation::SetAttribute, &self.path)(errno)),
        }
    }

    /// Removes the file `name` if it exists.
    pub fn remove_file(&self, name: &OsStr) -> Result<(), HostError> {
        if_exists(self.unlink(name)).map(drop).map_err(self.failed(Operation::Remove, name))
    }

    /// Removes the empty directory `name` if it exists.
    pub fn remove_directory(&self, name: &OsStr) -> Result<(), HostError> {
        if_exists(self.remove_empty(name)).map(drop).map_err(self.failed(Operation::Remove, name))
    }

    /// Opens this directory a second time and takes its exclusive lock, which is held until the
    /// returned directory is dropped. Returns `None` if another process holds the lock.
    pub fn lock(&self) -> Result<Option<Self>, HostError> {
        let held = self.open(".")?;
        match held.handle.lock() {
            Ok(()) => Ok(Some(held)),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(errno) => Err(failed(Operation::Lock, &self.path)(errno)),
        }
    }

    /// Releases the lock taken by [`Dir::lock`].
    pub fn unlock(&self) -> Result<(), HostError> {
        self.handle.unlock().map_err(failed(Operation::Lock, &self.path))
    }

    /// Flushes the directory entries to the disk.
    pub fn sync(&self) -> Result<(), HostError> {
        self.handle.sync().map_err(failed(Operation::Sync, &self.path))
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

    /// Opens the subdirectory `name`. Fails if it is a mount point.
    pub(super) fn open_same_mount(&self, name: &OsStr) -> Result<Self, Errno> {
        let handle = self.handle.open(name, OpenMode::SameMount)?;
        Ok(Self { handle, path: self.path.join(name) })
    }

    fn failed(&self, verb: Operation, name: &OsStr) -> impl Fn(Errno) -> HostError + use<> {
        failed(verb, &self.path.join(name))
    }
}

/// Returns the type of `path` without following a symbolic link, or `None` if it does not exist.
pub fn kind_at(machine: &dyn Machine, path: &Path) -> Result<Option<Kind>, HostError> {
    if_exists(machine.kind_at(path)).map_err(failed(Operation::Inspect, path))
}

pub(super) fn failed(verb: Operation, path: &Path) -> impl Fn(Errno) -> HostError + use<> {
    let what = path.display().to_string();
    move |errno| HostError { verb, what: what.clone(), errno }
}

/// Returns `None` instead of the error that an entry does not exist.
pub(super) fn if_exists<T>(result: Result<T, Errno>) -> Result<Option<T>, Errno> {
    match result {
        Ok(value) => Ok(Some(value)),
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
    fn a_directory_gets_its_mode_under_any_umask() {
        let directory = tempfile::tempdir().unwrap();
        let root = Dir::open_at(&Kernel, directory.path()).unwrap();
        for mode in [0o777, 0o700, 0o2770, 0o1777] {
            let name = format!("m{mode:o}");
            root.make(os(&name), mode).unwrap();
            let made = std::fs::metadata(directory.path().join(&name)).unwrap();
            assert_eq!(made.permissions().mode() & 0o7777, mode);
        }
        assert!(root.make(os("m777"), 0o700).unwrap_err().already_exists());
    }

    #[test]
    fn no_name_leads_out_of_a_directory() {
        let directory = tempfile::tempdir().unwrap();
        symlink("/", directory.path().join("root")).unwrap();
        symlink("/proc/self/cwd", directory.path().join("magic")).unwrap();
        std::fs::create_dir(directory.path().join("inner")).unwrap();
        symlink("inner", directory.path().join("near")).unwrap();
        let root = Dir::open_at(&Kernel, directory.path()).unwrap();
        for name in ["root", "magic", "near", "..", "../..", "inner/../..", "/etc"] {
            assert!(root.open(os(name)).is_err(), "{name}");
        }
        assert!(root.open(os("inner")).is_ok());
        assert!(Dir::open_at(&Kernel, &directory.path().join("near")).is_err());
    }

    #[test]
    fn a_rename_never_replaces() {
        let directory = tempfile::tempdir().unwrap();
        let root = Dir::open_at(&Kernel, directory.path()).unwrap();
        root.make(os("a"), PRIVATE).unwrap();
        root.make(os("b"), PRIVATE).unwrap();
        assert!(root.rename(os("a"), &root, os("b")).unwrap_err().already_exists());
        assert!(root.rename(os("x"), &root, os("y")).unwrap_err().is_missing());
        root.rename(os("a"), &root, os("c")).unwrap();
        assert_eq!(root.kind_of(os("a")).unwrap(), None);
        assert_eq!(root.kind_of(os("c")).unwrap(), Some(Kind::Directory));
    }

    #[test]
    fn names_are_listed_up_to_a_limit_and_need_not_be_text() {
        let directory = tempfile::tempdir().unwrap();
        let strange = OsStr::from_bytes(b"\xff\xfe\n");
        std::fs::write(directory.path().join(strange), "").unwrap();
        let root = Dir::open_at(&Kernel, directory.path()).unwrap();
        assert_eq!(root.names(10).unwrap(), [strange]);
        for number in 0..5 {
            std::fs::write(directory.path().join(number.to_string()), "").unwrap();
        }
        assert_eq!(root.names(3).unwrap().len(), 3);
        assert_eq!(root.names(usize::MAX).unwrap().len(), 6);
    }
}
