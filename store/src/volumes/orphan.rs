//! Orphans: directories of volumes without API objects. Reports their content and moves them into
//! the trash.
//!
//! The caller decides which directories are orphans. An orphan with data moves only with a
//! retention in the trash; without one it stays.

use crate::host::HostError;
use crate::pools::OpenPool;
use crate::volumes::records::identity::{self, Record};
use crate::volumes::trash::discard::TrashMetadata;
use crate::volumes::{Store, VolumeError, layout, read_record};
use fastrak_api::class::ReclaimPolicy;
use fastrak_api::pool::PoolName;
use fastrak_api::volume::VolumeId;
use std::time::Duration;

/// The content of a volume's directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Nothing: the volume was never used.
    Empty,
    /// Data.
    Data,
    /// Anything, with a record that says to retain it.
    Retained,
    /// A record that cannot be read or has another format.
    Unreadable,
}

/// The result of [`Store::discard_orphan`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discarded {
    /// The directory is in the trash.
    Done,
    /// The directory stays because of its content.
    Kept,
    /// The directory no longer exists.
    Missing,
}

impl Store {
    /// Returns the content of a volume's directory, or `None` if it does not exist.
    pub fn content(&self, pool: &PoolName, id: &VolumeId) -> Result<Option<Content>, VolumeError> {
        let pool = self.pools.open(pool).map_err(VolumeError::Pool)?;
        content(&pool, id).map_err(VolumeError::Read)
    }

    /// Returns the content of each of these directories. Omits those that no longer exist.
    pub fn contents(
        &self,
        pool: &PoolName,
        ids: &[VolumeId],
    ) -> Result<Vec<(VolumeId, Content)>, VolumeError> {
        let pool = self.pools.open(pool).map_err(VolumeError::Pool)?;
        let content = |id: &VolumeId| Some((id.clone(), content(&pool, id).transpose()?));
        let contents = ids.iter().filter_map(content);
        let contents = contents.map(|(id, content)| content.map(|content| (id, content)));
        contents.collect::<Result<_, _>>().map_err(VolumeError::Read)
    }

    /// Moves the directory of an orphan into the trash if it is empty or `retention` is given.
    pub fn discard_orphan(
        &self,
        pool: &PoolName,
        id: &VolumeId,
        retention: Option<Duration>,
        now: i64,
    ) -> Result<Discarded, VolumeError> {
        let opened = self.pools.open(pool).map_err(VolumeError::Pool)?;
        match (content(&opened, id).map_err(VolumeError::Read)?, retention) {
            (None, _) => return Ok(Discarded::Missing),
            (Some(Content::Empty), _) => {}
            (Some(Content::Data), Some(time)) => {
                retain_for(&opened, id, time).map_err(VolumeError::Discard)?;
            }
            (Some(Content::Data | Content::Retained | Content::Unreadable), _) => {
                return Ok(Discarded::Kept);
            }
        }
        let moved = self.discard(pool, id, &TrashMetadata { now, ..TrashMetadata::default() })?;
        Ok(if moved { Discarded::Done } else { Discarded::Missing })
    }
}

fn content(pool: &OpenPool<'_>, id: &VolumeId) -> Result<Option<Content>, HostError> {
    let identity = match read_record(pool, id)? {
        None => return Ok(None),
        Some(Record::Unverified(_)) => return Ok(Some(Content::Unreadable)),
        Some(Record::Verified(identity)) => identity,
    };
    if identity.reclaim_policy == ReclaimPolicy::Retain {
        return Ok(Some(Content::Retained));
    }
    let dir = pool.dir.open(id.as_str())?;
    let data = dir.open_if_exists(layout::DATA)?;
    // A missing directory contains no data; any other failure is an error.
    let names = data.map(|data| data.names(1)).transpose()?;
    Ok(Some(if names.is_none_or(|names| names.is_empty()) {
        Content::Empty
    } else {
        Content::Data
    }))
}

/// Records how long the volume can be restored from the trash.
fn retain_for(pool: &OpenPool<'_>, id: &VolumeId, time: Duration) -> Result<(), HostError> {
    let seconds = time.as_secs().max(1);
    let dir = pool.dir.open(id.as_str())?;
    identity::update(&dir, id, |identity| identity.trash_seconds = Some(seconds))
}
