//! Whether the filesystem of a pool can do what every volume is made by: a rename that replaces nothing.
//!
//! ZFS before 2.2, NFS and 9p cannot, and answer EINVAL. There is no other call in its place: a rename
//! after a look replaces what has come between the two, and an empty directory is replaced by rename(2)
//! itself. So such a pool is refused.

use super::error::Problem;
use crate::host::{Dir, HostError};
use fastrak_runtime::chain::Chain;
use rustix::io::Errno;
use std::ffi::OsStr;

/// What is renamed.
pub const PROBE: &str = ".fastrak-probe";
/// Its name afterwards. The kernel itself refuses a name that is taken, also for these filesystems.
pub const PROBED: &str = ".fastrak-probe.renamed";

/// Renames an empty directory in the pool. Returns whether that has shown something: an error such as
/// that of a full disk does not, and is no reason to refuse a pool that may have to remove volumes.
pub(super) fn probe(dir: &Dir) -> Result<bool, Problem> {
    match rename(dir) {
        Err(error) if is_incapable(error.errno) => Err(Problem::NoSafeRename),
        Err(error) => {
            let path = dir.path().display();
            tracing::debug!(%path, error = %Chain(&error), "filesystem of the pool not probed");
            Ok(false)
        }
        Ok(()) => Ok(true),
    }
}

/// The errors with which renameat2(2) says that it does not know the flag, or has no such call.
fn is_incapable(errno: Errno) -> bool {
    matches!(errno, Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP)
}

fn rename(dir: &Dir) -> Result<(), HostError> {
    let [from, to] = [PROBE, PROBED].map(OsStr::new);
    // A probe that was killed, or that failed half-way, may have left either of them.
    let clean = || dir.remove_directory(from).and(dir.remove_directory(to));
    clean()?;
    let renamed = dir.open_or_make(from).and_then(|_| dir.rename(from, dir, to));
    renamed.and(clean())
}
