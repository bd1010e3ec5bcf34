//! The store of the agent itself, on filesystems that hold projects to limits.

use crate::pool::{Pool, id, order};
use crate::same;
use crate::scene::{MIB, Scene, as_tenant, fill, refusal, until};
use anyhow::{Context as _, Result, ensure};
use fastrak_api::claim_ref::ClaimRef;
use fastrak_api::class::Quota;
use fastrak_api::pool::PoolName;
use fastrak_api::volume::{QuotaGroup, VolumeId};
use fastrak_store::host::quota::{Limits, project};
use fastrak_store::volumes::trash::discard::TrashMetadata;
use fastrak_store::volumes::{Location, VolumeError, quota::projects};
use rustix::fd::AsFd as _;
use rustix::fs::statvfs;
use rustix::io::Errno;
use std::collections::HashMap;
use std::fs::{File, remove_dir_all};
use std::path::Path;

/// A size that is no whole number of any filesystem's blocks.
const ODD: u64 = 10_000_001;

/// Two volumes that would both like the same number best.
fn rivals() -> (VolumeId, VolumeId) {
    let mut seen = HashMap::new();
    for count in 0.. {
        let id = id(count);
        let first = projects::choose(&id, |_| Ok::<_, ()>(false));
        if let Some(other) = seen.insert(first, id.clone()) {
            return (other, id);
        }
    }
    unreachable!("there are more identities than numbers")
}

fn size(path: &Path) -> Result<u64> {
    let shown = statvfs(path)?;
    Ok(shown.f_blocks * shown.f_frsize)
}

pub(super) fn holds_and_grows(scene: &Scene) -> Result<()> {
    let pool = Pool::new(&scene.root, "grows")?;
    let (made, _) = pool.make(&id(1), 8 * MIB)?;
    same("its size", &size(&made.path)?, &(8 * MIB))?;
    // A pod would have the data mounted: only root comes to it this way.
    let mut file = File::create(made.path.join("file"))?;
    let (before, why) = as_tenant(|| Ok(fill(&mut file, 64 * MIB)))?;
    same("refused with", &why, &Some(scene.on.full()))?;
    ensure!(before <= 8 * MIB, "{before} bytes were let in");

    pool.store.grow(&PoolName::default(), &id(1), 12 * MIB)?;
    let (after, why) = as_tenant(|| Ok(fill(&mut file, 64 * MIB)))?;
    same("refused with", &why, &Some(scene.on.full()))?;
    ensure!(after >= 3 * MIB && before + after <= 12 * MIB, "{before} and {after} bytes");
    same("its size", &size(&made.path)?, &(12 * MIB))?;
    // A full volume is in nobody's way but its tenant's: its record is not counted as its own.
    pool.store.grow(&PoolName::default(), &id(1), 13 * MIB)?;
    same("its size", &size(&made.path)?, &(13 * MIB))
}

/// Makes empty files as a tenant until it is refused. Returns how many, and why no more.
fn make_files(folder: &Path, prefix: &str, most: usize) -> Result<(usize, Option<Errno>)> {
    as_tenant(|| {
        let mut refused = None;
        let paths = (0..most).map(|number| folder.join(format!("{prefix}{number}")));
        let made = paths.map_while(|path| {
            refused = refusal(File::create(path));
            refused.is_none().then_some(())
        });
        let made = made.count();
        Ok((made, refused))
    })
}

pub(super) fn limits_files(scene: &Scene) -> Result<()> {
    let pool = Pool::new(&scene.root, "files")?;
    let mut wanted = order(&id(1), 8 * MIB, Quota::Required);
    wanted.identity.bytes_per_inode = Some(4096);
    let (made, _) = pool.store.ensure(&wanted)?;
    let Some(QuotaGroup::Project(number)) = made.limit else { anyhow::bail!("{:?}", made.limit) };
    // The pool's folders are closed to tenants, as on a node: a pod has the data mounted.
    let folder = scene.root.join("files-mounted");
    std::fs::create_dir(&folder)?;
    rustix::mount::mount_bind(&made.path, &folder)?;
    let full = Some(scene.on.full());
    // The directory itself is one.
    same("files", &make_files(&folder, "a", 3000)?, &(2047, full))?;
    pool.store.grow(&PoolName::default(), &id(1), 12 * MIB)?;
    same("files after it has grown", &make_files(&folder, "b", 3000)?, &(1024, full))?;
    let usage = project::usage(pool.root()?.as_fd(), number)?;
    same("the limits", &(usage.inodes, usage.inode_limit), &(Some(3072), Some(3072)))?;
    // By the next agent, which goes by the record.
    project::limit(File::open(&made.path)?.as_fd(), number, Limits::bytes(12 * MIB))?;
    let pool = pool.restarted()?;
    let corrected = pool.store.survey().iter().map(|content| content.corrected).sum();
    same::<usize>("limits that were set again", &corrected, &1)?;
    same("files after that", &make_files(&folder, "c", 10)?, &(0, full))?;
    rustix::mount::unmount(&folder, rustix::mount::UnmountFlags::empty())?;
    Ok(())
}

pub(super) fn gives_each_its_number(scene: &Scene) -> Result<()> {
    let pool = Pool::new(&scene.root, "numbers")?;
    let (one, other) = rivals();
    let made = std::thread::scope(|scope| {
        let both = [&one, &other].map(|id| scope.spawn(|| pool.make(id, MIB)));
        both.map(|made| made.join().expect("it does not panic"))
    });
    let [(_, first), (_, second)] = [made[0].as_ref(), made[1].as_ref()]
        .map(|made| made.map(|(made, number)| (made, *number)).expect("it is made"));
    ensure!(first.abs_diff(second) == 1, "{first:x} and {second:x}");
    // A repeated request, also after a restart, returns the existing volume.
    let (_, again) = pool.restarted()?.make(&one, MIB)?;
    same("its number after a start", &again, &first)
}

/// The kernel may not know the number of a record: a tenant who owns its files has taken them out
/// of its project, and an administrator has reset all limits.
pub(super) fn goes_by_the_records(scene: &Scene) -> Result<()> {
    let pool = Pool::new(&scene.root, "records")?;
    let (one, other) = rivals();
    let (made, first) = pool.make(&one, MIB)?;
    let data = File::open(&made.path)?;
    project::set_project(data.as_fd(), 0, false)?;
    project::limit(data.as_fd(), first, Limits::NONE)?;
    until("the kernel no longer knows the number", || Ok(!pool.in_use(first)?))?;
    let (_, second) = pool.restarted()?.make(&other, MIB)?;
    ensure!(first != second, "{first:x} was given twice");
    Ok(())
}

pub(super) fn sets_a_lost_limit(scene: &Scene) -> Result<()> {
    let pool = Pool::new(&scene.root, "again")?;
    let (made, number) = pool.make(&id(1), ODD)?;
    let corrected = |pool: &Pool| pool.store.survey().iter().map(|content| content.corrected).sum();
    same::<usize>("limits set while all are right", &corrected(&pool), &0)?;
    project::limit(File::open(&made.path)?.as_fd(), number, Limits::NONE)?;
    let pool = pool.restarted()?;
    same::<usize>("limits set", &corrected(&pool), &1)?;
    let limit = project::usage(pool.root()?.as_fd(), number)?.limit.unwrap_or(0);
    ensure!((ODD..ODD + 4096).contains(&limit), "the limit is {limit}");
    Ok(())
}

pub(super) fn counts_what_is_held(scene: &Scene) -> Result<()> {
    let pool = Pool::new(&scene.root, "counts")?;
    let (made, number) = pool.make(&id(1), 8 * MIB)?;
    let mut file = File::create(made.path.join("file"))?;
    fill(&mut file, 2 * MIB);
    file.sync_all()?;
    drop(file);
    let usage = project::usage(pool.root()?.as_fd(), number)?;
    same("inodes", &usage.inodes, &Some(2))?;
    let pool = pool.restarted()?;
    let opened = pool.store.pools().open(&PoolName::default())?;
    let grants = pool.store.grants(&opened)?;
    let held = grants.first().and_then(|(_, grant)| grant.usage).context("nothing is known")?;
    same("what it is said to hold", &(held.bytes, held.inodes), &(usage.used, usage.inodes))?;
    ensure!((2 * MIB..2 * MIB + 65536).contains(&held.bytes), "{held:?}");
    Ok(())
}

pub(super) fn gives_a_number_back(scene: &Scene) -> Result<()> {
    let pool = Pool::new(&scene.root, "back")?;
    let (one, other) = rivals();
    let (made, first) = pool.make(&one, 8 * MIB)?;
    fill(&mut File::create(made.path.join("file"))?, MIB);
    ensure!(
        pool.store.discard(&PoolName::default(), &one, &TrashMetadata::default())?,
        "there was none"
    );
    drop(pool.store.survey());
    ensure!(pool.in_use(first)?, "a volume in the trash has lost its number");
    let (_, second) = pool.make(&other, MIB)?;
    ensure!(second != first, "the number of a volume in the trash was given away");
    pool.empty_trash()?;
    same("where it is", &pool.store.find(&one)?, &Location::Absent)?;
    until("its number is free", || {
        drop(pool.store.survey());
        Ok(!pool.in_use(first)?)
    })?;
    ensure!(pool.in_use(second)?, "the other one's number went too");
    let (_, third) = pool.make(&one, MIB)?;
    same("the number of the next volume", &third, &first)
}

/// Also where its tenant has taken all of it out of its project, so that the kernel counts nothing.
pub(super) fn keeps_a_number_in_the_trash(scene: &Scene) -> Result<()> {
    let pool = Pool::new(&scene.root, "trash")?;
    let (one, other) = rivals();
    let mut wanted = order(&one, MIB, Quota::Required);
    wanted.identity.trash_seconds = Some(3600);
    let (made, _) = pool.store.ensure(&wanted)?;
    let Some(QuotaGroup::Project(first)) = made.limit else { anyhow::bail!("{:?}", made.limit) };
    project::set_project(File::open(&made.path)?.as_fd(), 0, false)?;
    pool.store.discard(&PoolName::default(), &one, &TrashMetadata::default())?;
    // By this agent and by the next, which has never seen the volume.
    drop(pool.store.survey());
    ensure!(pool.in_use(first)?, "its number went");
    let pool = pool.restarted()?;
    drop(pool.store.survey());
    ensure!(pool.in_use(first)?, "its number went after a start");
    let (_, second) = pool.make(&other, MIB)?;
    ensure!(second != first, "its number was given away");
    let back =
        pool.store.restore(&PoolName::default(), &one, &ClaimRef::original(&wanted.identity))?;
    same("how it is held", &back.limit, &Some(QuotaGroup::Project(first)))?;
    same("whether it is", &pool.in_use(first)?, &true)
}

pub(super) fn forgets_what_was_half_made(scene: &Scene) -> Result<()> {
    let pool = Pool::new(&scene.root, "half")?;
    let (_, number) = pool.make(&id(1), MIB)?;
    // As a kill would have left it, in the middle of making it and of removing it.
    std::fs::rename(pool.path.join(id(1).as_str()), pool.path.join(".staging/left"))?;
    let pool = pool.restarted()?;
    until("nothing is left of it", || {
        drop(pool.store.survey());
        Ok(!pool.in_use(number)?)
    })?;
    ensure!(std::fs::read_dir(pool.path.join(".staging"))?.next().is_none(), "it is still there");
    // And a limit for which there was never a file.
    project::limit(pool.root()?.as_fd(), number, Limits::bytes(MIB))?;
    // The kernel releases the quotas of other checks in the background, and a scan looks at a part.
    until("the limit is gone", || {
        drop(pool.store.survey());
        Ok(!pool.in_use(number)?)
    })?;
    // What others have set is theirs.
    project::limit(pool.root()?.as_fd(), 7, Limits::bytes(MIB))?;
    drop(pool.store.survey());
    let foreign = pool.in_use(7)?;
    project::limit(pool.root()?.as_fd(), 7, Limits::NONE)?;
    ensure!(foreign, "the limit of a stranger went");
    Ok(())
}

/// On a filesystem that does not hold projects to limits.
pub(super) fn says_what_is_lacking(root: &Path, wanted: &str) -> Result<()> {
    let pool = Pool::new(root, "lacks")?;
    let outcome = (|| {
        let refused = pool.store.ensure(&order(&id(1), MIB, Quota::Required)).err();
        let refused = refused.context("it was made")?;
        ensure!(matches!(refused, VolumeError::NoQuota { .. }), "{refused:?}");
        ensure!(refused.to_string().contains(wanted), "{refused}");
        let (made, _) = pool.store.ensure(&order(&id(1), MIB, Quota::Preferred))?;
        same("how it is held", &made.limit, &None)
    })();
    remove_dir_all(&pool.path)?;
    outcome
}

pub(super) fn sweeps_a_part_at_a_time(scene: &Scene) -> Result<()> {
    /// More than one scan looks at.
    const MANY: u32 = 4200;
    let pool = Pool::new(&scene.root, "many")?;
    let first = *projects::PROJECT_IDS.start();
    pool.store.ensure(&order(&id(1), MIB, Quota::Required))?;
    let root = pool.root()?;
    for number in first..first + MANY {
        project::limit(root.as_fd(), number, Limits::bytes(MIB))?;
    }
    drop(pool.store.survey());
    until("the first scan took limits away", || Ok(!pool.in_use(first)?))?;
    ensure!(pool.in_use(first + MANY - 1)?, "one scan took all of them away");
    until("all are gone", || {
        drop(pool.store.survey());
        Ok(!pool.in_use(first + MANY - 1)?)
    })
}
