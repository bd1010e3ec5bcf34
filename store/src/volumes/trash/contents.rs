//! Reads the trash of a pool, counts the time that volumes have spent there, and marks them for
//! removal.

use crate::host::{Dir, HostError};
use crate::pools::OpenPool;
use crate::volumes::layout;
use crate::volumes::records::identity::{self, Record};
use crate::volumes::records::owner::{self, OwnerRecord};
use crate::volumes::trash::discard::mark_for_removal;
use crate::volumes::trash::plan::Entry;
use crate::volumes::trash::trashed::Trashed;
use fastrak_api::claim_ref::ClaimRef;
use fastrak_api::pool::PoolName;
use fastrak_api::volume::{Identity, VolumeId};
use fastrak_runtime::chain::Chain;

/// The open trash of a pool.
pub(crate) struct Opened {
    pub(crate) trash: Dir,
    /// The restorable volumes.
    pub(crate) entries: Vec<Entry>,
    /// The number of unreadable records.
    pub(crate) unreadable: usize,
}

/// The records of a volume in the trash.
pub(crate) enum Examined {
    /// It can be restored.
    Restorable(Entry),
    /// It has no retention and could never be restored.
    Final,
    /// The records cannot be read; with the reason.
    Unreadable(String),
}

/// Opens the trash of a pool. Marks volumes without retention for removal. A volume stays if its
/// record is damaged or has another format.
pub(crate) fn open(pool: &OpenPool<'_>, now: i64) -> Result<Option<Opened>, HostError> {
    let Some(trash) = pool.dir.open_if_exists(layout::TRASH)? else { return Ok(None) };
    let names = trash.names(usize::MAX)?;
    let (mut entries, mut unreadable) = (Vec::new(), 0);
    for id in names.iter().filter_map(|name| layout::volume(name)) {
        match examine(&trash, &id, now) {
            Ok(Examined::Restorable(entry)) => entries.push(entry),
            Ok(Examined::Final) => mark_for_removal(&trash, &trash, &id)?,
            Ok(Examined::Unreadable(why)) => {
                tracing::debug!(pool = %pool.config.name, volume = %id, why, "could not read a trash record");
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

/// Reads the records of a volume in the trash.
pub(crate) fn examine(trash: &Dir, id: &VolumeId, now: i64) -> Result<Examined, HostError> {
    let dir = trash.open(id.as_str())?;
    let identity = match identity::read(&dir, id)? {
        Record::Verified(identity) => identity,
        Record::Unverified(why) => return Ok(Examined::Unreadable(why)),
    };
    let Some(ttl) = identity.trash_seconds else { return Ok(Examined::Final) };
    let (owner, since, spent) = time(&dir, &identity, now, ttl)?;
    let entry = Entry { id: id.clone(), owner, bytes: identity.bytes, ttl, spent, since };
    Ok(Examined::Restorable(entry))
}

/// Counts the time of a volume in the trash, and records it when due.
fn time(
    dir: &Dir,
    identity: &Identity,
    now: i64,
    ttl: u64,
) -> Result<(ClaimRef, i64, u64), HostError> {
    let record = owner::read_or_original(dir, identity)?;
    // A volume without a recorded time starts now.
    let (due, spent) = match record.trashed {
        Some(trashed) => (trashed.due(now, ttl), trashed.spent(now, ttl)),
        None => (Some(Trashed::begin(now)), 0),
    };
    let since = record.trashed.map_or(now, |trashed| trashed.since);
    if due.is_some()
        && let Err(error) = owner::write(dir, &OwnerRecord { trashed: due, ..record.clone() })
    {
        // On a full disk the time still counts, up to the part that needs no record.
        tracing::warn!(volume = %identity.volume, error = %Chain(&error), "could not record the time in the trash");
    }
    Ok((record.owner, since, spent))
}

/// Marks a volume for removal. Returns it if that succeeded.
pub(crate) fn purge(trash: &Dir, entry: Entry) -> Option<Entry> {
    let warn = |error: &HostError| {
        tracing::warn!(volume = %entry.id, error = %Chain(error), "could not mark a volume for removal");
    };
    let marked = mark_for_removal(trash, trash, &entry.id).inspect_err(warn);
    marked.is_ok().then_some(entry)
}

/// Logs that a trash could not be reviewed.
pub(crate) fn warn(pool: &PoolName, error: &HostError) {
    tracing::warn!(%pool, error = %Chain(error), "could not review the trash");
}
