//! Looks whether a directory is the pool that it should be, and makes it one at the first start.
//!
//! What the finding means is decided in `marker.rs`. It never repairs: a pool that is wrong stays
//! untouched until someone has put it right.

use super::error::Problem;
use super::marker::{self, Expected, Found, MARKER, MARKER_FORMAT, Marker, Verdict};
use crate::host::calls::{Machine, Room};
use crate::host::{Dir, Kind, dirs, files, machine};
use std::ffi::OsStr;
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
    /// What room its filesystem has.
    pub room: Room,
}

/// Opens the pool.
pub fn open(place: &Place<'_>, expected: &Expected<'_>) -> Result<Opened, Problem> {
    let dir = open_directory(place)?;
    let filesystem = machine::filesystem(&dir).map_err(Problem::Host)?;
    if place.require_mount && !filesystem.is_mount_point {
        return Err(Problem::NotMounted);
    }
    if filesystem.room.read_only {
        return Err(Problem::ReadOnly);
    }
    let content = match files::read(&dir, OsStr::new(MARKER)) {
        Ok(content) => content,
        Err(error) => {
            let why = fastrak_runtime::chain::Chain(&error).to_string();
            return Err(Problem::MarkerUnreadable { why });
        }
    };
    let found = Found::read(content.as_deref());
    let others = if found == Found::Absent { others(&dir, place)? } else { Vec::new() };
    let id = match marker::judge(&found, &others, expected)? {
        Verdict::Accept(id) => {
            // A first start that was cut off may have left it where a power cut takes it away, and a
            // pool with volumes and without a marker is refused. Once in the life of a process.
            if expected.id.is_none() {
                dir.sync().map_err(Problem::Host)?;
            }
            id
        }
        Verdict::Begin => begin(place.machine, &dir, expected)?,
    };
    Ok(Opened { dir, id, room: filesystem.room })
}

fn open_directory(place: &Place<'_>) -> Result<Dir, Problem> {
    match dirs::kind_at(place.machine, place.path).map_err(Problem::Host)? {
        None => Err(Problem::Missing),
        Some(Kind::Symlink) => Err(Problem::Symlink),
        Some(Kind::File | Kind::Other) => Err(Problem::NotADirectory),
        Some(Kind::Directory) => Dir::open_at(place.machine, place.path).map_err(Problem::Host),
    }
}

/// What else is in the directory, that which does not matter left out.
fn others(dir: &Dir, place: &Place<'_>) -> Result<Vec<String>, Problem> {
    let mut names = dir.names(NAMES).map_err(Problem::Host)?;
    names.retain(|name| {
        let path = place.path.join(name);
        // A first start that was killed has left its marker half written, and nothing else.
        let of_ours = *name == files::temporary(OsStr::new(MARKER));
        name != LOST_AND_FOUND
            && !of_ours
            && !place.neighbours.iter().any(|other| other.starts_with(&path))
    });
    Ok(names.into_iter().map(|name| name.to_string_lossy().into_owned()).collect())
}

fn begin(machine: &dyn Machine, dir: &Dir, expected: &Expected<'_>) -> Result<String, Problem> {
    let marker = Marker {
        format: MARKER_FORMAT,
        id: machine::random_uuid(machine).map_err(Problem::Host)?,
        pool: expected.pool.to_string(),
        node: expected.node.to_string(),
    };
    let content = serde_json::to_vec_pretty(&marker)
        .map_err(|error| Problem::MarkerUnreadable { why: error.to_string() })?;
    // Before anything is in it: volumes may be open to every user, and the pool must not be.
    dir.make_private().map_err(Problem::Host)?;
    files::write(dir, OsStr::new(MARKER), &content).map_err(Problem::Host)?;
    dir.sync().map_err(Problem::Host)?;
    tracing::info!(pool = %expected.pool, path = %dir.path().display(), id = marker.id, "pool begun");
    Ok(marker.id)
}
