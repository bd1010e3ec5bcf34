//! btrfs subvolumes, which every user may create. Directories cannot be moved out of them.

use super::*;
use crate::host::dirs::PRIVATE;
use crate::host::quota::{Limits, QuotaGroup, Subvolume, limit, make_subvolume};
use fastrak_testkit::process::Invocation;
use fastrak_testkit::{Disk, or_skip};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
use std::collections::BTreeSet;
use std::path::Path;

/// The user ID of a tenant's container.
const TENANT: u32 = 1000;

/// Reduces the capabilities of this thread to `rights`.
fn with_only(rights: CapabilitySet) {
    let mut sets = capabilities(None).unwrap();
    sets.effective = rights;
    set_capabilities(None, sets).unwrap();
}

/// Drops the capability to remove a subvolume with its content.
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

/// Removes `top` from the disk and returns the number of removed entries.
fn removed(disk: &Disk, top: &str) -> u64 {
    let root = Dir::open_at(&Kernel, disk.path()).unwrap();
    let mut removal = Removal::new(OsStr::new(top), SubvolumeRecords::NotNeeded);
    let last = removal.step(&root, Budget::UNLIMITED);
    assert_eq!(last, Progress::Removed);
    removal.removed()
}

#[tokio::test]
async fn nested_subvolumes_are_removed_at_any_depth() {
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
async fn a_subvolume_is_removed_in_one_call_with_the_capability() {
    let disk = or_skip!(Disk::btrfs(256).await);
    let root = Dir::open_at(&Kernel, disk.path()).unwrap();
    let volume = root.make(OsStr::new("volume"), PRIVATE).unwrap();
    let data = make_subvolume(&volume, OsStr::new("data"), PRIVATE).unwrap();
    for number in 0..100 {
        std::fs::write(data.path().join(number.to_string()), "").unwrap();
    }
    drop((volume, data));
    // The subvolume and its parent directory.
    assert_eq!(removed(&disk, "volume"), 2);
}

/// Creates a tree with full, empty and nested subvolumes, and collects their record names.
fn create_tree(root: &Dir, depth: usize, all: &mut BTreeSet<OsString>) {
    for name in ["full", "empty", "folder"] {
        let inner = match name {
            "folder" => root.make(OsStr::new(name), PRIVATE).unwrap(),
            _ => make_subvolume(root, OsStr::new(name), PRIVATE).unwrap(),
        };
        if name != "folder" {
            all.insert(inner.handle().subvolume().unwrap().record_name());
        }
        if name != "empty" {
            std::fs::write(inner.path().join("file"), "").unwrap();
            if depth > 0 {
                create_tree(&inner, depth - 1, all);
            }
        }
    }
}

#[tokio::test]
async fn every_removed_subvolume_is_recorded_and_nothing_else() {
    let disk = or_skip!(Disk::btrfs(256).await);
    let root = Dir::open_at(&Kernel, disk.path()).unwrap();
    for privileged in [true, false] {
        let name = OsString::from(format!("notes-{privileged}"));
        let folder = root.make(&name, PRIVATE).unwrap();
        let mut all = BTreeSet::new();
        create_tree(&root.make(OsStr::new("volume"), PRIVATE).unwrap(), 2, &mut all);
        if !privileged {
            without_rights();
        }
        let notes = SubvolumeRecords::Directory(root.open(&name).unwrap());
        let removed = remove(&root, OsStr::new("volume"), notes);
        with_rights();
        assert_eq!(removed, Ok(()));
        let noted: BTreeSet<_> = folder.names(usize::MAX).unwrap().into_iter().collect();
        assert_eq!((noted.len(), &noted), (14, &all), "privileged: {privileged}");
        assert!(noted.iter().all(|name| Subvolume::from_record_name(name).is_some()));
    }
}

#[tokio::test]
async fn a_subvolume_that_cannot_be_recorded_is_emptied_and_kept() {
    let disk = or_skip!(Disk::btrfs(256).await);
    let root = Dir::open_at(&Kernel, disk.path()).unwrap();
    let volume = root.make(OsStr::new("volume"), PRIVATE).unwrap();
    let data = make_subvolume(&volume, OsStr::new("data"), PRIVATE).unwrap();
    std::fs::write(data.path().join("large"), vec![7; 1 << 20]).unwrap();
    let stuck = remove(&root, OsStr::new("volume"), SubvolumeRecords::Unavailable(Errno::NOSPC))
        .unwrap_err();
    assert_eq!((stuck.path.as_path(), stuck.errno), (data.path(), Errno::NOSPC));
    assert_eq!(data.names(10).unwrap(), Vec::<OsString>::new(), "what took the room is gone");
    let folder = root.make(OsStr::new("notes"), PRIVATE).unwrap();
    assert_eq!(remove(&root, OsStr::new("volume"), SubvolumeRecords::Directory(folder)), Ok(()));
    assert_eq!(std::fs::read_dir(disk.path().join("notes")).unwrap().count(), 1);
}

fn btrfs(args: &[&str], paths: &[&Path]) {
    let paths = paths.iter().map(|path| path.display().to_string());
    Invocation::new("btrfs").args(args).args(paths).run_blocking().unwrap();
}

fn make_read_only(subvolume: &Path) {
    btrfs(&["property", "set", "-ts"], &[subvolume, Path::new("ro"), Path::new("true")]);
}

/// Creates a subvolume of a tenant with a file, a closed directory and a nested subvolume.
fn of_a_tenant(dir: &Dir, name: &str) -> Dir {
    let made = make_subvolume(dir, OsStr::new(name), PRIVATE).unwrap();
    std::fs::write(made.path().join("file"), "").unwrap();
    std::fs::create_dir(made.path().join("closed")).unwrap();
    std::fs::write(made.path().join("closed/file"), "").unwrap();
    drop(make_subvolume(&made, OsStr::new("inner"), PRIVATE).unwrap());
    for path in ["", "file", "closed/file", "closed", "inner"] {
        let path = made.path().join(path);
        std::os::unix::fs::chown(&path, Some(TENANT), Some(TENANT)).unwrap();
    }
    rustix::fs::chmod(made.path().join("closed"), rustix::fs::Mode::empty()).unwrap();
    made
}

#[tokio::test]
async fn read_only_subvolumes_are_removed_with_the_default_capabilities() {
    let disk = or_skip!(Disk::btrfs(256).await);
    let root = Dir::open_at(&Kernel, disk.path()).unwrap();
    let base = CapabilitySet::DAC_OVERRIDE | CapabilitySet::FOWNER;
    for (rights, options) in [
        (base, "nouser_subvol_rm_allowed"),
        (base, "user_subvol_rm_allowed"),
        (base | CapabilitySet::SYS_ADMIN, "user_subvol_rm_allowed"),
    ] {
        if options.starts_with("user") {
            let point = disk.path().display().to_string();
            let option = format!("remount,{options}");
            Invocation::new("mount").args(["-o", &option, &point]).run_blocking().unwrap();
        }
        let volume = root.make(OsStr::new("volume"), PRIVATE).unwrap();
        let data = make_subvolume(&volume, OsStr::new("data"), PRIVATE).unwrap();
        let (one, other) = (of_a_tenant(&data, "one"), of_a_tenant(&data, "other"));
        // A snapshot has an empty directory in place of the nested subvolume.
        let snapshot = data.path().join("snapshot");
        btrfs(&["subvolume", "snapshot", "-r"], &[one.path(), &snapshot]);
        for path in [&one.path().join("inner"), one.path(), data.path()] {
            make_read_only(path);
        }
        drop((volume, data, one, other));
        with_only(rights);
        let removed = remove(&root, OsStr::new("volume"), SubvolumeRecords::NotNeeded);
        with_rights();
        assert_eq!(removed, Ok(()), "{rights:?} {options}");
    }
}

#[tokio::test]
async fn read_only_subvolumes_are_removed_at_any_depth() {
    let disk = or_skip!(Disk::btrfs(256).await);
    let root = Dir::open_at(&Kernel, disk.path()).unwrap();
    for one_in in [1, 3, 100] {
        let mut dir = root.make(OsStr::new("volume"), PRIVATE).unwrap();
        let mut subvolumes = Vec::new();
        for number in 0..100 {
            let is_subvolume = number % one_in == 0;
            dir = match is_subvolume {
                true => make_subvolume(&dir, OsStr::new("s"), PRIVATE).unwrap(),
                false => dir.make(OsStr::new("d"), PRIVATE).unwrap(),
            };
            std::os::unix::fs::chown(dir.path(), Some(TENANT), Some(TENANT)).unwrap();
            subvolumes.extend(is_subvolume.then(|| dir.path().to_owned()));
        }
        drop(dir);
        subvolumes.iter().rev().for_each(|path| make_read_only(path));
        with_only(CapabilitySet::DAC_OVERRIDE | CapabilitySet::FOWNER);
        let removed = remove(&root, OsStr::new("volume"), SubvolumeRecords::NotNeeded);
        with_rights();
        assert_eq!(removed, Ok(()), "one in {one_in}");
    }
}

#[tokio::test]
async fn a_read_only_subvolume_that_blocks_a_removal_is_reported_with_advice() {
    let disk = or_skip!(Disk::btrfs(256).await);
    let root = Dir::open_at(&Kernel, disk.path()).unwrap();
    let volume = root.make(OsStr::new("volume"), PRIVATE).unwrap();
    make_read_only(of_a_tenant(&volume, "one").path());
    with_only(CapabilitySet::DAC_OVERRIDE);
    let stuck = remove(&root, OsStr::new("volume"), SubvolumeRecords::NotNeeded);
    with_rights();
    let stuck = stuck.unwrap_err();
    assert!(stuck.path.starts_with(volume.path().join("one")), "{stuck}");
    assert_eq!(stuck.errno, Errno::ROFS);
    assert!(stuck.to_string().contains("btrfs property set -ts <subvolume> ro false"), "{stuck}");
}

#[tokio::test]
async fn a_volume_full_of_empty_subvolumes_is_removed_or_reported_with_advice() {
    let disk = or_skip!(Disk::btrfs(256).await);
    or_skip!(disk.enable_simple_quotas().await);
    let root = Dir::open_at(&Kernel, disk.path()).unwrap();
    let volume = root.make(OsStr::new("volume"), PRIVATE).unwrap();
    let data = make_subvolume(&volume, OsStr::new("data"), PRIVATE).unwrap();
    limit(&data, QuotaGroup::Subvolume, Limits::bytes(1 << 20)).unwrap();
    let names = (0..1000).map(|number| OsString::from(number.to_string()));
    let made = names.map_while(|name| make_subvolume(&data, &name, PRIVATE).ok()).count();
    assert!((10..1000).contains(&made), "{made}");
    with_only(CapabilitySet::DAC_OVERRIDE | CapabilitySet::FOWNER);
    let stuck = remove(&root, OsStr::new("volume"), SubvolumeRecords::NotNeeded);
    with_rights();
    let stuck = stuck.unwrap_err();
    assert_eq!(stuck.errno, Errno::DQUOT);
    assert!(stuck.to_string().contains("deploy/quotas"), "{stuck}");
    assert_eq!(remove(&root, OsStr::new("volume"), SubvolumeRecords::NotNeeded), Ok(()));
}
