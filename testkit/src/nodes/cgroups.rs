//! The control groups of a cluster: one hierarchy (version 2) or one for each controller (version
//! 1). The kubelet and the runtime create groups below and set limits.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::environment::PREFIX;

const ROOT: &str = "/sys/fs/cgroup";

/// The controllers that a kubelet requires, if the machine has them.
const CONTROLLERS: [&str; 5] = ["cpu", "cpuset", "memory", "hugetlb", "pids"];

/// The timeout until killed processes have left their control groups.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Creates the group of a node, which a kubelet expects. Returns its path.
pub(crate) fn create(id: &str, node: &str) -> Result<String> {
    let of_cluster = format!("{PREFIX}{id}");
    for hierarchy in hierarchies() {
        let path = hierarchy.join(&of_cluster).join(node);
        let made = std::fs::create_dir_all(&path);
        made.with_context(|| format!("make {}", path.display()))?;
    }
    let root = Path::new(ROOT);
    if is_unified() {
        enable_controllers(root);
        enable_controllers(&root.join(&of_cluster));
    }
    Ok(format!("/{of_cluster}/{node}"))
}

/// Removes the groups of a cluster whose processes were killed.
pub(crate) fn remove(id: &str) {
    let deadline = Instant::now() + TIMEOUT;
    for hierarchy in hierarchies() {
        let group = hierarchy.join(format!("{PREFIX}{id}"));
        while group.is_dir() && !remove_group(&group) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

// With version 1, each directory is a hierarchy.
fn hierarchies() -> Vec<PathBuf> {
    match is_unified() {
        true => vec![PathBuf::from(ROOT)],
        false => directories_in(Path::new(ROOT)),
    }
}

fn is_unified() -> bool {
    Path::new(ROOT).join("cgroup.controllers").exists()
}

// In version 2 a group has the controllers that its parent enables. They are enabled one by one,
// because a missing one makes the kernel refuse all.
fn enable_controllers(group: &Path) {
    for controller in CONTROLLERS {
        drop(std::fs::write(group.join("cgroup.subtree_control"), format!("+{controller}")));
    }
}

// The files of a group cannot be removed. Its directory can, when it has no processes and groups.
fn remove_group(group: &Path) -> bool {
    for child in directories_in(group) {
        remove_group(&child);
    }
    std::fs::remove_dir(group).is_ok()
}

fn directories_in(path: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let directories = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    directories.map(|entry| entry.path()).collect()
}
