//! Parses single flags and entries of the file of pools. `config.rs` checks them together.

use fastrak_api::capacity::{self, CapacityLimits, CapacityLimitsError, Overcommit, Reserve};
use fastrak_api::pool::PoolName;
use fastrak_store::pools::PoolConfig;
use serde::Deserialize;
use std::path::{Component, Path, PathBuf};

/// A pool in the file of pools.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PoolEntry {
    name: String,
    path: String,
    #[serde(default)]
    require_mount: bool,
    reserve: Option<String>,
    overcommit: Option<String>,
    size: Option<String>,
}

/// Parses `NAME=PATH` with options after commas.
pub(super) fn pool(text: &str) -> Result<PoolConfig, String> {
    let usage =
        || format!("{text:?} is not NAME=PATH[,mount][,reserve=10%][,overcommit=1.5][,size=100Gi]");
    let (name, rest) = text.split_once('=').ok_or_else(usage)?;
    let mut parts = rest.split(',');
    let path = parts.next().unwrap_or_default();
    let mut entry =
        PoolEntry { name: name.to_owned(), path: path.to_owned(), ..PoolEntry::default() };
    for part in parts {
        match part.split_once('=') {
            None if part == "mount" => entry.require_mount = true,
            Some(("reserve", value)) => entry.reserve = Some(value.to_owned()),
            Some(("overcommit", value)) => entry.overcommit = Some(value.to_owned()),
            Some(("size", value)) => entry.size = Some(value.to_owned()),
            Some((key, _)) if key != "mount" => {
                return Err(format!(
                    "unknown key {key:?} in {text:?}; known keys: mount, reserve, overcommit, size"
                ));
            }
            _ => return Err(usage()),
        }
    }
    checked_pool(&entry)
}

/// Parses an absolute path without `..`. Removes a trailing slash and repeated slashes.
pub(super) fn directory(text: &str) -> Result<PathBuf, String> {
    let path = Path::new(text);
    let is_plain = |part| matches!(part, Component::RootDir | Component::Normal(_));
    if path.is_absolute() && path.components().all(is_plain) && path != Path::new("/") {
        return Ok(path.components().collect());
    }
    Err(format!("{text} is not an absolute path without '..'"))
}

/// Checks a pool.
pub(super) fn checked_pool(entry: &PoolEntry) -> Result<PoolConfig, String> {
    let PoolEntry { name, path, require_mount, .. } = entry;
    let name = PoolName::parse(name).map_err(|error| format!("pool {name:?}: {error}"))?;
    // The path is written into PersistentVolumes, where the API server and the kubelet are as
    // strict.
    let path = directory(path).map_err(|error| format!("pool {name}: {error}"))?;
    let limits = limits(entry).map_err(|error| format!("pool {name}: {error}"))?;
    Ok(PoolConfig { name, path, require_mount: *require_mount, limits })
}

fn limits(entry: &PoolEntry) -> Result<CapacityLimits, CapacityLimitsError> {
    let reserve = entry.reserve.as_deref().map(Reserve::parse).transpose()?;
    let overcommit = entry.overcommit.as_deref().map(Overcommit::parse).transpose()?;
    Ok(CapacityLimits {
        size: entry.size.as_deref().map(capacity::parse_size).transpose()?,
        reserve: reserve.unwrap_or_default(),
        overcommit: overcommit.unwrap_or_default(),
    })
}
