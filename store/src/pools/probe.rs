//! Probes whether the filesystem of a pool can rename without replacing, which creating and
//! removing volumes depends on.
//!
//! ZFS before 2.2, NFS and 9p return EINVAL. No other call can take its place: a check before the
//! rename is racy, and rename(2) itself replaces an empty directory. Such a pool is refused.

use super::error::Problem;
use crate::host::{Dir, HostError};
use fastrak_runtime::chain::Chain;
use rustix::io::Errno;
use std::ffi::OsStr;

/// The directory that is renamed.
pub const PROBE: &str = ".fastrak-probe";
/// Its new name. The kernel refuses an existing name before the filesystem sees the call.
pub const PROBED: &str = ".fastrak-probe.renamed";

/// Renames an empty directory in the pool. Returns whether the result is conclusive: a full disk,
/// for example, proves nothing, and does not block a pool from which volumes may have to be
/// removed.
pub(super) fn probe(dir: &Dir) -> Result<bool, Problem> {
    match rename(dir) {
        Err(error) if is_incapable(error.errno) => Err(Problem::NoSafeRename),
        Err(error) => {
            let path = dir.path().display();
            tracing::debug!(%path, error = %Chain(&error), "could not probe the filesystem of the pool");
            Ok(false)
        }
        Ok(()) => Ok(true),
    }
}

/// Returns whether renameat2(2) rejects the flag or does not exist.
fn is_incapable(errno: Errno) -> bool {
    matches!(errno, Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP)
}

fn rename(dir: &Dir) -> Result<(), HostError> {
    let [from, to] = [PROBE, PROBED].map(OsStr::new);
    // A probe that was killed or has failed may have left either name.
    let clean = || dir.remove_directory(from).and(dir.remove_directory(to));
    clean()?;
    let renamed = dir.open_or_make(from).and_then(|_| dir.rename(from, dir, to));
    renamed.and(clean())
}
