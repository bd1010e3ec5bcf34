//! What the agent is told: flags, read into the types that the rest works with.
//!
//! Nothing is looked at here but the text of the flags and the file of pools.

mod flags;

use crate::upkeep::Upkeep;
use fastrak_api::node::{NodeName, NodeNameError};
use fastrak_api::pool::DEFAULT_POOL;
use fastrak_runtime::admin::AdminArgs;
use fastrak_runtime::client::ClientArgs;
use fastrak_runtime::log::LogArgs;
use fastrak_store::pools::PoolConfig;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
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
    /// A pool: a name and the directory of its volumes, the same on the host. "mount": the directory
    /// must be a mount point. "reserve" (10%, or 20Gi): what is never given away. "overcommit" (1.5):
    /// how often the rest is. "size": how much of the filesystem is the pool's. May be given several
    /// times.
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
    /// How often to look for directories that belong to nobody.
    #[arg(long, default_value = "10m", value_name = "DURATION", value_parser = flags::duration)]
    orphan_scan: Duration,
    /// How long such a directory is left alone.
    #[arg(long, default_value = "60s", value_name = "DURATION", value_parser = flags::duration)]
    orphan_grace: Duration,
    /// How long an orphan that holds data can be restored from the trash (12h, 7d). Without it such a
    /// directory is never removed.
    #[arg(long, value_name = "DURATION", value_parser = flags::duration)]
    orphan_retention: Option<Duration>,
    /// How much of a pool's filesystem may be taken, in percent and by the sizes that were granted, by
    /// deleted volumes that can be had back. The oldest give way to others.
    #[arg(long, default_value = "25", value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    trash_max_percent: u8,
    /// How often to find out what volumes hold.
    #[arg(long, default_value = "60s", value_name = "DURATION", value_parser = flags::duration)]
    usage_interval: Duration,
    /// A folder whose volumes, of another provisioner, claims may take over. May be given several times.
    #[arg(long, value_name = "PATH", value_parser = flags::folder)]
    import_from: Vec<PathBuf>,
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
    /// What becomes of directories that belong to nobody.
    pub orphans: OrphanTerms,
    /// Folders whose volumes, of other provisioners, claims may take over.
    pub import_from: Vec<PathBuf>,
    /// The kubelet's folder of pods.
    pub pods_dir: PathBuf,
    /// Where to answer about health and metrics.
    pub admin: AdminArgs,
    /// How to reach the API server.
    pub client: ClientArgs,
}

/// What becomes of directories that belong to nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrphanTerms {
    /// How long one is left alone.
    pub grace: Duration,
    /// How long one that holds data stays in the trash; without a time it never goes there.
    pub retention: Option<Duration>,
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

impl TryFrom<Args> for Config {
    type Error = ConfigError;

    fn try_from(args: Args) -> Result<Self, ConfigError> {
        let Args {
            node,
            mut pools,
            pools_file,
            orphan_scan,
            usage_interval,
            orphan_grace,
            orphan_retention,
            trash_max_percent,
            import_from,
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
            let default = flags::pool(&format!("{DEFAULT_POOL}={DEFAULT_PATH}"));
            pools.push(default.map_err(ConfigError::Pool)?);
        }
        refuse_twins(&pools)?;
        let upkeep =
            Upkeep { orphan_scan, trash_percent: trash_max_percent, usage: usage_interval };
        let orphans = OrphanTerms { grace: orphan_grace, retention: orphan_retention };
        Ok(Self { node, pools, upkeep, orphans, import_from, pods_dir, admin, client })
    }
}

fn read_pools(path: &Path) -> Result<Vec<PoolConfig>, ConfigError> {
    let text = std::fs::read(path)
        .map_err(|source| ConfigError::ReadPools { path: path.to_owned(), source })?;
    let entries: Vec<flags::PoolEntry> = serde_json::from_slice(&text)
        .map_err(|source| ConfigError::ParsePools { path: path.to_owned(), source })?;
    entries.iter().map(|entry| flags::checked_pool(entry).map_err(ConfigError::Pool)).collect()
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

#[cfg(test)]
mod tests;
