//! What the agent is told: flags, read into the types that the rest works with.
//!
//! Nothing is looked at here but the text of the flags and the file of pools.

use crate::pools::PoolConfig;
use crate::upkeep::Upkeep;
use fastrak_api::node::{NodeName, NodeNameError};
use fastrak_api::pool::{DEFAULT_POOL, PoolName};
use fastrak_runtime::admin::AdminArgs;
use fastrak_runtime::client::ClientArgs;
use fastrak_runtime::log::LogArgs;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

/// Where the default pool is.
const DEFAULT_PATH: &str = "/var/lib/fastrak";

/// Makes and takes away the volumes of one node.
#[derive(Debug, clap::Parser)]
#[command(name = "fastrak-agent", version)]
pub struct Args {
    /// Name of the node that the agent works for.
    #[arg(long, env = "NODE_NAME", value_name = "NAME")]
    node: String,
    /// A pool: a name and the directory of its volumes, the same on the host. With ",mount", the
    /// directory must be a mount point. May be given several times.
    #[arg(long = "pool", value_name = "NAME=PATH[,mount]", value_parser = pool)]
    pools: Vec<PoolConfig>,
    /// A JSON file with more pools: [{"name": "..", "path": "..", "requireMount": true}].
    #[arg(long, value_name = "FILE")]
    pools_file: Option<PathBuf>,
    /// How often to look for directories that belong to nobody.
    #[arg(long, default_value = "10m", value_name = "DURATION", value_parser = duration)]
    orphan_scan: Duration,
    /// How long such a directory is left alone.
    #[arg(long, default_value = "60s", value_name = "DURATION", value_parser = duration)]
    orphan_grace: Duration,
    /// How much of a pool's filesystem may be taken, in percent and by the sizes that were granted, by
    /// deleted volumes that can be had back. The oldest give way to others.
    #[arg(long, default_value = "25", value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    trash_max_percent: u8,
    /// The kubelet's folder of pods, by which mounted volumes are recognised.
    #[arg(long, default_value = "/var/lib/kubelet/pods", value_name = "PATH")]
    pods_dir: PathBuf,
    #[command(flatten)]
    admin: AdminArgs,
    #[command(flatten)]
    client: ClientArgs,
    /// What is logged. Read before the rest, so that the rest can be logged.
    #[command(flatten)]
    pub log: LogArgs,
}

/// What the agent is to do.
#[derive(Clone, Debug)]
pub struct Config {
    /// The node it works for.
    pub node: NodeName,
    /// The pools of that node; at least one.
    pub pools: Vec<PoolConfig>,
    /// How its pools are looked after.
    pub upkeep: Upkeep,
    /// How long a directory that belongs to nobody is left alone.
    pub orphan_grace: Duration,
    /// The kubelet's folder of pods.
    pub pods_dir: PathBuf,
    /// Where to answer about health and metrics.
    pub admin: AdminArgs,
    /// How to reach the API server.
    pub client: ClientArgs,
}

/// Why the flags cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The node cannot be named so.
    #[error("--node {name:?} is not the name of a node")]
    Node {
        /// What was given.
        name: String,
        /// What is wrong with it.
        #[source]
        source: NodeNameError,
    },
    /// The file of pools cannot be read.
    #[error("could not read --pools-file {path}", path = path.display())]
    ReadPools {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The file of pools is not one.
    #[error("--pools-file {path} is not a JSON list of pools", path = path.display())]
    ParsePools {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        #[source]
        source: serde_json::Error,
    },
    /// One pool is not right.
    #[error("{0}")]
    Pool(String),
    /// Two pools have the same name or directory.
    #[error("two pools have the same {0}; each needs its own")]
    Twice(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PoolEntry {
    name: String,
    path: PathBuf,
    #[serde(default)]
    require_mount: bool,
}

impl TryFrom<Args> for Config {
    type Error = ConfigError;

    fn try_from(args: Args) -> Result<Self, ConfigError> {
        let Args {
            node,
            mut pools,
            pools_file,
            orphan_scan,
            orphan_grace,
            trash_max_percent,
            pods_dir,
            admin,
            client,
            log: _,
        } = args;
        let named = NodeName::parse(&node);
        let node = named.map_err(|source| ConfigError::Node { name: node, source })?;
        if let Some(path) = pools_file {
            pools.extend(read_pools(&path)?);
        }
        if pools.is_empty() {
            let default = checked_pool(DEFAULT_POOL, Path::new(DEFAULT_PATH), false);
            pools.push(default.map_err(ConfigError::Pool)?);
        }
        refuse_twins(&pools)?;
        let upkeep = Upkeep { orphan_scan, trash_percent: trash_max_percent };
        Ok(Self { node, pools, upkeep, orphan_grace, pods_dir, admin, client })
    }
}

fn read_pools(path: &Path) -> Result<Vec<PoolConfig>, ConfigError> {
    let text = std::fs::read(path)
        .map_err(|source| ConfigError::ReadPools { path: path.to_owned(), source })?;
    let entries: Vec<PoolEntry> = serde_json::from_slice(&text)
        .map_err(|source| ConfigError::ParsePools { path: path.to_owned(), source })?;
    let read = entries.iter().map(|entry| {
        checked_pool(&entry.name, &entry.path, entry.require_mount).map_err(ConfigError::Pool)
    });
    read.collect()
}

fn refuse_twins(pools: &[PoolConfig]) -> Result<(), ConfigError> {
    let (mut names, mut paths) = (BTreeSet::new(), BTreeSet::new());
    for pool in pools {
        if !names.insert(&pool.name) {
            return Err(ConfigError::Twice(format!("name {}", pool.name)));
        }
        if !paths.insert(&pool.path) {
            return Err(ConfigError::Twice(format!("directory {}", pool.path.display())));
        }
    }
    Ok(())
}

fn pool(text: &str) -> Result<PoolConfig, String> {
    let usage = || format!("{text:?} is not NAME=PATH or NAME=PATH,mount");
    let (name, rest) = text.split_once('=').ok_or_else(usage)?;
    match rest.split_once(',') {
        None => checked_pool(name, Path::new(rest), false),
        Some((path, "mount")) => checked_pool(name, Path::new(path), true),
        Some(_) => Err(usage()),
    }
}

fn checked_pool(name: &str, path: &Path, require_mount: bool) -> Result<PoolConfig, String> {
    let name = PoolName::parse(name).map_err(|error| format!("pool {name:?}: {error}"))?;
    // The path is written into volumes, where the API server and the kubelet are as strict.
    let plain = path.is_absolute()
        && path.to_str().is_some()
        && path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    if !plain || path == Path::new("/") {
        let path = path.display();
        return Err(format!("pool {name}: {path} is not an absolute path without '..'"));
    }
    // Without a slash at its end, or two in a row.
    Ok(PoolConfig { name, path: path.components().collect(), require_mount })
}

fn duration(text: &str) -> Result<Duration, String> {
    let parsed: Result<jiff::SignedDuration, _> = text.parse();
    let positive = parsed.ok().and_then(|duration| Duration::try_from(duration).ok());
    positive
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| format!("{text:?} is not a duration, such as 90s, 10m or 1h"))
}

#[cfg(test)]
mod tests;
