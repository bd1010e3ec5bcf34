//! What becomes of quota groups of btrfs on a kernel that keeps those of subvolumes that are gone.

use crate::pool::{Pool, id, order};
use crate::same;
use crate::scene::{MIB, until};
use anyhow::{Context as _, Result, ensure};
use fastrak_api::class::Quota;
use fastrak_api::pool::PoolName;
use fastrak_api::volume::QuotaGroup;
use fastrak_store::volumes::layout;
use fastrak_store::volumes::trash::discard::TrashMetadata;
use fastrak_testkit::process::Invocation;
use fastrak_testkit::uml::inside::Inside;
use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};

fn btrfs(args: &[&str], path: &Path) -> Result<String> {
    let path = path.display().to_string();
    Ok(Invocation::new("btrfs").args(args).arg(path).run_blocking()?.stdout)
}

/// All groups of subvolumes, by their numbers.
pub(crate) fn groups(root: &Path) -> Result<BTreeSet<u64>> {
    // What the kernel has to do with a commit is done before it is looked.
    rustix::fs::syncfs(File::open(root)?)?;
    let shown = btrfs(&["qgroup", "show", "--raw"], root)?;
    let numbers = shown.lines().filter_map(|line| line.strip_prefix("0/")?.split(' ').next());
    numbers.map(|number| number.parse().context("a number")).collect()
}

/// What is noted in the pool.
pub(crate) fn notes(pool: &Path) -> Result<Vec<std::ffi::OsString>> {
    let folder = pool.join(layout::GROUPS);
    if !folder.exists() {
        return Ok(Vec::new());
    }
    Ok(folder.read_dir()?.flatten().map(|entry| entry.file_name()).collect())
}

/// A kernel whose quotas do not hold nested subvolumes gives no volume to a class that requires a
/// quota.
fn required_is_refused(pool: &Pool) -> Result<()> {
    let refused = pool.store.ensure(&order(&id(9), 8 * MIB, Quota::Required));
    let text = format!("{:#}", anyhow::Error::from(refused.err().context("it was made")?));
    ensure!(text.contains("btrfs quota enable --simple") && text.contains("Linux 6.7"), "{text}");
    Ok(())
}

/// Makes some volumes: an empty one, one with a file in it, one in which a tenant has made a
/// subvolume.
fn fill(pool: &Pool) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for number in 1..=3 {
        let (made, _) = pool.store.ensure(&order(&id(number), 8 * MIB, Quota::Preferred))?;
        same("how it is held", &made.limit, &Some(QuotaGroup::Subvolume))?;
        paths.push(made.path);
    }
    std::fs::write(paths[1].join("file"), vec![7; 1 << 20])?;
    btrfs(&["subvolume", "create"], &paths[2].join("of-his-own"))?;
    std::fs::write(paths[2].join("of-his-own/file"), vec![7; 1 << 20])?;
    Ok(paths)
}

pub(super) fn go_with_their_volumes(inside: &Inside) -> Result<()> {
    let point = inside.mount('d', "btrfs", "commit=1")?;
    btrfs(&["quota", "enable"], &point)?;
    let foreign = point.join("foreign");
    btrfs(&["subvolume", "create"], &foreign)?;
    let pool = Pool::new(&point, "pool")?;
    required_is_refused(&pool)?;
    let before = groups(&point)?;
    // Made before any of the pool, and gone before them: nobody has noted it.
    btrfs(&["subvolume", "delete", "--commit-after"], &foreign)?;
    fill(&pool)?;
    let with = groups(&point)?;
    ensure!(with.len() == before.len() + 4 && with.is_superset(&before), "{with:?}");
    for number in 1..=3 {
        ensure!(pool.store.discard(
            &PoolName::default(),
            &id(number),
            &TrashMetadata::default()
        )?);
    }
    pool.empty_trash()?;
    same("what is noted", &notes(&pool.path)?.len(), &4)?;
    same("the groups that this kernel keeps", &groups(&point)?, &with)?;
    until("the groups of the pool are gone", || {
        drop(pool.store.survey());
        Ok(notes(&pool.path)?.is_empty())
    })?;
    same("the groups that are left", &groups(&point)?, &before)?;
    numbers_come_again(inside, &point, pool)
}

/// A number that another has by now is not taken from it, nor its group.
fn numbers_come_again(inside: &Inside, point: &Path, pool: Pool) -> Result<()> {
    // The highest number when the filesystem is mounted again.
    btrfs(&["subvolume", "create"], &point.join("last"))?;
    pool.store.ensure(&order(&id(4), 8 * MIB, Quota::Preferred))?;
    ensure!(pool.store.discard(&PoolName::default(), &id(4), &TrashMetadata::default())?);
    pool.empty_trash()?;
    let noted = notes(&pool.path)?;
    let number = noted.first().and_then(|name| name.to_str()?.split('.').next()?.parse().ok());
    let number: u64 = number.context("it is noted")?;
    btrfs(&["subvolume", "sync"], point)?;
    drop(pool);
    inside.unmount(point)?;
    let point = inside.mount('d', "btrfs", "commit=1")?;
    let foreign = point.join("foreign");
    btrfs(&["subvolume", "create"], &foreign)?;
    let shown = btrfs(&["inspect-internal", "rootid"], &foreign)?;
    same("the number of another", &shown.trim().parse()?, &number)?;
    let pool = Pool::of(point.join("pool"))?;
    let before = groups(&point)?;
    ensure!(before.contains(&number), "{before:?} without {number}");
    drop(pool.store.survey());
    same("what is noted", &notes(&pool.path)?.len(), &0)?;
    same("the groups", &groups(&point)?, &before)?;
    // It stays so when that one is gone too.
    btrfs(&["subvolume", "delete", "--commit-after"], &foreign)?;
    btrfs(&["subvolume", "sync"], &point)?;
    drop(pool.store.survey());
    same("the groups", &groups(&point)?, &before)?;
    // An agent holds the lock of its pool in it.
    drop(pool);
    inside.unmount(&point)
}
