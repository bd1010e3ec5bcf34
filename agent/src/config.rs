//! The flags of the program. Modules define their own; they are collected here, and pools are
//! checked together.

mod flags;

use crate::orphans::OrphanArgs;
use crate::upkeep::UpkeepArgs;
use fastrak_api::node::{NodeName, NodeNameError};
use fastrak_api::pool::DEFAULT_POOL;
use fastrak_runtime::admin::AdminArgs;
use fastrak_runtime::client::ClientArgs;
use fastrak_runtime::log::LogArgs;
use fastrak_store::pools::PoolConfig;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The directory of the default pool.
const DEFAULT_PATH: &str = "/var/lib/fastrak";

/// Creates and deletes the volumes of one node.
#[derive(Debug, clap::Parser)]
#[command(name = "fastrak-agent", version)]
pub struct Args {
    /// Name of the node that the agent works for.
    #[arg(long, env = "NODE_NAME", value_name = "NAME")]
    node: String,
    /// A pool: a name and the directory of its volumes, with the same path on the host. "mount":
    /// the directory must be a mount point. "reserve" (10%, or 20Gi): space that is never granted.
    /// "overcommit" (1.5): the factor by which the rest may be granted. "size": the part of the
    /// filesystem that belongs to the pool. Can be repeated.
    #[arg(
        long = "pool",
        value_name = "NAME=PATH[,mount][,reserve=R][,overcommit=N][,size=S]",
        value_parser = flags::pool
    )]
    pools: Vec<PoolConfig>,
    /// A JSON file with more pools: [{"name": "..", "path": "..", "requireMount": true,
    /// "reserve": "10%", "overcommit": "1.5", "size": "100Gi"}].
    #[arg(long, value_name = "FILE")]
    pools_file: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
    /// The log settings. They are applied first, so that all other errors are logged.
    #[command(flatten)]
    pub log: LogArgs,
}

/// The flags that need no further check.
#[derive(Clone, Debug, clap::Args)]
pub struct Settings {
    /// The orphans.
    #[command(flatten)]
    pub orphans: OrphanArgs,
    /// The periodic work.
    #[command(flatten)]
    pub upkeep: UpkeepArgs,
    /// A directory of another provisioner from which claims may import volumes. Can be repeated.
    #[arg(long, value_name = "PATH", value_parser = flags::directory)]
    pub import_from: Vec<PathBuf>,
    /// The kubelet's pod directory, which shows the mounts of pods.
    #[arg(long, default_value = "/var/lib/kubelet/pods", value_name = "PATH")]
    pub pods_dir: PathBuf,
    /// The address of the health and metrics endpoints.
    #[command(flatten)]
    pub admin: AdminArgs,
    /// How to reach the API server.
    #[command(flatten)]
    pub client: ClientArgs,
}

/// The configuration of an agent.
#[derive(Clone, Debug)]
pub struct Config {
    /// The node.
    pub node: NodeName,
    /// The pools of the node, at least one.
    pub pools: Vec<PoolConfig>,
    /// All other settings.
    pub settings: Settings,
}

/// Why the flags are invalid.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// An invalid node name.
    #[error("--node {name:?} is not a valid node name")]
    Node {
        /// The value.
        name: String,
        /// The reason.
        #[source]
        source: NodeNameError,
    },
    /// The file of pools cannot be read.
    #[error("could not read --pools-file {path}", path = path.display())]
    ReadPools {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        #[source]
        source: std::io::Error,
    },
    /// The file of pools has an invalid format.
    #[error("--pools-file {path} is not a JSON list of pools", path = path.display())]
    ParsePools {
        /// The file.
        path: PathBuf,
        /// The error of the parser.
        #[source]
        source: serde_json::Error,
    },
    /// An invalid pool.
    #[error("{0}")]
    Pool(String),
    /// Two pools have the same name or directory.
    #[error("two pools have the same {0}; each needs its own")]
    Duplicate(String),
}

impl TryFrom<Args> for Config {
    type Error = ConfigError;

    fn try_from(args: Args) -> Result<Self, ConfigError> {
        let Args { node, mut pools, pools_file, settings, log: _ } = args;
        let named = NodeName::parse(&node);
        let node = named.map_err(|source| ConfigError::Node { name: node, source })?;
        if let Some(path) = pools_file {
            pools.extend(read_pools(&path)?);
        }
        if pools.is_empty() {
            let default = flags::pool(&format!("{DEFAULT_POOL}={DEFAULT_PATH}"));
            pools.push(default.map_err(ConfigError::Pool)?);
        }
        refuse_duplicates(&pools)?;
        Ok(Self { node, pools, settings })
    }
}

fn read_pools(path: &Path) -> Result<Vec<PoolConfig>, ConfigError> {
    let text = std::fs::read(path)
        .map_err(|source| ConfigError::ReadPools { path: path.to_owned(), source })?;
    let entries: Vec<flags::PoolEntry> = serde_json::from_slice(&text)
        .map_err(|source| ConfigError::ParsePools { path: path.to_owned(), source })?;
    entries.iter().map(|entry| flags::checked_pool(entry).map_err(ConfigError::Pool)).collect()
}

fn refuse_duplicates(pools: &[PoolConfig]) -> Result<(), ConfigError> {
    let (mut names, mut paths) = (BTreeSet::new(), BTreeSet::new());
    for pool in pools {
        if !names.insert(&pool.name) {
            return Err(ConfigError::Duplicate(format!("name {}", pool.name)));
        }
        if !paths.insert(&pool.path) {
            return Err(ConfigError::Duplicate(format!("directory {}", pool.path.display())));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
