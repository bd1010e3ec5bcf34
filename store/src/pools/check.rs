//! Checks that a directory is the expected pool, and initializes it at the first start.
//!
//! `marker.rs` decides; this module reads and writes the disk. It repairs nothing: a pool that
//! fails its check stays untouched until an administrator has fixed it.

use super::error::Problem;
use super::marker::{self, Expected, MARKER, MARKER_FORMAT, Marker, MarkerState, Verdict};
use super::{OpenPool, PoolConfig, Pools, State, lock, probe};
use crate::host::calls::Machine;
use crate::host::{Dir, HostError, Kind, dirs, files, machine};
use fastrak_runtime::chain::Chain;
use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

/// The directory that mkfs creates in ext4.
const LOST_AND_FOUND: &str = "lost+found";

/// How many names are read to decide whether a directory is empty.
const NAMES: usize = 64;

impl Pools {
    /// Checks and opens the pool. Initializes or adopts it if the marker and the cluster allow
    /// that. Keeps in `state` what later checks need.
    pub(super) fn check<'a>(
        &self,
        config: &'a PoolConfig,
        state: &mut State,
    ) -> Result<OpenPool<'a>, Problem> {
        let (view, known_id) = (Arc::clone(&self.cluster_view.lock()), state.id.clone());
        let expected = Expected {
            pool: &config.name,
            node: &self.node,
            id: known_id.as_deref(),
            cluster: &view.cluster,
            has_volumes: view.in_use.contains(config.name.as_str()),
            adopt: view.adopt.as_deref() == Some(config.name.as_str()),
        };
        if expected.cluster.is_empty() {
            return Err(Problem::ClusterUnknown);
        }
        let dir = open_directory(self.machine(), &config.path)?;
        let filesystem = machine::filesystem(&dir).map_err(Problem::Host)?;
        if config.require_mount && !filesystem.is_mount_point {
            return Err(Problem::NotMounted);
        }
        if filesystem.statfs.read_only {
            return Err(Problem::ReadOnly);
        }
        // Taken before the marker is read: two concurrent first starts would both write one.
        let lock = lock::take(&dir, &filesystem, state.lock.as_ref())?;
        let content = files::read(&dir, MARKER)
            .map_err(|error| Problem::MarkerUnreadable { why: Chain(&error).to_string() })?;
        let found = MarkerState::read(content.as_deref());
        let verdict = marker::decide(&found, &self.others(&dir, &found)?, &expected)?;
        // Probed before the marker is written, so that an unsuitable directory never becomes a
        // pool.
        let probed = state.probed || probe::probe(&dir)?;
        let adopted = matches!(verdict, Verdict::Adopt(_));
        let id = match verdict {
            Verdict::Accept(id) => {
                // A first start may have been interrupted before the marker was synced, and a power
                // failure would remove it. A pool with volumes and without a marker is refused.
                // Done once per process.
                if expected.id.is_none() {
                    dir.sync().map_err(Problem::Host)?;
                }
                id
            }
            Verdict::Adopt(marker) => adopt(&dir, &marker)?,
            Verdict::Initialize => initialize(self.machine(), &dir, &expected)?,
        };
        if lock.is_some() {
            lock::record_holder(&dir, &self.holder);
            state.lock = lock;
        }
        (state.id, state.probed) = (Some(id), probed);
        state.adopted |= adopted;
        Ok(OpenPool { config, dir, statfs: filesystem.statfs })
    }

    /// Returns the other entries of the directory if the decision depends on them.
    fn others(&self, dir: &Dir, found: &MarkerState) -> Result<Vec<String>, Problem> {
        match found {
            MarkerState::Absent => {}
            MarkerState::Marker(marker) if marker.cluster.is_none() => {}
            MarkerState::Marker(_) | MarkerState::Consent | MarkerState::Unreadable(_) => {
                return Ok(Vec::new());
            }
        }
        let mut others = Vec::new();
        for name in dir.names(NAMES).map_err(Problem::Host)? {
            if !self.is_ignored(dir, &name).map_err(Problem::Host)? {
                others.push(name.to_string_lossy().into_owned());
            }
        }
        Ok(others)
    }

    fn is_ignored(&self, dir: &Dir, name: &OsStr) -> Result<bool, HostError> {
        // An interrupted first start leaves a partial marker.
        let is_own =
            [MARKER, lock::HOLDER].iter().any(|own| name == *own || name == files::temporary(own));
        // Another pool may be inside this one.
        let path = dir.path().join(name);
        let is_outer = self.pools.iter().any(|pool| pool.config.path.starts_with(&path));
        if is_own || name == LOST_AND_FOUND || is_outer {
            return Ok(true);
        }
        // The pool's own directories, such as the trash, contain no data while they are empty.
        let is_hidden = name.as_encoded_bytes().starts_with(b".");
        if !is_hidden || dir.kind_of(name)? != Some(Kind::Directory) {
            return Ok(false);
        }
        Ok(dir.open(name)?.names(1)?.is_empty())
    }
}

fn open_directory(machine: &dyn Machine, path: &Path) -> Result<Dir, Problem> {
    match dirs::kind_at(machine, path).map_err(Problem::Host)? {
        None => Err(Problem::Missing),
        Some(Kind::Symlink) => Err(Problem::Symlink),
        Some(Kind::File | Kind::Other) => Err(Problem::NotADirectory),
        Some(Kind::Directory) => Dir::open_at(machine, path).map_err(Problem::Host),
    }
}

fn initialize(
    machine: &dyn Machine,
    dir: &Dir,
    expected: &Expected<'_>,
) -> Result<String, Problem> {
    let marker = Marker {
        format: MARKER_FORMAT,
        id: machine::random_uuid(machine).map_err(Problem::Host)?,
        pool: expected.pool.to_string(),
        node: expected.node.to_string(),
        cluster: Some(expected.cluster.to_owned()),
    };
    // Volumes may be accessible to every user; the pool must not be, from the start.
    dir.make_private().map_err(Problem::Host)?;
    write(dir, &marker)?;
    tracing::info!(pool = %expected.pool, path = %dir.path().display(), id = marker.id, "initialized pool");
    Ok(marker.id)
}

fn adopt(dir: &Dir, marker: &Marker) -> Result<String, Problem> {
    write(dir, marker)?;
    let Marker { id, pool, cluster, .. } = marker;
    tracing::info!(pool, id, cluster, path = %dir.path().display(), "adopted pool");
    Ok(id.clone())
}

/// Writes the marker and flushes it to the disk.
fn write(dir: &Dir, marker: &Marker) -> Result<(), Problem> {
    let content = serde_json::to_vec_pretty(marker)
        .map_err(|error| Problem::MarkerUnreadable { why: error.to_string() })?;
    files::write(dir, MARKER, &content).map_err(Problem::Host)?;
    dir.sync().map_err(Problem::Host)
}
