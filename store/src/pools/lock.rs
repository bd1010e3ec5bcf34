//! The lock of a pool: one agent at a time works in it.
//!
//! Two agents on one pool, such as one whose pod was deleted by force and its successor, would each keep
//! a ledger of what is granted, and each would remove what the other is creating. The kernel releases
//! the lock when its process ends, however that ends.

use super::error::Problem;
use crate::host::machine::Filesystem;
use crate::host::{Dir, files};
use fastrak_runtime::chain::Chain;
use std::ffi::OsStr;

/// The file in a pool that names the agent which uses it, for people and for the next agent's message.
pub const HOLDER: &str = ".fastrak-holder";

/// A lock that this process holds until it is dropped.
#[derive(Debug)]
pub struct Lock {
    dir: Dir,
    device: (u32, u32),
    inode: u64,
}

impl Drop for Lock {
    /// Closing the descriptor is not enough while a process that was just forked has a copy of it.
    fn drop(&mut self) {
        if let Err(error) = self.dir.unlock() {
            tracing::debug!(error = %Chain(&error), "pool not unlocked");
        }
    }
}

/// Takes the lock of `dir`, unless `held` is that lock already; then there is none to return.
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

/// Writes down who uses the pool. That it cannot be written, as on a full disk, is no reason not to.
pub(super) fn sign(dir: &Dir, holder: &str) {
    if let Err(error) = files::write(dir, OsStr::new(HOLDER), holder.as_bytes()) {
        tracing::warn!(error = %Chain(&error), "pool holder not recorded");
    }
}

fn holder(dir: &Dir) -> String {
    let content = files::read(dir, OsStr::new(HOLDER)).ok().flatten();
    let text = content.map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned());
    text.filter(|text| !text.is_empty()).unwrap_or_else(|| "an unknown process".to_owned())
}
