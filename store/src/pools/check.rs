//! Checks that a directory is the pool that it should be, and makes it one at the first start.
//!
//! `marker.rs` decides what a finding means. Nothing is repaired here: a pool that is wrong stays
//! untouched until an administrator has put it right.

use super::error::Problem;
use super::lock::{self, Lock};
use super::marker::{self, Expected, Found, MARKER, MARKER_FORMAT, Marker, Verdict};
use super::probe;
use crate::host::calls::{Machine, Room};
use crate::host::{Dir, Kind, dirs, files, machine};
use fastrak_runtime::chain::Chain;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// What is configured of a pool's directory.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The machine that it is on.
    pub machine: &'a dyn Machine,
    /// The directory.
    pub path: &'a Path,
    /// Whether something must be mounted there.
    pub require_mount: bool,
    /// Directories of other pools, which may lie inside it.
    pub neighbours: &'a [PathBuf],
    /// The lock that this process holds already.
    pub lock: Option<&'a Lock>,
    /// Whether its filesystem is known already to rename without replacing.
    pub is_probed: bool,
    /// How this process is named to others that want the pool.
    pub holder: &'a str,
}

/// A new filesystem of the ext family has this in it.
const LOST_AND_FOUND: &str = "lost+found";

/// As many names as are looked at to see whether a directory is empty.
const NAMES: usize = 64;

/// A directory that is the pool.
#[derive(Debug)]
pub struct Opened {
    /// The directory.
    pub dir: Dir,
    /// The pool's id.
    pub id: String,
    /// The capacity of its filesystem.
    pub room: Room,
    /// The lock of the directory, if it was taken just now.
    pub lock: Option<Lock>,
    /// Whether the pool became this cluster's just now.
    pub adopted: bool,
    /// Whether its filesystem is known to rename without replacing.
    pub probed: bool,
}

/// Opens the pool.
pub fn open(place: &Place<'_>, expected: &Expected<'_>) -> Result<Opened, Problem> {
    if expected.cluster.is_empty() {
        return Err(Problem::ClusterUnknown);
    }
    let dir = open_directory(place)?;
    let filesystem = machine::filesystem(&dir).map_err(Problem::Host)?;
    if place.require_mount && !filesystem.is_mount_point {
        return Err(Problem::NotMounted);
    }
    if filesystem.room.read_only {
        return Err(Problem::ReadOnly);
    }
    // Before the marker is read: two first starts at once would both write one.
    let lock = lock::take(&dir, &filesystem, place.lock)?;
    let content = match files::read(&dir, OsStr::new(MARKER)) {
        Ok(content) => content,
        Err(error) => return Err(Problem::MarkerUnreadable { why: Chain(&error).to_string() }),
    };
    let found = Found::read(content.as_deref());
    let others = others(&dir, place, &found)?;
    let verdict = marker::judge(&found, &others, expected)?;
    // Before anything is written that says that this is the pool.
    let probed = place.is_probed || probe::probe(&dir)?;
    let adopted = matches!(verdict, Verdict::Adopt(_));
    let id = match verdict {
        Verdict::Accept(id) => {
            // A first start that was cut off may have left it where a power cut takes it away, and a
            // pool with volumes and without a marker is refused. Once in the life of a process.
            if expected.id.is_none() {
                dir.sync().map_err(Problem::Host)?;
            }
            id
        }
        Verdict::Adopt(marker) => adopt(&dir, &marker)?,
        Verdict::Begin => begin(place.machine, &dir, expected)?,
    };
    if lock.is_some() {
        lock::sign(&dir, place.holder);
    }
    Ok(Opened { dir, id, room: filesystem.room, lock, adopted, probed })
}

fn open_directory(place: &Place<'_>) -> Result<Dir, Problem> {
    match dirs::kind_at(place.machine, place.path).map_err(Problem::Host)? {
        None => Err(Problem::Missing),
        Some(Kind::Symlink) => Err(Problem::Symlink),
        Some(Kind::File | Kind::Other) => Err(Problem::NotADirectory),
        Some(Kind::Directory) => Dir::open_at(place.machine, place.path).map_err(Problem::Host),
    }
}

/// What else is in the directory, if the decision depends on it.
fn others(dir: &Dir, place: &Place<'_>, found: &Found) -> Result<Vec<String>, Problem> {
    match found {
        Found::Absent => {}
        Found::Marker(marker) if marker.cluster.is_none() => {}
        Found::Marker(_) | Found::Consent | Found::Unreadable(_) => return Ok(Vec::new()),
    }
    let mut others = Vec::new();
    for name in dir.names(NAMES).map_err(Problem::Host)? {
        if !matters_not(dir, place, &name).map_err(Problem::Host)? {
            others.push(name.to_string_lossy().into_owned());
        }
    }
    Ok(others)
}

fn matters_not(
    dir: &Dir,
    place: &Place<'_>,
    name: &OsString,
) -> Result<bool, crate::host::HostError> {
    let path = place.path.join(name);
    // A first start that was killed has left its marker half written, and nothing else.
    let is_own = [MARKER, lock::HOLDER]
        .iter()
        .any(|own| *name == OsStr::new(own) || *name == files::temporary(OsStr::new(own)));
    if is_own
        || name == LOST_AND_FOUND
        || place.neighbours.iter().any(|other| other.starts_with(&path))
    {
        return Ok(true);
    }
    // The folders that a pool has besides its volumes, such as its trash: empty, they hold nobody's data.
    let is_hidden = name.as_encoded_bytes().starts_with(b".");
    if !is_hidden || dir.kind_of(name)? != Some(Kind::Directory) {
        return Ok(false);
    }
    Ok(dir.open(name)?.names(1)?.is_empty())
}

fn begin(machine: &dyn Machine, dir: &Dir, expected: &Expected<'_>) -> Result<String, Problem> {
    let marker = Marker {
        format: MARKER_FORMAT,
        id: machine::random_uuid(machine).map_err(Problem::Host)?,
        pool: expected.pool.to_string(),
        node: expected.node.to_string(),
        cluster: Some(expected.cluster.to_owned()),
    };
    // Before anything is in it: volumes may be open to every user, and the pool must not be.
    dir.make_private().map_err(Problem::Host)?;
    write(dir, &marker)?;
    tracing::info!(pool = %expected.pool, path = %dir.path().display(), id = marker.id, "pool begun");
    Ok(marker.id)
}

fn adopt(dir: &Dir, marker: &Marker) -> Result<String, Problem> {
    write(dir, marker)?;
    let Marker { id, pool, cluster, .. } = marker;
    tracing::info!(pool, id, cluster, path = %dir.path().display(), "pool adopted");
    Ok(id.clone())
}

/// Writes the marker, and returns when it is on the disk.
fn write(dir: &Dir, marker: &Marker) -> Result<(), Problem> {
    let content = serde_json::to_vec_pretty(marker)
        .map_err(|error| Problem::MarkerUnreadable { why: error.to_string() })?;
    files::write(dir, OsStr::new(MARKER), &content).map_err(Problem::Host)?;
    dir.sync().map_err(Problem::Host)
}
