//! The usage of the volumes in a pool: read from the kernel quota, or counted file by file in small
//! steps.
//!
//! The caller decides how often and how fast.

use crate::host::measure::Count;
use crate::pools::OpenPool;
use crate::volumes::ledger::{Grant, VolumeUsage, kernel_usage};
use crate::volumes::{Store, VolumeError, layout, open_verified};
use fastrak_api::capacity::Available;
use fastrak_api::pool::PoolName;
use fastrak_api::volume::VolumeId;

/// The capacity and the grants of a pool.
#[derive(Clone, Debug)]
pub struct PoolUsage {
    /// The pool.
    pub pool: PoolName,
    /// The capacity that can still be granted.
    pub available: Available,
    /// The grants of its volumes, with their known usage.
    pub grants: Vec<(VolumeId, Grant)>,
}

/// How the usage of a volume is determined.
#[derive(Debug)]
pub enum UsageSource {
    /// The kernel has reported it, and the ledger has it.
    Kernel,
    /// This count determines it.
    Count(Count),
    /// Not at all: the volume is gone or has no valid record.
    Gone,
}

impl Store {
    /// Returns the capacity and the grants of every usable pool.
    #[must_use]
    pub fn pool_usages(&self) -> Vec<PoolUsage> {
        let pools = self.pools.open_all().flatten();
        pools
            .filter_map(|pool| {
                let (available, grants) = (self.available(&pool).ok()?, self.grants(&pool).ok()?);
                Some(PoolUsage { pool: pool.config.name.clone(), available, grants })
            })
            .collect()
    }

    /// Determines the usage of these volumes one after another, while `wants_more` returns `true`.
    /// The pool is checked once for all of them, because a check costs as much as a volume.
    pub fn measure_each(
        &self,
        pool: &PoolName,
        ids: &[VolumeId],
        mut wants_more: impl FnMut(&VolumeId, Result<UsageSource, VolumeError>) -> bool,
    ) -> Result<(), VolumeError> {
        let pool = self.pools.open(pool).map_err(VolumeError::Pool)?;
        for id in ids {
            if !wants_more(id, self.measure(&pool, id)) {
                break;
            }
        }
        Ok(())
    }

    fn measure(&self, pool: &OpenPool<'_>, id: &VolumeId) -> Result<UsageSource, VolumeError> {
        let verified = open_verified(&pool.dir, id).map_err(VolumeError::Read)?;
        let Some((dir, identity)) = verified else { return Ok(UsageSource::Gone) };
        let data = dir.open(layout::DATA).map_err(VolumeError::Read)?;
        if let Some(held) = kernel_usage(&data, &identity) {
            self.ledger.set_usage(&pool.config.name, id, Some(held));
            return Ok(UsageSource::Kernel);
        }
        Ok(UsageSource::Count(Count::new(data)))
    }

    /// Records the usage of a volume.
    pub fn record_usage(&self, pool: &PoolName, id: &VolumeId, held: VolumeUsage) {
        self.ledger.set_usage(pool, id, Some(held));
    }
}
