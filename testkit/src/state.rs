//! The state directory of a cluster. It is removed with the cluster, or at the next start if the
//! owner was killed.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use fastrak_runtime::clock;
use time::{Duration, OffsetDateTime};

use crate::environment::{self, PREFIX};
use crate::nodes::remains;

const OWNER: &str = "owner";
const LOGS: &str = "logs";
/// The file that marks a directory to keep.
const KEPT: &str = "kept";

/// How long the logs of clusters that were not stopped are kept. Clusters shared by a test binary
/// are never stopped, and the logs explain failed tests.
const LOGS_KEPT: Duration = Duration::hours(1);

/// The directory of a cluster. Dropping it removes it unless the test failed.
#[derive(Debug)]
pub(crate) struct StateFolder {
    path: PathBuf,
    id: String,
    // Locked while this process runs, which marks the directory as in use.
    _owner: File,
}

impl StateFolder {
    /// Creates a new directory, after removing the directories of dead owners.
    pub(crate) async fn create() -> Result<Self> {
        // One creation at a time, because a directory without its lock looks abandoned.
        let turn = turn().await?;
        tokio::task::spawn_blocking(move || Self::create_in(&environment::state_root(), turn))
            .await
            .context("create a cluster's directory")?
    }

    fn create_in(root: &Path, _turn: Turn) -> Result<Self> {
        sweep(root);
        let path = tempfile::Builder::new().prefix(PREFIX).rand_bytes(6).tempdir_in(root);
        let path = path.with_context(|| format!("make a directory in {}", root.display()))?.keep();
        let owner = File::create(path.join(OWNER)).context("make the owner's lock")?;
        owner.try_lock().context("lock a directory that is ours alone")?;
        std::fs::create_dir(path.join(LOGS)).context("make the directory for logs")?;
        let id = id_of(&path).context("the directory has the name it was given")?;
        Ok(Self { path, id, _owner: owner })
    }

    /// Returns the directory.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the unique id of the cluster.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Returns the directory of the logs.
    pub(crate) fn logs(&self) -> PathBuf {
        self.path.join(LOGS)
    }

    /// Creates a subdirectory.
    pub(crate) fn subdirectory(&self, name: impl AsRef<Path>) -> Result<PathBuf> {
        let path = self.path.join(name);
        std::fs::create_dir_all(&path).with_context(|| format!("make {}", path.display()))?;
        Ok(path)
    }
}

impl Drop for StateFolder {
    fn drop(&mut self) {
        if environment::keeps_state() {
            environment::say(&format!("everything is kept in {}", self.path.display()));
            drop(File::create(self.path.join(KEPT)));
        } else if environment::has_failed() {
            environment::say(&format!("logs are kept in {}", self.logs().display()));
            remove_all_but_logs(&self.path);
        } else if let Err(error) = std::fs::remove_dir_all(&self.path) {
            environment::say(&format!("{} could not be removed: {error}", self.path.display()));
        }
    }
}

/// The lock on names and addresses, which one cluster at a time holds.
#[derive(Debug)]
pub(crate) struct Turn {
    _lock: File,
}

/// Waits for the lock on names and addresses. It is released on drop.
pub(crate) async fn turn() -> Result<Turn> {
    // The lock may be held by a task of this thread.
    tokio::task::spawn_blocking(wait_for_turn).await.context("wait for a lock")?
}

fn wait_for_turn() -> Result<Turn> {
    let name = format!("{PREFIX}{}.lock", rustix::process::getuid().as_raw());
    let path = environment::state_root().join(name);
    let lock = OpenOptions::new().create(true).append(true).open(&path);
    let lock = lock.with_context(|| format!("open {}", path.display()))?;
    lock.lock().with_context(|| format!("lock {}", path.display()))?;
    Ok(Turn { _lock: lock })
}

fn id_of(path: &Path) -> Option<String> {
    Some(path.file_name()?.to_str()?.strip_prefix(PREFIX)?.to_owned())
}

// Errors are ignored, because a directory may belong to another user.
fn sweep(root: &Path) {
    let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
    for path in entries.map(|entry| entry.path()).filter(|path| path.is_dir()) {
        if let Some(id) = id_of(&path)
            && is_abandoned(&path)
        {
            remains::clear(&id, &path);
            remove(&path);
        }
    }
}

fn is_abandoned(path: &Path) -> bool {
    let owner = File::open(path.join(OWNER));
    let (Ok(owner), false) = (owner, path.join(KEPT).exists()) else {
        return false;
    };
    !matches!(owner.try_lock(), Err(TryLockError::WouldBlock))
}

fn remove(path: &Path) {
    let logs = path.join(LOGS);
    match is_recent(&logs) {
        true => remove_all_but_logs(path),
        false => drop(std::fs::remove_dir_all(path)),
    }
}

fn remove_all_but_logs(path: &Path) {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    for entry in entries.map(|entry| entry.path()) {
        if entry.is_dir() && !entry.ends_with(LOGS) {
            drop(std::fs::remove_dir_all(&entry));
        }
    }
}

fn is_recent(logs: &Path) -> bool {
    let written = std::fs::metadata(logs).and_then(|data| data.modified());
    let age = |at| clock::offset_now() - OffsetDateTime::from(at);
    written.is_ok_and(|at| age(at) < LOGS_KEPT)
}
