//! What every user may make on btrfs: subvolumes, out of which no folder can be moved.

use super::*;
use crate::host::dirs::PRIVATE;
use crate::host::quota::make_subvolume;
use fastrak_testkit::{Disk, or_skip};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

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
    let mut removal = Removal::new(OsStr::new(top));
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
