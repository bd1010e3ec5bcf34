//! What every user may make on btrfs: subvolumes, out of which no folder can be moved.

use super::*;
use crate::host::dirs::PRIVATE;
use crate::host::quota::{Subvolume, make_subvolume};
use fastrak_testkit::{Disk, or_skip};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
use std::collections::BTreeSet;

/// Takes from this thread the right to remove a subvolume with all that is in it.
fn without_rights() {
    let mut sets = capabilities(None).unwrap();
    sets.effective.remove(CapabilitySet::SYS_ADMIN);
    set_capabilities(None, sets).unwrap();
}

fn with_rights() {
    let mut sets = capabilities(None).unwrap();
    sets.effective = sets.permitted;
    set_capabilities(None, sets).unwrap();
}

/// Removes `top` from the disk; how many things that took.
fn removed(disk: &Disk, top: &str) -> u64 {
    let root = Dir::open_at(&Kernel, disk.path()).unwrap();
    let mut removal = Removal::new(OsStr::new(top), Notes::Needless);
    let last = removal.step(&root, Budget::UNLIMITED);
    assert_eq!(last, Progress::Gone);
    removal.removed()
}

#[tokio::test]
async fn subvolumes_in_subvolumes_are_removed_however_deep_they_are() {
    let disk = or_skip!(Disk::btrfs(256).await);
    for one_in in [1, 3, 100] {
        let root = Dir::open_at(&Kernel, disk.path()).unwrap();
        let mut dir = root.make(OsStr::new("volume"), PRIVATE).unwrap();
        for number in 0..100 {
            dir = match number % one_in {
                0 => make_subvolume(&dir, OsStr::new("s"), PRIVATE).unwrap(),
                _ => dir.make(OsStr::new("d"), PRIVATE).unwrap(),
            };
        }
        drop(dir);
        without_rights();
        assert_eq!(removed(&disk, "volume"), 101, "one in {one_in}");
        with_rights();
    }
}

#[tokio::test]
async fn a_subvolume_goes_as_a_whole_where_we_may() {
    let disk = or_skip!(Disk::btrfs(256).await);
    let root = Dir::open_at(&Kernel, disk.path()).unwrap();
    let volume = root.make(OsStr::new("volume"), PRIVATE).unwrap();
    let data = make_subvolume(&volume, OsStr::new("data"), PRIVATE).unwrap();
    for number in 0..100 {
        std::fs::write(data.path().join(number.to_string()), "").unwrap();
    }
    drop((volume, data));
    // It, and the folder that it was in.
    assert_eq!(removed(&disk, "volume"), 2);
}

/// A tree with subvolumes in it: full ones, empty ones, one in another; all of them.
fn grow(root: &Dir, depth: usize, all: &mut BTreeSet<OsString>) {
    for name in ["full", "empty", "folder"] {
        let inner = match name {
            "folder" => root.make(OsStr::new(name), PRIVATE).unwrap(),
            _ => make_subvolume(root, OsStr::new(name), PRIVATE).unwrap(),
        };
        if name != "folder" {
            all.insert(inner.handle().subvolume().unwrap().note());
        }
        if name != "empty" {
            std::fs::write(inner.path().join("file"), "").unwrap();
            if depth > 0 {
                grow(&inner, depth - 1, all);
            }
        }
    }
}

#[tokio::test]
async fn every_subvolume_is_noted_before_it_goes_and_nothing_else_is() {
    let disk = or_skip!(Disk::btrfs(256).await);
    let root = Dir::open_at(&Kernel, disk.path()).unwrap();
    for privileged in [true, false] {
        let name = OsString::from(format!("notes-{privileged}"));
        let folder = root.make(&name, PRIVATE).unwrap();
        let mut all = BTreeSet::new();
        grow(&root.make(OsStr::new("volume"), PRIVATE).unwrap(), 2, &mut all);
        if !privileged {
            without_rights();
        }
        let notes = Notes::In(root.open(&name).unwrap());
        let removed = remove(&root, OsStr::new("volume"), notes);
        with_rights();
        assert_eq!(removed, Ok(()));
        let noted: BTreeSet<_> = folder.names(usize::MAX).unwrap().into_iter().collect();
        assert_eq!((noted.len(), &noted), (14, &all), "privileged: {privileged}");
        assert!(noted.iter().all(|name| Subvolume::of_note(name).is_some()));
    }
}

#[tokio::test]
async fn a_subvolume_that_cannot_be_noted_is_emptied_and_stays_until_it_can() {
    let disk = or_skip!(Disk::btrfs(256).await);
    let root = Dir::open_at(&Kernel, disk.path()).unwrap();
    let volume = root.make(OsStr::new("volume"), PRIVATE).unwrap();
    let data = make_subvolume(&volume, OsStr::new("data"), PRIVATE).unwrap();
    std::fs::write(data.path().join("large"), vec![7; 1 << 20]).unwrap();
    let stuck = remove(&root, OsStr::new("volume"), Notes::Impossible(Errno::NOSPC)).unwrap_err();
    assert_eq!((stuck.path.as_path(), stuck.errno), (data.path(), Errno::NOSPC));
    assert_eq!(data.names(10).unwrap(), Vec::<OsString>::new(), "what took the room is gone");
    let folder = root.make(OsStr::new("notes"), PRIVATE).unwrap();
    assert_eq!(remove(&root, OsStr::new("volume"), Notes::In(folder)), Ok(()));
    assert_eq!(std::fs::read_dir(disk.path().join("notes")).unwrap().count(), 1);
}
