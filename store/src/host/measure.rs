//! What a tree of files takes, counted in steps as short as one likes, for filesystems that do not
//! count it themselves.
//!
//! It follows no link and crosses no mount, and neither its memory nor its descriptors grow with the
//! tree: what is too deep is left out, and it says so. A file with several names counts in parts, one
//! for each, so that nothing need be remembered of it.

use super::dirs::{Dir, Kind};
use super::reap::Budget;
use super::reap::meter::Meter;
use std::ffi::{OsStr, OsString};

/// As many folders are open at a time.
const DEEPEST: usize = 32;

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Bytes on the disk.
    pub bytes: u64,
    /// Files and directories, as many as they have names.
    pub inodes: u64,
    /// Whether that is all: a folder may be too deep, or may have gone away.
    pub is_whole: bool,
}

/// The count of one tree, with all that it has open between two steps.
#[derive(Debug)]
pub struct Count {
    levels: Vec<Level>,
    size: Size,
}

#[derive(Debug)]
struct Level {
    dir: Dir,
    names: Vec<OsString>,
}

impl Count {
    /// The count of what is in `dir`. Nothing is done yet.
    #[must_use]
    pub fn new(dir: Dir) -> Self {
        // Read from its start, wherever somebody else has left off.
        let is_whole = dir.rewind().is_ok();
        let levels = vec![Level { dir, names: Vec::new() }];
        Self { levels, size: Size { bytes: 0, inodes: 0, is_whole } }
    }

    /// Goes on until `budget` is used up; the size, when all is counted.
    pub fn step(&mut self, budget: Budget) -> Option<Size> {
        let mut meter = Meter::new(budget);
        while meter.allows_one_more() {
            let Some(level) = self.levels.last_mut() else { return Some(self.size) };
            match level.names.pop() {
                Some(name) => self.add(&name),
                None => self.read_on(),
            }
        }
        None
    }

    fn read_on(&mut self) {
        let Some(level) = self.levels.last_mut() else { return };
        match level.dir.more_names() {
            Ok(Some(names)) => level.names = names,
            Ok(None) => drop(self.levels.pop()),
            Err(_) => self.leave_out(),
        }
    }

    fn leave_out(&mut self) {
        self.size.is_whole = false;
        self.levels.pop();
    }

    fn add(&mut self, name: &OsStr) {
        let is_deep = self.levels.len() >= DEEPEST;
        let Some(level) = self.levels.last() else { return };
        // What has gone meanwhile takes nothing.
        let Ok(extent) = level.dir.handle().extent(name) else { return };
        let is_folder = extent.kind == Kind::Directory;
        // A directory has a name more for each that is in it, and none of them is a second place.
        let links = if is_folder { 1 } else { extent.links };
        self.size.bytes = self.size.bytes.saturating_add(extent.bytes / links);
        self.size.inodes = self.size.inodes.saturating_add(1);
        if !is_folder {
            return;
        }
        match level.dir.open_same_mount(name) {
            Ok(dir) if !is_deep => self.levels.push(Level { dir, names: Vec::new() }),
            Ok(_) | Err(_) => self.size.is_whole = false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Kernel;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    fn count(path: &Path, things: usize) -> (Size, usize) {
        let mut count = Count::new(Dir::open_at(&Kernel, path).unwrap());
        let mut steps = 1;
        loop {
            match count.step(things.into()) {
                Some(size) => return (size, steps),
                None => steps += 1,
            }
        }
    }

    #[test]
    fn a_tree_is_counted_whole_in_however_many_steps() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("a/b/c")).unwrap();
        for name in ["one", "a/two", "a/b/c/three"] {
            fs::write(at(name), vec![1; 100_000]).unwrap();
        }
        fs::hard_link(at("one"), at("a/b/same")).unwrap();
        symlink("/", at("a/out")).unwrap();
        let (size, steps) = count(folder.path(), 2);
        assert_eq!((size, 1), count(folder.path(), usize::MAX));
        assert!(steps > 3 && size.is_whole);
        assert_eq!(size.inodes, 8);
        assert!((300_000..400_000).contains(&size.bytes), "{size:?}");
    }

    #[test]
    fn what_is_too_deep_is_left_out_and_that_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let deep: std::path::PathBuf = std::iter::repeat_n("d", 100).collect();
        fs::create_dir_all(folder.path().join(deep)).unwrap();
        let (size, _) = count(folder.path(), usize::MAX);
        assert_eq!((size.inodes, size.is_whole), (DEEPEST as u64, false));
    }

    #[test]
    fn a_mount_in_the_tree_is_not_counted() {
        // Everything of Linux has mounts below this one.
        let (size, _) = count(Path::new("/sys"), 200_000);
        assert!(!size.is_whole);
    }
}
