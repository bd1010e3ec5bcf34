//! Counts the disk usage of a tree in small steps, for filesystems without usable quotas.
//!
//! The count follows no symbolic link and crosses no mount. Its memory and its descriptors do not
//! grow with the tree: directories that are too deep are skipped. A file with several hard links counts a fraction for each link, so no inode has to
//! be remembered.

use super::calls::Kind;
use super::dirs::Dir;
use super::removal::Budget;
use super::removal::step_budget::StepBudget;
use std::ffi::{OsStr, OsString};

/// The number of directories that are open at a time.
const MAX_DEPTH: usize = 32;

/// The disk usage of a tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Allocated bytes.
    pub bytes: u64,
    /// Directory entries.
    pub inodes: u64,
}

/// The count of one tree. It keeps its open directories between two steps.
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
    /// Creates a count of the content of `dir`.
    #[must_use]
    pub fn new(dir: Dir) -> Self {
        // An earlier user of the descriptor may have moved its offset.
        dir.rewind().ok();
        Self { levels: vec![Level { dir, names: Vec::new() }], size: Size::default() }
    }

    /// Continues until `budget` is used up. Returns the size once everything is counted.
    pub fn step(&mut self, budget: Budget) -> Option<Size> {
        let mut left = StepBudget::new(budget);
        while left.take() {
            let Some(level) = self.levels.last_mut() else { return Some(self.size) };
            match level.names.pop() {
                Some(name) => self.add(&name),
                None => self.read_more(),
            }
        }
        None
    }

    fn read_more(&mut self) {
        let Some(level) = self.levels.last_mut() else { return };
        match level.dir.more_names() {
            Ok(Some(names)) => level.names = names,
            Ok(None) | Err(_) => drop(self.levels.pop()),
        }
    }

    fn add(&mut self, name: &OsStr) {
        let Some(level) = self.levels.last() else { return };
        // A file that was removed in the meantime counts nothing.
        let Ok(entry) = level.dir.handle().entry_size(name) else { return };
        let is_directory = entry.kind == Kind::Directory;
        // Each subdirectory adds a link to its parent; none of them is a second path.
        let links = if is_directory { 1 } else { entry.links };
        self.size.bytes = self.size.bytes.saturating_add(entry.bytes / links);
        self.size.inodes = self.size.inodes.saturating_add(1);
        if is_directory
            && self.levels.len() < MAX_DEPTH
            && let Ok(dir) = level.dir.open_same_mount(name)
        {
            self.levels.push(Level { dir, names: Vec::new() });
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
    fn the_number_of_steps_does_not_change_the_size() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::create_dir_all(at("a/b/c")).unwrap();
        for name in ["one", "a/two", "a/b/c/three"] {
            fs::write(at(name), vec![1; 100_000]).unwrap();
        }
        fs::hard_link(at("one"), at("a/b/same")).unwrap();
        symlink("/", at("a/out")).unwrap();
        let (size, steps) = count(directory.path(), 2);
        assert_eq!((size, 1), count(directory.path(), usize::MAX));
        assert!(steps > 3);
        assert_eq!(size.inodes, 8);
        assert!((300_000..400_000).contains(&size.bytes), "{size:?}");
    }

    #[test]
    fn directories_that_are_too_deep_are_skipped() {
        let directory = tempfile::tempdir().unwrap();
        let deep: std::path::PathBuf = std::iter::repeat_n("d", 100).collect();
        fs::create_dir_all(directory.path().join(deep)).unwrap();
        let (size, _) = count(directory.path(), usize::MAX);
        assert_eq!(size.inodes, MAX_DEPTH as u64);
    }

    #[test]
    fn a_mount_in_the_tree_is_not_counted() {
        let many = 20_000;
        let memory = tempfile::tempdir_in("/dev/shm").unwrap();
        (0..many).for_each(|name| drop(fs::File::create(memory.path().join(name.to_string()))));
        assert_eq!(count(memory.path(), usize::MAX).0.inodes, many);
        assert!(count(Path::new("/dev"), usize::MAX).0.inodes < many);
    }
}
