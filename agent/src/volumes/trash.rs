//! The trash and what unfinished work has left: seeing to it that it stays away, and emptying it in
//! steps short enough to pause between.
//!
//! It removes nothing that has not been moved into the trash or the staging folder before, and nothing
//! there that can be had back: that has to be given up first, in `sort.rs`.

use super::{Store, VolumeError, layout};
use crate::host::reap::{self, Progress};
use crate::host::{Dir, HostError, Verb};
use crate::pools::OpenPool;
use fastrak_api::pool::PoolName;
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};

/// Enough for any volume that was just begun: those have two entries.
const UNFINISHED: usize = 64;

/// How one pool's trash stands after a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrashState {
    /// The pool.
    pub pool: PoolName,
    /// Whether a further step can remove more.
    pub more: bool,
    /// How many volumes are still in it.
    pub entries: usize,
    /// Those that cannot be removed now, each with what is in the way.
    pub stuck: Vec<(OsString, String)>,
}

impl Store {
    /// Makes sure that what is gone stays gone: the try that moved a volume into the trash may have been
    /// cut off before that was on the disk, and then a power cut brings the volume back, also when the
    /// trash has been emptied since.
    pub fn settle(&self) -> Result<(), VolumeError> {
        for pool in self.pools.open_all() {
            let pool = pool.map_err(VolumeError::Pool)?;
            sync_trash(&pool.dir).map_err(VolumeError::Discard)?;
        }
        Ok(())
    }

    /// Removes about `budget` things from the trash of every pool that can be used. Entries in
    /// `skipped` are left for later.
    pub fn empty_trash(&self, budget: usize, skipped: &BTreeSet<OsString>) -> Vec<TrashState> {
        let pools = self.pools.open_all().flatten();
        pools
            .filter_map(|pool| match empty_one(&pool, budget, skipped) {
                Ok(state) => Some(state),
                Err(error) => {
                    let error = fastrak_runtime::chain::Chain(&error).to_string();
                    tracing::warn!(pool = %pool.config.name, error, "could not look into the trash");
                    None
                }
            })
            .collect()
    }
}

fn empty_one(
    pool: &OpenPool<'_>,
    budget: usize,
    skipped: &BTreeSet<OsString>,
) -> Result<TrashState, HostError> {
    let mut state =
        TrashState { pool: pool.config.name.clone(), more: false, entries: 0, stuck: Vec::new() };
    let trash = match pool.dir.open(OsStr::new(layout::TRASH)) {
        Ok(trash) => trash,
        Err(error) if error.is_missing() => return Ok(state),
        Err(error) => return Err(error),
    };
    let names = trash.names(usize::MAX)?;
    state.entries = names.len();
    let goes = |name: &&OsString| layout::restorable(name).is_none();
    let left = names.iter().filter(goes);
    let mut open = left.filter(|name| !skipped.contains(*name));
    let Some(name) = open.next() else { return Ok(state) };
    match reap::step(&trash, name, budget) {
        Progress::Gone => {
            state.entries -= 1;
            state.more = open.next().is_some();
        }
        Progress::More => state.more = true,
        Progress::Stuck { name: inner, errno } => {
            let why = format!("{}: {errno}", inner.to_string_lossy());
            state.stuck.push((name.clone(), why));
            state.more = true;
        }
    }
    Ok(state)
}

fn sync_trash(pool: &Dir) -> Result<(), HostError> {
    match pool.open(OsStr::new(layout::TRASH)) {
        Ok(trash) => trash.sync()?,
        Err(error) if error.is_missing() => return Ok(()),
        Err(error) => return Err(error),
    }
    pool.sync()
}

/// Removes something small at once.
pub(super) fn remove_now(dir: &Dir, name: &OsStr) -> Result<(), HostError> {
    let wrong = |errno| HostError {
        verb: Verb::Remove,
        what: dir.path().join(name).display().to_string(),
        errno,
    };
    loop {
        match reap::step(dir, name, UNFINISHED) {
            Progress::Gone => return Ok(()),
            Progress::More => {}
            Progress::Stuck { errno, .. } => return Err(wrong(errno)),
        }
    }
}
