//! Describes an entry that cannot be removed. Pure.

use rustix::io::Errno;
use std::fmt;
use std::path::PathBuf;

/// An entry that cannot be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// The path of the entry.
    pub path: PathBuf,
    /// The error of the kernel.
    pub errno: Errno,
}

impl Obstacle {
    /// Returns what an administrator can do about it, if that is known.
    #[must_use]
    pub fn advice(&self) -> Option<&'static str> {
        match self.errno {
            Errno::PERM => {
                Some("the entry or its directory is immutable or append-only: chattr -R -ia")
            }
            Errno::DQUOT => Some(
                "the quota of the volume is full and the agent may not clear it: \
                 apply deploy/quotas, or btrfs qgroup limit none <group> <pool>",
            ),
            Errno::BUSY | Errno::XDEV => Some("a filesystem is mounted on it: umount"),
            Errno::ROFS => Some(
                "its subvolume is read-only and cannot be made writable now, for example \
                 during btrfs send: btrfs property set -ts <subvolume> ro false",
            ),
            Errno::NOTEMPTY | Errno::EXIST => Some("a process still writes to it"),
            _ => None,
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.errno)?;
        self.advice().map_or(Ok(()), |advice| write!(f, " ({advice})"))
    }
}
