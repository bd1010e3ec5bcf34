//! Files beside the volumes and beside the pools that the agents must not touch.

use anyhow::{Context, Result, ensure};
use fastrak_testkit::{Cluster, Node};
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Folders in a pool: one of the filesystem, and one with a volume's name that is not a volume.
pub(crate) const IN_POOL: [&str; 2] = ["lost+found", "00000000-0000-4000-8000-000000000000"];
const BESIDE: &str = "precious";

/// The files before the test.
pub(crate) struct ForeignFiles {
    before: BTreeMap<PathBuf, String>,
}

impl ForeignFiles {
    /// Creates the files on every node.
    pub(crate) fn create(cluster: &Cluster) -> Result<Self> {
        for root in roots(cluster) {
            let deep = root.join("a/b");
            std::fs::create_dir_all(&deep).context("make a folder")?;
            std::fs::write(root.join("file"), "mine").context("write a file")?;
            std::fs::write(deep.join("volume.json"), "{}").context("write a file")?;
        }
        Ok(Self { before: read_all(cluster)? })
    }

    /// Fails if a file has changed. Returns the number of files.
    pub(crate) fn check_unchanged(&self, cluster: &Cluster) -> Result<usize> {
        let after = read_all(cluster)?;
        for (path, before) in &self.before {
            let after = after.get(path).map_or("gone", String::as_str);
            ensure!(before == after, "{}: {before} is now {after}", path.display());
        }
        let new: Vec<_> = after.keys().filter(|path| !self.before.contains_key(*path)).collect();
        ensure!(new.is_empty(), "new files: {new:?}");
        Ok(after.len())
    }
}

fn roots(cluster: &Cluster) -> Vec<PathBuf> {
    let of = |node: &Node| {
        let inside = IN_POOL.map(|name| node.pool_dir().join(name));
        inside.into_iter().chain([node.var_lib().join(BESIDE)]).collect::<Vec<_>>()
    };
    cluster.nodes().iter().flat_map(of).collect()
}

/// Reads all files and the folders beside the pools.
fn read_all(cluster: &Cluster) -> Result<BTreeMap<PathBuf, String>> {
    let mut found = BTreeMap::new();
    for root in roots(cluster) {
        read(&root, &mut found)?;
    }
    for node in cluster.nodes() {
        let beside = std::fs::read_dir(node.var_lib()).context("list a folder")?.flatten();
        found.extend(beside.map(|entry| (entry.path(), "there".to_owned())));
    }
    Ok(found)
}

fn read(path: &Path, found: &mut BTreeMap<PathBuf, String>) -> Result<()> {
    let about = path.symlink_metadata().with_context(|| format!("look at {}", path.display()))?;
    let mut text = format!(
        "{:o} {} {} {} {}",
        about.mode(),
        about.uid(),
        about.gid(),
        about.mtime(),
        about.mtime_nsec()
    );
    if about.is_dir() {
        for entry in std::fs::read_dir(path).context("list a folder")?.flatten() {
            read(&entry.path(), found)?;
        }
    } else {
        text.push_str(&std::fs::read_to_string(path).context("read a file")?);
    }
    found.insert(path.to_owned(), text);
    Ok(())
}
