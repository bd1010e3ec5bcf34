//! What the volumes of a pool hold: asked of the kernel where it counts that, else counted file by
//! file, a little at a time.
//!
//! How often, and how fast, is for the caller to know.

use crate::host::measure::Count;
use crate::pools::OpenPool;
use crate::volumes::ledger::{Grant, Held, told};
use crate::volumes::records::identity::{self, Record};
use crate::volumes::{Store, VolumeError, layout};
use fastrak_api::capacity::Room;
use fastrak_api::pool::PoolName;
use fastrak_api::volume::VolumeId;
use std::ffi::OsStr;

/// How a pool stands.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The pool.
    pub pool: PoolName,
    /// What can be given away of it.
    pub room: Room,
    /// What was granted to its volumes, and what is known of what they hold.
    pub grants: Vec<(VolumeId, Grant)>,
}

/// How it can be known what a volume holds.
#[derive(Debug)]
pub enum Look {
    /// The kernel has said it.
    Told,
    /// By this count.
    Count(Count),
    /// Not at all: the volume is gone, or is not proven to be itself.
    Gone,
}

impl Store {
    /// How every pool stands that can be used.
    #[must_use]
    pub fn standings(&self) -> Vec<Standing> {
        let pools = self.pools.open_all().flatten();
        pools
            .filter_map(|pool| {
                let (room, grants) = (self.room(&pool).ok()?, self.grants(&pool).ok()?);
                Some(Standing { pool: pool.config.name.clone(), room, grants })
            })
            .collect()
    }

    /// Finds out what volumes of a pool hold, or how that can be found out: one after another, as long as
    /// `wants_more` says so. The pool is looked at once for all of them, which costs as much as one does.
    pub fn look_into_each(
        &self,
        pool: &PoolName,
        ids: &[VolumeId],
        mut wants_more: impl FnMut(&VolumeId, Result<Look, VolumeError>) -> bool,
    ) -> Result<(), VolumeError> {
        let pool = self.pools.open(pool).map_err(VolumeError::Pool)?;
        for id in ids {
            if !wants_more(id, self.look_into(&pool, id)) {
                break;
            }
        }
        Ok(())
    }

    fn look_into(&self, pool: &OpenPool<'_>, id: &VolumeId) -> Result<Look, VolumeError> {
        let dir = pool.dir.open_if_there(OsStr::new(id.as_str())).map_err(VolumeError::Look)?;
        let Some(dir) = dir else { return Ok(Look::Gone) };
        let Record::Proven(identity) = identity::read(&dir, id).map_err(VolumeError::Look)? else {
            return Ok(Look::Gone);
        };
        let data = dir.open(OsStr::new(layout::DATA)).map_err(VolumeError::Look)?;
        if let Some(held) = told(&data, &identity) {
            self.ledger.note(&pool.config.name, id, Some(held));
            return Ok(Look::Told);
        }
        Ok(Look::Count(Count::new(data)))
    }

    /// Remembers what a volume holds.
    pub fn note_usage(&self, pool: &PoolName, id: &VolumeId, held: Held) {
        self.ledger.note(pool, id, Some(held));
    }
}
