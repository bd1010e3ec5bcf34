//! Checks that a directory is the expected pool, and initializes it at the first start.
//!
//! `marker.rs` decides; this module reads and writes the disk. It repairs nothing: a pool that
//! fails its check stays untouched until an administrator has fixed it.

use super::error::Problem;
use super::lock::{self, Lock};
use super::marker::{self, Expected, MARKER, MARKER_FORMAT, Marker, MarkerState, Verdict};
use super::probe;
use crate::host::calls::{Machine, Statfs};
use crate::host::{Dir, Kind, dirs, files, machine};
use fastrak_runtime::chain::Chain;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// The configured directory of a pool, and what is known of it.
#[derive(Clone, Copy, Debug)]
pub struct PoolDirectory<'a> {
    /// The machine.
    pub machine: &'a dyn Machine,
    /// The path.
    pub path: &'a Path,
    /// Whether the directory must be a mount point.
    pub require_mount: bool,
    /// The directories of other pools, which may be inside this one.
    pub neighbours: &'a [PathBuf],
    /// The lock that this process already holds.
    pub lock: Option<&'a Lock>,
    /// Whether the filesystem was seen to support renames without replacing.
    pub is_probed: bool,
    /// The name of this process, shown to other agents that want the pool.
    pub holder: &'a str,
}

/// The directory that mkfs creates in ext4.
const LOST_AND_FOUND: &str = "lost+found";

/// How many names are read to decide whether a directory is empty.
const NAMES: usize = 64;

/// A directory that has passed the check.
#[derive(Debug)]
pub struct Opened {
    /// The directory.
    pub dir: Dir,
    /// The ID of the pool.
    pub id: String,
    /// The type and the capacity of its filesystem.
    pub statfs: Statfs,
    /// The lock, if this check has taken it.
    pub lock: Option<Lock>,
    /// Whether this check has adopted the pool.
    pub adopted: bool,
    /// Whether the filesystem was seen to support renames without replacing.
    pub probed: bool,
}

/// Checks and opens the pool. Initializes or adopts it if `expected` allows that.
pub fn open(directory: &PoolDirectory<'_>, expected: &Expected<'_>) -> Result<Opened, Problem> {
    if expected.cluster.is_empty() {
        return Err(Problem::ClusterUnknown);
    }
    let dir = open_directory(directory)?;
    let filesystem = machine::filesystem(&dir).map_err(Problem::Host)?;
    if directory.require_mount && !filesystem.is_mount_point {
        return Err(Problem::NotMounted);
    }
    if filesystem.statfs.read_only {
        return Err(Problem::ReadOnly);
    }
    // Taken before the marker is read: two concurrent first starts would both write one.
    let lock = lock::take(&dir, &filesystem, directory.lock)?;
    let content = match files::read(&dir, OsStr::new(MARKER)) {
        Ok(content) => content,
        Err(error) => return Err(Problem::MarkerUnreadable { why: Chain(&error).to_string() }),
    };
    let found = MarkerState::read(content.as_deref());
    let others = others(&dir, directory, &found)?;
    let verdict = marker::decide(&found, &others, expected)?;
    // Probed before the marker is written, so that an unsuitable directory never becomes a pool.
    let probed = directory.is_probed || probe::probe(&dir)?;
    let adopted = matches!(verdict, Verdict::Adopt(_));
    let id = match verdict {
        Verdict::Accept(id) => {
            // A first start may have been interrupted before the marker was synced, and a power
            // failure would remove it. A pool with volumes and without a marker is refused. Done
            // once per process.
            if expected.id.is_none() {
                dir.sync().map_err(Problem::Host)?;
            }
            id
        }
        Verdict::Adopt(marker) => adopt(&dir, &marker)?,
        Verdict::Initialize => initialize(directory.machine, &dir, expected)?,
    };
    if lock.is_some() {
        lock::record_holder(&dir, directory.holder);
    }
    Ok(Opened { dir, id, statfs: filesystem.statfs, lock, adopted, probed })
}

fn open_directory(directory: &PoolDirectory<'_>) -> Result<Dir, Problem> {
    match dirs::kind_at(directory.machine, directory.path).map_err(Problem::Host)? {
        None => Err(Problem::Missing),
        Some(Kind::Symlink) => Err(Problem::Symlink),
        Some(Kind::File | Kind::Other) => Err(Problem::NotADirectory),
        Some(Kind::Directory) => {
            Dir::open_at(directory.machine, directory.path).map_err(Problem::Host)
        }
    }
}

/// Returns the other entries of the directory if the decision depends on them.
fn others(
    dir: &Dir,
    directory: &PoolDirectory<'_>,
    found: &MarkerState,
) -> Result<Vec<String>, Problem> {
    match found {
        MarkerState::Absent => {}
        MarkerState::Marker(marker) if marker.cluster.is_none() => {}
        MarkerState::Marker(_) | MarkerState::Consent | MarkerState::Unreadable(_) => {
            return Ok(Vec::new());
        }
    }
    let mut others = Vec::new();
    for name in dir.names(NAMES).map_err(Problem::Host)? {
        if !is_ignored(dir, directory, &name).map_err(Problem::Host)? {
            others.push(name.to_string_lossy().into_owned());
        }
    }
    Ok(others)
}

fn is_ignored(
    dir: &Dir,
    directory: &PoolDirectory<'_>,
    name: &OsString,
) -> Result<bool, crate::host::HostError> {
    let path = directory.path.join(name);
    // An interrupted first start leaves a partial marker.
    let is_own = [MARKER, lock::HOLDER]
        .iter()
        .any(|own| *name == OsStr::new(own) || *name == files::temporary(OsStr::new(own)));
    if is_own
        || name == LOST_AND_FOUND
        || directory.neighbours.iter().any(|other| other.starts_with(&path))
    {
        return Ok(true);
    }
    // The pool's own directories, such as the trash, contain no data while they are empty.
    let is_hidden = name.as_encoded_bytes().starts_with(b".");
    if !is_hidden || dir.kind_of(name)? != Some(Kind::Directory) {
        return Ok(false);
    }
    Ok(dir.open(name)?.names(1)?.is_empty())
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
    files::write(dir, OsStr::new(MARKER), &content).map_err(Problem::Host)?;
    dir.sync().map_err(Problem::Host)
}
