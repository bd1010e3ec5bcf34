//! Looks through the volumes that can be had back, and gives up those whose time is over or whose room
//! is needed.
//!
//! What is given up gets another name, and that is on the disk before anything of it is removed: so
//! nothing that can be had back is ever half there. Which ones is decided in `plan.rs`.

use crate::host::{Dir, HostError};
use crate::pools::OpenPool;
use crate::volumes::records::identity::{self, Record};
use crate::volumes::records::owner::{self, Owner, OwnerRecord};
use crate::volumes::trash::discard::give_up;
use crate::volumes::trash::evict::Listings;
use crate::volumes::trash::plan::{self, Entry, Fate};
use crate::volumes::trash::trashed::Trashed;
use crate::volumes::{Store, layout};
use fastrak_api::pool::PoolName;
use fastrak_api::volume::{Identity, VolumeId};
use fastrak_runtime::chain::Chain;
use std::ffi::OsStr;
use std::sync::atomic::{AtomicBool, Ordering};

/// What can be had back from one pool's trash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sorted {
    /// The pool.
    pub pool: PoolName,
    /// How many volumes.
    pub volumes: usize,
    /// The sizes that were granted to them, together.
    pub bytes: u64,
    /// Those whose time was over.
    pub over: Vec<Lost>,
    /// Those that have given way.
    pub evicted: Vec<Lost>,
    /// How many have a record that cannot be read: they stay, whatever their time is.
    pub unreadable: usize,
}

/// A volume that cannot be had back any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The volume.
    pub id: VolumeId,
    /// Whose it was.
    pub owner: Owner,
    /// The size that was granted.
    pub bytes: u64,
}

/// What the trash is to be looked at for before its time.
#[derive(Debug, Default)]
pub(crate) struct Haste {
    // Something that can be had back has come into it.
    pub(crate) unsorted: AtomicBool,
    // Something in it is being removed because the room is needed.
    pub(crate) wanted: AtomicBool,
    // What can be had back, as the last look has found it.
    pub(crate) listings: Listings,
}

impl Store {
    /// Whether volumes have given way that are yet to be removed.
    #[must_use]
    pub fn is_giving_way(&self) -> bool {
        self.haste.wanted.load(Ordering::Relaxed)
    }

    /// Says that nothing is left in the trash that could be removed now.
    pub fn has_given_way(&self) {
        self.haste.wanted.store(false, Ordering::Relaxed);
    }

    /// Whether a volume that can be had back has come into the trash since this was asked last.
    #[must_use]
    pub fn is_unsorted(&self) -> bool {
        self.haste.unsorted.swap(false, Ordering::Relaxed)
    }

    /// Looks through the trash of every pool that can be used, in which volumes may hold `percent` of
    /// what is the pool's.
    pub fn sort_trash(&self, percent: u8, now: i64) -> Vec<Sorted> {
        let pools = self.pools.open_all().flatten();
        let sorted = pools.filter_map(|pool| match sort(&pool, percent, now) {
            Ok((sorted, stay)) => {
                self.haste.listings.set(&pool.config.name, stay);
                Some(sorted)
            }
            Err(error) => {
                self.haste.listings.forget(&pool.config.name);
                warn(&pool.config.name, &error);
                None
            }
        });
        sorted.collect()
    }
}

/// What was done, and the volumes that stay.
fn sort(pool: &OpenPool<'_>, percent: u8, now: i64) -> Result<(Sorted, Vec<Entry>), HostError> {
    let name = pool.config.name.clone();
    let mut sorted = Sorted {
        pool: name,
        volumes: 0,
        bytes: 0,
        over: Vec::new(),
        evicted: Vec::new(),
        unreadable: 0,
    };
    let Some(opened) = open(pool, now)? else { return Ok((sorted, Vec::new())) };
    let Opened { trash, entries, unreadable } = opened;
    sorted.unreadable = unreadable;
    let most = pool.config.terms.total(pool.room.total) / 100 * u64::from(percent);
    let (fates, mut stay) = (plan::fates(&entries, Some(most)), Vec::new());
    for (entry, fate) in entries.into_iter().zip(fates) {
        match fate {
            Fate::Stays => {
                sorted.volumes += 1;
                sorted.bytes = sorted.bytes.saturating_add(entry.bytes);
                stay.push(entry);
            }
            Fate::Over => sorted.over.extend(part_with(&trash, &entry)),
            Fate::GivesWay => sorted.evicted.extend(part_with(&trash, &entry)),
        }
    }
    // Before anything of them is removed. Also what an earlier look has given up, whose sync failed.
    trash.sync()?;
    Ok((sorted, stay))
}

/// The trash of a pool.
pub(crate) struct Opened {
    pub(crate) trash: Dir,
    /// The volumes in it that can be restored.
    pub(crate) entries: Vec<Entry>,
    /// How many there are whose records cannot be read.
    unreadable: usize,
}

/// What the records of a volume in the trash say.
pub(crate) enum Examined {
    /// It can be restored.
    Restorable(Entry),
    /// It cannot be restored, and never could.
    Final,
    /// They cannot be read; why.
    Unreadable(String),
}

/// Opens the trash of a pool. Volumes that never could be restored are given up on the way; one whose
/// record is damaged, or was written by a newer version, stays.
pub(crate) fn open(pool: &OpenPool<'_>, now: i64) -> Result<Option<Opened>, HostError> {
    let Some(trash) = pool.dir.open_if_there(OsStr::new(layout::TRASH))? else { return Ok(None) };
    let names = trash.names(usize::MAX)?;
    let (mut entries, mut unreadable) = (Vec::new(), 0);
    for id in names.iter().filter_map(|name| layout::restorable(name)) {
        match examine(&trash, &id, now) {
            Ok(Examined::Restorable(entry)) => entries.push(entry),
            Ok(Examined::Final) => give_up(&trash, &trash, &id)?,
            Ok(Examined::Unreadable(why)) => {
                tracing::debug!(pool = %pool.config.name, volume = %id, why, "trash record not readable");
                unreadable += 1;
            }
            // It has just been restored.
            Err(error) if error.is_missing() => {}
            Err(error) => {
                warn(&pool.config.name, &error);
                unreadable += 1;
            }
        }
    }
    Ok(Some(Opened { trash, entries, unreadable }))
}

pub(crate) fn examine(trash: &Dir, id: &VolumeId, now: i64) -> Result<Examined, HostError> {
    let dir = trash.open(OsStr::new(id.as_str()))?;
    let identity = match identity::read(&dir, id)? {
        Record::Proven(identity) => identity,
        Record::Doubtful(why) => return Ok(Examined::Unreadable(why)),
    };
    let Some(ttl) = identity.trash_seconds else { return Ok(Examined::Final) };
    let (owner, since, spent) = time(&dir, &identity, now, ttl)?;
    let entry = Entry { id: id.clone(), owner, bytes: identity.bytes, ttl, spent, since };
    Ok(Examined::Restorable(entry))
}

/// Counts the time of a volume in the trash, and writes it down where that is due.
fn time(
    dir: &Dir,
    identity: &Identity,
    now: i64,
    ttl: u64,
) -> Result<(Owner, i64, u64), HostError> {
    let record = owner::read(dir)?.unwrap_or_else(|| OwnerRecord::new(Owner::first(identity)));
    // Without a time its time begins now.
    let (due, spent) = match record.trashed {
        Some(trashed) => (trashed.due(now, ttl), trashed.spent(now, ttl)),
        None => (Some(Trashed::begin(now)), 0),
    };
    let since = record.trashed.map_or(now, |trashed| trashed.since);
    if due.is_some()
        && let Err(error) = owner::write(dir, &OwnerRecord { trashed: due, ..record.clone() })
    {
        // On a full disk too its time goes on, up to the part that needs no record.
        tracing::warn!(volume = %identity.volume, error = %Chain(&error), "time in the trash not recorded");
    }
    Ok((record.owner, since, spent))
}

pub(crate) fn part_with(trash: &Dir, entry: &Entry) -> Option<Lost> {
    match give_up(trash, trash, &entry.id) {
        Ok(()) => {
            let (id, owner, bytes) = (entry.id.clone(), entry.owner.clone(), entry.bytes);
            Some(Lost { id, owner, bytes })
        }
        Err(error) => {
            tracing::warn!(volume = %entry.id, error = %Chain(&error), "trash not given up");
            None
        }
    }
}

fn warn(pool: &PoolName, error: &HostError) {
    tracing::warn!(%pool, error = %Chain(error), "could not look through the trash");
}
