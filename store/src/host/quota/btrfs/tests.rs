//! Tests on a real btrfs on a loop device.

use super::super::{
    Limits, QuotaUnavailable, Subvolume, Support, Usage, limit, make_subvolume, remove_groups,
    subvolume_uuid, support,
};
use super::*;
use crate::host::dirs::failed;
use crate::host::{Dir, HostError, Kernel, Operation};
use fastrak_testkit::{Disk, eventually, or_skip};
use std::io::{ErrorKind, Write as _};
use std::path::Path;

const MIB: u64 = 1024 * 1024;

fn os(text: &str) -> &OsStr {
    OsStr::new(text)
}

fn open(path: &Path) -> Dir {
    Dir::open_at(&Kernel, path).unwrap()
}

fn held(dir: &Dir) -> Usage {
    super::super::usage(dir, super::super::QuotaGroup::Subvolume).unwrap()
}

fn set(dir: &Dir, most: u64) {
    let bytes = Some(most).filter(|most| *most != 0);
    limit(dir, super::super::QuotaGroup::Subvolume, Limits { bytes, inodes: None }).unwrap();
}

fn fill(path: &Path, bytes: u64) -> std::io::Result<()> {
    let mut file = std::fs::File::create(path)?;
    for _ in 0..bytes / 65536 {
        file.write_all(&[0x5A; 65536])?;
    }
    file.sync_all()
}

/// Removes the subvolume `name` in `dir` with its content. Returns `false` if it has to be emptied
/// like a directory first.
fn remove_subvolume(dir: &Dir, name: &OsStr) -> Result<bool, HostError> {
    match dir.handle().remove_subvolume(name) {
        Ok(()) => Ok(true),
        // It contains a subvolume, the rights are missing, or it is not a subvolume.
        Err(Errno::NOTEMPTY | Errno::PERM | Errno::ACCESS | Errno::INVAL | Errno::NOTTY) => {
            Ok(false)
        }
        Err(errno) => Err(failed(Operation::Remove, &dir.path().join(name))(errno)),
    }
}

#[tokio::test]
async fn a_subvolume_is_limited_and_reports_its_usage() {
    let disk = or_skip!(Disk::btrfs(256).await);
    let root = open(disk.path());
    assert_eq!(support(&root).unwrap(), Support::None(QuotaUnavailable::BtrfsOff));
    or_skip!(disk.enable_simple_quotas().await);
    assert_eq!(support(&root).unwrap(), Support::Subvolumes { nested: true });

    let volume = make_subvolume(&root, os("volume"), 0o2770).unwrap();
    let mode = rustix::fs::stat(volume.path()).unwrap().st_mode;
    assert_eq!(mode & 0o7777, 0o2770);
    set(&volume, 8 * MIB);
    assert_eq!(held(&volume).limit, Some(8 * MIB));

    let full = fill(&volume.path().join("file"), 16 * MIB).unwrap_err();
    assert_eq!(full.kind(), ErrorKind::QuotaExceeded, "{full}");
    let used = held(&volume).used;
    assert!((4 * MIB..=8 * MIB).contains(&used), "{used}");

    set(&volume, 32 * MIB);
    fill(&volume.path().join("more"), 12 * MIB).unwrap();
    let Usage { used, limit, .. } = held(&volume);
    assert!(used > 12 * MIB && limit == Some(32 * MIB), "{used} of {limit:?}");
    set(&volume, 0);
    assert_eq!(held(&volume).limit, None);
}

#[tokio::test]
async fn a_limit_below_the_usage_allows_only_removals() {
    let disk = or_skip!(Disk::btrfs(256).await);
    or_skip!(disk.enable_simple_quotas().await);
    let root = open(disk.path());
    let volume = make_subvolume(&root, os("volume"), 0o777).unwrap();
    fill(&volume.path().join("file"), 8 * MIB).unwrap();
    set(&volume, MIB);
    assert!(fill(&volume.path().join("more"), MIB).is_err());
    std::fs::remove_file(volume.path().join("file")).unwrap();
    assert_eq!(held(&volume).limit, Some(MIB));
}

#[tokio::test]
async fn a_subvolume_moves_with_its_directory_and_is_removed_in_one_call() {
    let disk = or_skip!(Disk::btrfs(256).await);
    or_skip!(disk.enable_simple_quotas().await);
    let root = open(disk.path());
    let staged = root.make(os("staged"), 0o700).unwrap();
    let volume = make_subvolume(&staged, os("data"), 0o777).unwrap();
    set(&volume, 8 * MIB);
    fill(&volume.path().join("file"), MIB).unwrap();
    root.rename(os("staged"), &root, os("final")).unwrap();

    let moved = root.open(os("final")).unwrap();
    assert_eq!(held(&volume).limit, Some(8 * MIB));
    assert!(moved.handle().is_subvolume(os("data")).unwrap());
    assert!(!root.handle().is_subvolume(os("final")).unwrap());
    let Subvolume { number, uuid } = volume.handle().subvolume().unwrap();
    assert_ne!(uuid, [0; 16]);
    assert_eq!(subvolume_uuid(&root, number).unwrap(), Some(uuid));
    assert!(!remove_subvolume(&root, os("final")).unwrap(), "it is a regular directory");
    drop(volume);
    assert!(remove_subvolume(&moved, os("data")).unwrap());
    assert_eq!(moved.kind_of(os("data")).unwrap(), None);
    assert!(remove_subvolume(&moved, os("data")).unwrap_err().is_missing());
    let kept = make_subvolume(&moved, os("kept"), 0o777).unwrap();
    set(&kept, MIB);
    let file = std::fs::File::open(disk.path()).unwrap();
    let fd = rustix::fd::AsFd::as_fd(&file);
    eventually(std::time::Duration::from_secs(20), "the group is gone", || async {
        rustix::fs::syncfs(fd)?;
        let is_gone = subvolume_uuid(&root, number)?.is_none() && remove_groups(&root, number)?;
        let left = item(fd, LIMIT_ITEM, shared_group(number))?;
        anyhow::ensure!(is_gone && left.is_none(), "{left:?}");
        Ok(())
    })
    .await
    .unwrap();
    assert!(remove_groups(&root, number).unwrap(), "a missing group is no error");
    assert_eq!(held(&kept).limit, Some(MIB));
}

#[tokio::test]
async fn a_subvolume_with_a_nested_one_has_to_be_emptied_first() {
    let disk = or_skip!(Disk::btrfs(256).await);
    or_skip!(disk.enable_simple_quotas().await);
    let root = open(disk.path());
    let volume = make_subvolume(&root, os("volume"), 0o777).unwrap();
    make_subvolume(&volume, os("inner"), 0o777).unwrap();
    assert!(!remove_subvolume(&root, os("volume")).unwrap());
    // As an ordinary tree it goes: an empty subvolume can be removed like a directory.
    std::fs::remove_dir_all(disk.path().join("volume")).unwrap();
    assert_eq!(root.kind_of(os("volume")).unwrap(), None);
}

#[tokio::test]
async fn a_path_is_rejected_as_a_name() {
    let disk = or_skip!(Disk::btrfs(256).await);
    let root = open(disk.path());
    for name in ["", ".", "..", "a/b", "/etc"] {
        assert!(make_subvolume(&root, os(name), 0o777).is_err(), "{name:?}");
    }
    assert_eq!(root.names(10).unwrap(), Vec::<std::ffi::OsString>::new());
}

#[test]
fn procfs_has_no_quotas() {
    assert_eq!(
        support(&open(Path::new("/proc"))).unwrap(),
        Support::None(QuotaUnavailable::Unsupported)
    );
}

#[tokio::test]
async fn full_quotas_do_not_limit_nested_subvolumes() {
    let disk = or_skip!(Disk::btrfs(256).await);
    or_skip!(disk.enable_full_quotas().await);
    let root = open(disk.path());
    assert_eq!(support(&root).unwrap(), Support::Subvolumes { nested: false });
    let volume = make_subvolume(&root, os("volume"), 0o777).unwrap();
    set(&volume, 8 * MIB);
    assert_eq!(held(&volume).limit, Some(8 * MIB));
    let inner = make_subvolume(&volume, os("inner"), 0o777).unwrap();
    fill(&inner.path().join("file"), 16 * MIB).unwrap();
    let full = fill(&volume.path().join("file"), 16 * MIB).unwrap_err();
    assert_eq!(full.kind(), ErrorKind::QuotaExceeded, "{full}");
}

#[tokio::test]
async fn simple_quotas_limit_a_volume_with_its_nested_subvolumes() {
    let disk = or_skip!(Disk::btrfs(256).await);
    or_skip!(disk.enable_simple_quotas().await);
    let root = open(disk.path());
    let volume = make_subvolume(&root, os("volume"), 0o777).unwrap();
    set(&volume, 8 * MIB);
    let inner = make_subvolume(&volume, os("inner"), 0o777).unwrap();
    let innermost = make_subvolume(&inner, os("innermost"), 0o777).unwrap();
    let full = fill(&innermost.path().join("file"), 16 * MIB).unwrap_err();
    assert_eq!(full.kind(), ErrorKind::QuotaExceeded, "{full}");
    for dir in [&inner, &volume] {
        let full = fill(&dir.path().join("file"), 8 * MIB).unwrap_err();
        assert_eq!(full.kind(), ErrorKind::QuotaExceeded, "{full}");
    }
    let used = held(&volume).used;
    assert!((4 * MIB..=8 * MIB).contains(&used), "{used}");
    set(&volume, 32 * MIB);
    fill(&inner.path().join("more"), 16 * MIB).unwrap();
    // They go with the volume, and so do their groups.
    let numbers = [&volume, &inner, &innermost].map(|dir| dir.handle().subvolume().unwrap().number);
    drop((volume, inner, innermost));
    std::fs::remove_dir_all(disk.path().join("volume")).unwrap();
    let file = std::fs::File::open(disk.path()).unwrap();
    let fd = rustix::fd::AsFd::as_fd(&file);
    eventually(std::time::Duration::from_secs(20), "the groups are gone", || async {
        rustix::fs::syncfs(fd)?;
        let mut gone = true;
        for number in numbers.iter().rev() {
            gone &= subvolume_uuid(&root, *number)?.is_none() && remove_groups(&root, *number)?;
        }
        anyhow::ensure!(gone, "not yet");
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(item(fd, INFO_ITEM, shared_group(numbers[0])).unwrap(), None);
}

#[tokio::test]
async fn a_limit_without_a_shared_group_is_replaced_by_one_with_it() {
    let disk = or_skip!(Disk::btrfs(256).await);
    or_skip!(disk.enable_simple_quotas().await);
    let root = open(disk.path());
    let volume = make_subvolume(&root, os("volume"), 0o777).unwrap();
    let file = std::fs::File::open(volume.path()).unwrap();
    raw::limit_group(rustix::fd::AsFd::as_fd(&file), 0, REFERENCED, 8 * MIB).unwrap();
    fill(&volume.path().join("file"), 4 * MIB).unwrap();
    assert_eq!(held(&volume).limit, None);
    set(&volume, 32 * MIB);
    assert_eq!(held(&volume).limit, Some(32 * MIB));
    fill(&volume.path().join("more"), 16 * MIB).unwrap();
    assert!(held(&volume).used > 20 * MIB - 1);
}
