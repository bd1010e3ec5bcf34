//! What stands in the way of a removal, for people. Pure.

use rustix::io::Errno;
use std::fmt;
use std::path::PathBuf;

/// Something that cannot be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// Where it is.
    pub path: PathBuf,
    /// What the kernel says.
    pub errno: Errno,
}

impl Obstacle {
    /// What can be done about it, where that is known.
    #[must_use]
    pub fn advice(&self) -> Option<&'static str> {
        match self.errno {
            Errno::PERM => Some("it or its folder is immutable or append-only: chattr -R -ia"),
            Errno::DQUOT => Some(
                "the quota of the volume is full, and the agent may not take it off: \
                 apply deploy/quotas, or btrfs qgroup limit none <group> <pool>",
            ),
            Errno::BUSY | Errno::XDEV => Some("something is mounted on it: umount"),
            Errno::ROFS => Some(
                "it is in a subvolume that is read-only and cannot be made writable now, such as \
                 while it is sent: btrfs property set -ts <subvolume> ro false",
            ),
            Errno::NOTEMPTY | Errno::EXIST => Some("something still writes to it"),
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
