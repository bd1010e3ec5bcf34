//! The lock of a pool: only one agent at a time uses it.
//!
//! Two agents on one pool, such as a force-deleted pod and its successor, would each keep a ledger
//! and would each remove what the other is creating. The kernel releases the lock when the process
//! ends.

use super::error::Problem;
use crate::host::machine::Filesystem;
use crate::host::{Dir, files};
use fastrak_runtime::chain::Chain;

/// The file in a pool that names the agent which uses it, for people and for messages.
pub const HOLDER: &str = ".fastrak-holder";

/// A lock that is held until it is dropped.
#[derive(Debug)]
pub(super) struct Lock {
    dir: Dir,
    device: (u32, u32),
    inode: u64,
}

impl Drop for Lock {
    /// Unlocks explicitly: a process that was just forked may still have a copy of the descriptor.
    fn drop(&mut self) {
        if let Err(error) = self.dir.unlock() {
            tracing::debug!(error = %Chain(&error), "could not unlock the pool");
        }
    }
}

/// Takes the lock of `dir`. Returns `None` if `held` is that lock.
pub(super) fn take(
    dir: &Dir,
    filesystem: &Filesystem,
    held: Option<&Lock>,
) -> Result<Option<Lock>, Problem> {
    let Filesystem { device, inode, .. } = *filesystem;
    if held.is_some_and(|lock| (lock.device, lock.inode) == (device, inode)) {
        return Ok(None);
    }
    match dir.lock().map_err(Problem::Host)? {
        Some(locked) => Ok(Some(Lock { dir: locked, device, inode })),
        None => Err(Problem::InUse { holder: holder(dir) }),
    }
}

/// Writes the name of the holder. A failure, as on a full disk, does not block the pool.
pub(super) fn record_holder(dir: &Dir, holder: &str) {
    if let Err(error) = files::write(dir, HOLDER, holder.as_bytes()) {
        tracing::warn!(error = %Chain(&error), "could not record the holder of the pool");
    }
}

fn holder(dir: &Dir) -> String {
    let content = files::read(dir, HOLDER).ok().flatten();
    let text = content.map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned());
    text.filter(|text| !text.is_empty()).unwrap_or_else(|| "an unknown process".to_owned())
}
