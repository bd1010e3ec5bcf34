//! In the guest: one who works until the power fails, and one who looks at what is left. Both say
//! what there is, first, and every answer of the store, as soon as they have it.

use super::DEADLINE;
use crate::checks::groups;
use crate::pool::{Pool, order};
use crate::scene::until;
use anyhow::{Context as _, Result, ensure};
use fastrak_api::claim_ref::ClaimRef;
use fastrak_api::class::Quota;
use fastrak_api::pool::PoolName;
use fastrak_api::volume::{Identity, QuotaGroup, VolumeId};
use fastrak_store::host::calls::Machine as _;
use fastrak_store::host::quota;
use fastrak_store::host::{Dir, Kernel};
use fastrak_store::volumes::trash::discard::TrashMetadata;
use fastrak_store::volumes::trash::restore::SearchResult;
use fastrak_store::volumes::{Location, layout};
use fastrak_testkit::process::Invocation;
use fastrak_testkit::uml::inside::Inside;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// The disks, by the kind of filesystem on each.
pub(super) const DISKS: [&str; 3] = ["xfs", "ext4", "btrfs"];
const LETTERS: [char; 3] = ['a', 'b', 'c'];

/// The size of a new volume. None is a whole number of blocks.
const SIZE: u64 = 1_000_001;
/// As many volumes as there are before some are removed.
const MANY: usize = 12;
/// What a tenant writes and syncs.
const PROOF: &str = "proof";

#[test]
#[ignore = "not a test: another one starts it as the first process of another Linux"]
fn works_until_the_end() {
    let inside = Inside::begin(DEADLINE).unwrap();
    on_every_disk(&inside, work);
    // Only where something has failed.
    inside.end().unwrap();
}

#[test]
#[ignore = "not a test: another one starts it as the first process of another Linux"]
fn looks_and_removes_all() {
    let inside = Inside::begin(DEADLINE).unwrap();
    on_every_disk(&inside, remove_all);
    inside.end().unwrap();
}

fn on_every_disk(inside: &Inside, act: fn(&str, &Path) -> Result<()>) {
    println!();
    for module in ["fs/quota/quota_tree", "fs/quota/quota_v2"] {
        inside.load(module).unwrap();
    }
    std::thread::scope(|scope| {
        for (disk, letter) in DISKS.into_iter().zip(LETTERS) {
            scope.spawn(move || report(disk, on_disk(inside, (disk, letter), act)));
        }
    });
}

fn report(disk: &str, done: Result<()>) {
    if let Err(error) = done {
        println!("FAILED on {disk}: {error:#}");
    }
}

fn on_disk(
    inside: &Inside,
    (disk, letter): (&str, char),
    act: fn(&str, &Path) -> Result<()>,
) -> Result<()> {
    act(disk, &mount(inside, disk, letter)?)
}

fn mount(inside: &Inside, disk: &str, letter: char) -> Result<PathBuf> {
    let options = if disk == "btrfs" { "" } else { "prjquota" };
    let point = inside.mount(letter, disk, options)?;
    if disk == "btrfs" {
        let path = point.display().to_string();
        Invocation::new("btrfs").args(["quota", "enable", &path]).run_blocking()?;
    }
    Ok(point)
}

fn work(disk: &str, point: &Path) -> Result<()> {
    let pool = Pool::of(point.to_owned())?;
    let mut volumes: Vec<_> = look(disk, &pool)?.into_iter().map(|found| found.volume).collect();
    for step in 0.. {
        let id = VolumeId::parse(Kernel.random_uuid().context("a number")?.trim())?;
        make(disk, &pool, (&id, step % 3 == 1))?;
        volumes.push(id);
        if step % 2 == 0 {
            write(disk, &pool, volumes.last().context("one was made")?)?;
        }
        if step % 3 == 0 {
            grow(disk, &pool, &volumes[step % volumes.len()])?;
        }
        if volumes.len() > MANY {
            discard(disk, &pool, &volumes.remove(step % MANY))?;
        }
        if step % 4 == 3
            && let Some(id) = trashed(&pool)?.pop()
        {
            bring_back(disk, &pool, &id)?;
            volumes.push(id);
        }
        if step % 5 == 0 {
            drop(pool.store.review_trash(50, 0));
            drop(pool.store.empty_trash(3, &BTreeSet::new()));
        }
        if step % 20 == 19 {
            drop(pool.store.survey());
        }
    }
    Ok(())
}

fn remove_all(disk: &str, point: &Path) -> Result<()> {
    let pool = Pool::of(point.to_owned())?;
    for found in look(disk, &pool)? {
        discard(disk, &pool, &found.volume)?;
    }
    // Recoverable volumes expire, too.
    drop(pool.store.review_trash(0, i64::from(u32::MAX)));
    pool.empty_trash()?;
    let numbers = || quota::project_from(&Dir::open_at(&Kernel, point)?, 1);
    if disk != "btrfs" {
        until("no number is in use", || {
            drop(pool.store.survey());
            Ok(numbers()?.is_none())
        })?;
    } else {
        // What is removed is given back at these intervals, of half a minute otherwise.
        let path = point.display().to_string();
        Invocation::new("mount").args(["-o", "remount,commit=1", &path]).run_blocking()?;
        until("no group is left", || {
            drop(pool.store.survey());
            let (mut left, noted) = (groups::groups(point)?, groups::notes(point)?);
            left.retain(|number| *number >= 256);
            ensure!(left.is_empty() && noted.is_empty(), "{left:?}, of which are noted {noted:?}");
            Ok(true)
        })?;
    }
    let mut left: Vec<_> =
        std::fs::read_dir(point)?.flatten().map(|entry| entry.file_name()).collect();
    left.retain(|name| name != "lost+found" && !name.to_string_lossy().starts_with('.'));
    ensure!(left.is_empty(), "{left:?} is left");
    Ok(())
}

/// Starts as the agent does, and says what there is.
fn look(disk: &str, pool: &Pool) -> Result<Vec<Identity>> {
    pool.store.sync_trash()?;
    let contents = pool.store.survey();
    let content = contents.first().context("the pool cannot be used")?;
    ensure!(content.unlimited == 0, "{content:?}");
    let staging = pool.path.join(layout::STAGING);
    ensure!(!staging.exists() || staging.read_dir()?.next().is_none(), "something is half made");
    let (mut found, mut numbers) = (Vec::new(), BTreeSet::new());
    for id in &content.volumes {
        let Location::InPool(_, identity) = pool.store.find(id)? else {
            anyhow::bail!("{id} is doubtful: {:?}", pool.store.find(id)?);
        };
        let data = layout::data_path(&pool.path, id);
        let group = identity.limit.context("nothing limits it")?;
        let limit = quota::usage(&Dir::open_at(&Kernel, &data)?, group)?.limit.unwrap_or(0);
        let wanted = identity.bytes..identity.bytes + 65536;
        ensure!(wanted.contains(&limit), "{id} may hold {limit} bytes, not {}", identity.bytes);
        if let Some(QuotaGroup::Project(number)) = identity.limit {
            ensure!(numbers.insert(number), "{id} has the number of another: {number:x}");
        }
        println!("fact {disk} found {id} {} {}", identity.bytes, proof(&data, id));
        found.push(*identity);
    }
    for id in trashed(pool)? {
        let SearchResult::Found(known) = pool.store.search(&id)? else {
            anyhow::bail!("{id} is not restorable: {:?}", pool.store.search(&id)?);
        };
        ensure!(known.trashed, "{id} is there twice");
        let data = pool.path.join(layout::TRASH).join(id.as_str()).join(layout::DATA);
        println!("fact {disk} trashed {id} {} {}", known.identity.bytes, proof(&data, &id));
    }
    println!("fact {disk} looked");
    Ok(found)
}

/// Returns the restorable volumes.
fn trashed(pool: &Pool) -> Result<Vec<VolumeId>> {
    let trash = pool.path.join(layout::TRASH);
    if !trash.exists() {
        return Ok(Vec::new());
    }
    let names = trash.read_dir()?.flatten().map(|entry| entry.file_name());
    Ok(names.filter_map(|name| layout::volume(&name)).collect())
}

fn proof(data: &Path, id: &VolumeId) -> &'static str {
    let content = std::fs::read_to_string(data.join(PROOF)).unwrap_or_default();
    if content == id.as_str() { "proof" } else { "none" }
}

fn make(disk: &str, pool: &Pool, (id, keeps): (&VolumeId, bool)) -> Result<()> {
    println!("fact {disk} making {id} {SIZE}");
    // Linux 6.1 has no simple quotas.
    let quota = if disk == "btrfs" { Quota::Preferred } else { Quota::Required };
    let mut order = order(id, SIZE, quota);
    if keeps {
        println!("fact {disk} keeping {id} 0");
        order.identity.trash_seconds = Some(3600);
    }
    pool.store.ensure(&order)?;
    println!("fact {disk} made {id} {SIZE}");
    Ok(())
}

fn write(disk: &str, pool: &Pool, id: &VolumeId) -> Result<()> {
    let mut file = File::create(layout::data_path(&pool.path, id).join(PROOF))?;
    file.write_all(id.as_str().as_bytes())?;
    file.sync_all()?;
    File::open(layout::data_path(&pool.path, id))?.sync_all()?;
    println!("fact {disk} wrote {id} 0");
    Ok(())
}

fn grow(disk: &str, pool: &Pool, id: &VolumeId) -> Result<()> {
    let Location::InPool(_, identity) = pool.store.find(id)? else {
        anyhow::bail!("{id} is not there");
    };
    let bytes = identity.bytes + SIZE;
    println!("fact {disk} growing {id} {bytes}");
    pool.store.grow(&PoolName::default(), id, bytes)?;
    println!("fact {disk} grew {id} {bytes}");
    Ok(())
}

fn bring_back(disk: &str, pool: &Pool, id: &VolumeId) -> Result<()> {
    let SearchResult::Found(known) = pool.store.search(id)? else {
        anyhow::bail!("{id} is not restorable: {:?}", pool.store.search(id)?);
    };
    println!("fact {disk} returning {id} 0");
    pool.store.restore(&PoolName::default(), id, &ClaimRef::original(&known.identity))?;
    println!("fact {disk} returned {id} 0");
    Ok(())
}

fn discard(disk: &str, pool: &Pool, id: &VolumeId) -> Result<()> {
    println!("fact {disk} discarding {id} 0");
    ensure!(
        pool.store.discard(&PoolName::default(), id, &TrashMetadata::default())?,
        "{id} was not there"
    );
    println!("fact {disk} discarded {id} 0");
    Ok(())
}
