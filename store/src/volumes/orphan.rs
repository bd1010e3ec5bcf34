//! Directories of volumes that nothing in the cluster names: what is in them, and moving them into the
//! trash.
//!
//! It does not decide which directories these are. Whoever asks for one that holds data has to say how
//! long it is to be kept in the trash; without a time, data stays where it is.

use crate::host::HostError;
use crate::pools::OpenPool;
use crate::volumes::records::identity::{self, Record};
use crate::volumes::trash::discard::Parting;
use crate::volumes::{Store, VolumeError, layout, look};
use fastrak_api::class::ReclaimPolicy;
use fastrak_api::pool::PoolName;
use fastrak_api::volume::VolumeId;
use std::ffi::OsStr;
use std::time::Duration;

/// What is in the directory of a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Nothing: the volume was never used.
    Empty,
    /// Data.
    Data,
    /// Whatever it is, the record says that it is to be kept.
    Retained,
    /// Its record cannot be read, or was written by a newer version.
    Unreadable,
}

/// How moving an orphan into the trash has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discarded {
    /// It is in the trash.
    Done,
    /// It holds what must stay.
    Kept,
    /// It is not there any more.
    Missing,
}

impl Store {
    /// What is in each of these directories of a pool; those that are gone are left out.
    pub fn contents(
        &self,
        pool: &PoolName,
        ids: &[VolumeId],
    ) -> Result<Vec<(VolumeId, Content)>, VolumeError> {
        let pool = self.pools.open(pool).map_err(VolumeError::Pool)?;
        let content = |id: &VolumeId| Some((id.clone(), content(&pool, id).transpose()?));
        let contents = ids.iter().filter_map(content);
        let contents = contents.map(|(id, content)| content.map(|content| (id, content)));
        contents.collect::<Result<_, _>>().map_err(VolumeError::Look)
    }

    /// Moves the directory of an orphan into the trash, if it is empty or has a `retention` to stay there.
    pub fn discard_orphan(
        &self,
        pool: &PoolName,
        id: &VolumeId,
        retention: Option<Duration>,
        now: i64,
    ) -> Result<Discarded, VolumeError> {
        let opened = self.pools.open(pool).map_err(VolumeError::Pool)?;
        match (content(&opened, id).map_err(VolumeError::Look)?, retention) {
            (None, _) => return Ok(Discarded::Missing),
            (Some(Content::Empty), _) => {}
            (Some(Content::Data), Some(time)) => {
                retain_for(&opened, id, time).map_err(VolumeError::Discard)?;
            }
            (Some(Content::Data | Content::Retained | Content::Unreadable), _) => {
                return Ok(Discarded::Kept);
            }
        }
        let moved = self.discard(pool, id, &Parting { now, ..Parting::default() })?;
        Ok(if moved { Discarded::Done } else { Discarded::Missing })
    }
}

fn content(pool: &OpenPool<'_>, id: &VolumeId) -> Result<Option<Content>, HostError> {
    let identity = match look(pool, id)? {
        None => return Ok(None),
        Some(Record::Doubtful(_)) => return Ok(Some(Content::Unreadable)),
        Some(Record::Proven(identity)) => identity,
    };
    if identity.reclaim_policy == ReclaimPolicy::Retain {
        return Ok(Some(Content::Retained));
    }
    let dir = pool.dir.open(OsStr::new(id.as_str()))?;
    let data = dir.open_if_there(OsStr::new(layout::DATA))?;
    // A folder that is not there has no data in it; whatever else is wrong with it is an error.
    let names = data.map(|data| data.names(1)).transpose()?;
    Ok(Some(if names.is_none_or(|names| names.is_empty()) {
        Content::Empty
    } else {
        Content::Data
    }))
}

/// Records for how long the volume can be restored once it is in the trash.
fn retain_for(pool: &OpenPool<'_>, id: &VolumeId, time: Duration) -> Result<(), HostError> {
    let dir = pool.dir.open(OsStr::new(id.as_str()))?;
    let Record::Proven(mut identity) = identity::read(&dir, id)? else { return Ok(()) };
    let seconds = time.as_secs().max(1);
    if identity.trash_seconds != Some(seconds) {
        identity.trash_seconds = Some(seconds);
        identity::write(&dir, &identity)?;
        dir.sync()?;
    }
    Ok(())
}
