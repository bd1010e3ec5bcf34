//! What a limit does to those who write.

use crate::same;
use crate::scene::{Filesystem, MIB, Scene, as_tenant, fill, refusal, until, walked};
use anyhow::{Result, ensure};
use fastrak_store::host::quota::{Limits, Usage, project};
use rustix::fd::AsFd as _;
use rustix::fs::{FallocateFlags, fallocate, statvfs};
use std::fs::{File, create_dir_all, remove_file};
use std::io::Write as _;

/// What a full volume of this size must have let in at least: all but what the filesystem needs
/// itself.
const SLACK: u64 = 256 * 1024;

pub(super) fn stops_a_writer(scene: &Scene) -> Result<()> {
    let volume = scene.volume(8 * MIB)?;
    let mut file = volume.file("file")?;
    let (written, why) = as_tenant(|| Ok(fill(&mut file, 16 * MIB)))?;
    same("refused with", &why, &Some(scene.on.full()))?;
    ensure!((8 * MIB - SLACK..=8 * MIB).contains(&written), "{written} bytes were let in");
    file.sync_all()?;
    let usage = volume.usage()?;
    ensure!(usage.used <= 8 * MIB, "{usage:?}");
    Ok(())
}

pub(super) fn stops_reserving(scene: &Scene) -> Result<()> {
    let volume = scene.volume(8 * MIB)?;
    let file = volume.file("file")?;
    let reserve = |bytes| fallocate(&file, FallocateFlags::empty(), 0, bytes);
    let refused = as_tenant(|| Ok(reserve(9 * MIB)))?;
    same("refused with", &refused, &Err(scene.on.full()))?;
    // What was reserved before it came to the limit goes with the file.
    drop(file);
    remove_file(volume.path.join("file"))?;
    let file = volume.file("less")?;
    until("space is given back", || Ok(volume.usage()?.used < MIB))?;
    as_tenant(|| Ok(fallocate(&file, FallocateFlags::empty(), 0, 7 * MIB)?))?;
    let held = volume.usage()?.used;
    ensure!((7 * MIB..8 * MIB).contains(&held), "{held} bytes are held");
    Ok(())
}

pub(super) fn what_root_may(scene: &Scene) -> Result<()> {
    let volume = scene.volume(4 * MIB)?;
    let (written, why) = fill(&mut volume.file("file")?, 8 * MIB);
    match scene.on {
        // CAP_SYS_RESOURCE exempts from limits; only privileged pods have it.
        Filesystem::Ext4 => same("root was stopped", &(written, why), &(8 * MIB, None)),
        Filesystem::Xfs => same("root was stopped", &why, &Some(scene.on.full())),
    }
}

pub(super) fn is_raised_online(scene: &Scene) -> Result<()> {
    let volume = scene.volume(4 * MIB)?;
    let mut file = volume.file("file")?;
    let (before, why) = as_tenant(|| Ok(fill(&mut file, 16 * MIB)))?;
    same("refused with", &why, &Some(scene.on.full()))?;
    project::limit(volume.dir.as_fd(), volume.project, Limits::bytes(12 * MIB))?;
    let (after, why) = as_tenant(|| Ok(fill(&mut file, 16 * MIB)))?;
    same("refused with", &why, &Some(scene.on.full()))?;
    let all = before + after;
    ensure!((12 * MIB - SLACK..=12 * MIB).contains(&all), "{before} and {after} bytes");
    same("the limit", &volume.usage()?.limit, &Some(12 * MIB))
}

pub(super) fn may_be_below_use(scene: &Scene) -> Result<()> {
    let volume = scene.volume(8 * MIB)?;
    for name in ["one", "two"] {
        let mut file = volume.file(name)?;
        fill(&mut file, 2 * MIB);
        file.sync_all()?;
    }
    project::limit(volume.dir.as_fd(), volume.project, Limits::bytes(MIB))?;
    let more = |name: &str| {
        let mut file = File::options().append(true).open(volume.path.join(name))?;
        Ok(fill(&mut file, MIB))
    };
    let (_, why) = as_tenant(|| more("one"))?;
    same("refused with", &why, &Some(scene.on.full()))?;
    as_tenant(|| Ok(remove_file(volume.path.join("two"))?))?;
    remove_file(volume.path.join("one"))?;
    until("space is given back", || Ok(volume.usage()?.used < MIB))?;
    volume.file("three")?;
    let (written, _) = as_tenant(|| more("three"))?;
    ensure!(written >= MIB - SLACK, "only {written} bytes after there was room");
    Ok(())
}

pub(super) fn of_inodes(scene: &Scene) -> Result<()> {
    let volume = scene.volume(8 * MIB)?;
    project::limit(
        volume.dir.as_fd(),
        volume.project,
        Limits { bytes: Some(8 * MIB), inodes: Some(10) },
    )?;
    let make = |from: u32| {
        let paths = (from..from + 20).map(|n| volume.path.join(n.to_string()));
        let mut made = paths.map(|path| refusal(File::create(path)));
        let done = made.by_ref().take_while(Option::is_none).count();
        Ok(done)
    };
    // The directory is one of the ten itself.
    same("files", &as_tenant(|| make(0))?, &9)?;
    same("inodes", &volume.usage()?.inodes, &Some(10))?;
    project::limit(volume.dir.as_fd(), volume.project, Limits::bytes(8 * MIB))?;
    same("files without a limit", &as_tenant(|| make(100))?, &20)
}

pub(super) fn is_what_statfs_shows(scene: &Scene) -> Result<()> {
    let volume = scene.volume(16 * MIB)?;
    create_dir_all(volume.path.join("a/b"))?;
    let mut file = volume.file("file")?;
    fill(&mut file, 4 * MIB);
    file.sync_all()?;
    // XFS reserves more than a file needs while it is open.
    drop(file);
    for path in [volume.path.clone(), volume.path.join("a/b")] {
        let shown = statvfs(&path)?;
        same("its size", &(shown.f_blocks * shown.f_frsize), &(16 * MIB))?;
        let free = shown.f_bavail * shown.f_frsize;
        ensure!((12 * MIB - SLACK..=12 * MIB).contains(&free), "{free} bytes are free");
    }
    project::limit(volume.dir.as_fd(), volume.project, Limits::bytes(32 * MIB))?;
    let shown = statvfs(&volume.path)?;
    same("its size when it has grown", &(shown.f_blocks * shown.f_frsize), &(32 * MIB))?;
    let whole = statvfs(&scene.root)?;
    ensure!(whole.f_blocks * whole.f_frsize > 64 * MIB, "the filesystem shows a volume's size");
    Ok(())
}

pub(super) fn usage_is_exact(scene: &Scene) -> Result<()> {
    let volume = scene.volume(32 * MIB)?;
    let first = volume.usage()?;
    same("inodes of an empty one", &first.inodes, &Some(1))?;
    create_dir_all(volume.path.join("a/b/c"))?;
    for (name, bytes) in [("one", 1_usize), ("a/block", 4096), ("a/b/more", 1_234_567)] {
        let mut file = volume.file(name)?;
        file.write_all(&vec![1; bytes])?;
        file.sync_all()?;
    }
    let sparse = volume.file("a/b/c/sparse")?;
    sparse.set_len(20 * MIB)?;
    sparse.sync_all()?;
    drop(sparse);
    std::os::unix::fs::symlink("one", volume.path.join("link"))?;
    rustix::fs::syncfs(&volume.dir)?;
    let (inodes, used) = walked(&volume.path)?;
    ensure!(used > 1_200_000 && inodes == 9, "{inodes} inodes, {used} bytes by the walk");
    let wanted = Usage { used, inodes: Some(inodes), limit: Some(32 * MIB), inode_limit: None };
    same("what it holds", &volume.usage()?, &wanted)?;
    remove_file(volume.path.join("a/b/more"))?;
    let (inodes, used) = walked(&volume.path)?;
    let wanted = Usage { used, inodes: Some(inodes), ..wanted };
    until("what is removed is no longer counted", || Ok(volume.usage()? == wanted))
}

pub(super) fn volumes_are_apart(scene: &Scene) -> Result<()> {
    let (full, other) = (scene.volume(4 * MIB)?, scene.volume(4 * MIB)?);
    let before = other.usage()?;
    let mut file = full.file("file")?;
    let (_, why) = as_tenant(|| Ok(fill(&mut file, 8 * MIB)))?;
    same("refused with", &why, &Some(scene.on.full()))?;
    same("what the other holds", &other.usage()?, &before)?;
    let mut file = other.file("file")?;
    let (written, _) = as_tenant(|| Ok(fill(&mut file, 3 * MIB)))?;
    same("written to the other", &written, &(3 * MIB))
}
