//! The parts of a disk that the agent may change.

use crate::disk::Ino;
use fastrak_store::pools::{PROBE, PROBED};
use fastrak_store::volumes::layout;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Returns whether the agent may make a change: to the marker, to its own directories, to the
/// record of a volume, and to a whole volume by a rename.
pub(super) fn may_change(verb: &str, path: &[OsString], places: &BTreeMap<PathBuf, Ino>) -> bool {
    let Some((pool, rest)) = path.split_first() else { return false };
    if !places.contains_key(&Path::new("/").join(pool)) {
        return false;
    }
    let rest: Vec<_> = rest.iter().map(|name| name.to_str().unwrap_or("?")).collect();
    match rest.as_slice() {
        [] => verb == "chmod",
        [layout::STAGING | layout::TRASH | layout::GROUPS] => matches!(verb, "mkdir" | "chmod"),
        [layout::GROUPS, _] => matches!(verb, "create" | "unlink"),
        [layout::STAGING, ..] => true,
        [layout::TRASH, _volume, "owner.json.new"] => true,
        [layout::TRASH, ..] => verb != "mkdir" && verb != "create",
        [".fastrak-pool" | ".fastrak-holder"] => verb == "rename",
        [PROBE | PROBED] => matches!(verb, "mkdir" | "chmod" | "rename" | "rmdir"),
        [".fastrak-pool.new" | ".fastrak-holder.new"] => true,
        ["left", _] => verb == "rename",
        [_volume] => verb == "rename",
        // A limit does not change the contents.
        [_volume, layout::DATA] => verb == "limit",
        [_volume, "volume.json"] => verb == "rename",
        [_volume, "volume.json.new" | "owner.json.new"] => true,
        [_volume, "owner.json"] => verb == "rename",
        _ => false,
    }
}
