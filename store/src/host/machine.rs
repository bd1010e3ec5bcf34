//! What a directory's filesystem is, and new random identities.
//!
//! It remembers nothing: whether something has changed is for the caller to see.

use super::calls::{Machine, Room};
use super::dirs::{Dir, failed};
use super::{HostError, Verb};
use std::path::Path;

/// The filesystem on which a directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filesystem {
    /// The number of its device, as the kernel counts them now.
    pub device: (u32, u32),
    /// The directory's inode on that device.
    pub inode: u64,
    /// Whether the directory is where it is mounted.
    pub is_mount_point: bool,
    /// What it is, and what room it has.
    pub room: Room,
}

/// The filesystem on which `dir` is.
pub fn filesystem(dir: &Dir) -> Result<Filesystem, HostError> {
    let wrong = failed(Verb::Examine, dir.path());
    let here = dir.handle().device("").map_err(&wrong)?;
    let is_mount_point = match here.mount_root {
        Some(known) => known,
        None => dir.handle().device("..").map_err(&wrong)?.number != here.number,
    };
    let room = dir.handle().room().map_err(&wrong)?;
    Ok(Filesystem { device: here.number, inode: here.inode, is_mount_point, room })
}

/// The name of this process on its machine, for people: in a pod, the hostname is the pod's name.
#[must_use]
pub fn process_name() -> String {
    let system = rustix::system::uname();
    format!("process {} on host {}", std::process::id(), system.nodename().to_string_lossy())
}

/// A new random UUID.
pub fn random_uuid(machine: &dyn Machine) -> Result<String, HostError> {
    let what = Path::new("a random uuid");
    let text = machine.random_uuid().map_err(failed(Verb::Read, what))?;
    Ok(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Kernel;

    #[test]
    fn a_mount_point_is_told_from_a_folder() {
        let proc = filesystem(&Dir::open_at(&Kernel, Path::new("/proc")).unwrap()).unwrap();
        assert!(proc.is_mount_point);
        let folder = tempfile::tempdir().unwrap();
        let inner = filesystem(&Dir::open_at(&Kernel, folder.path()).unwrap()).unwrap();
        assert!(!inner.is_mount_point && !inner.room.read_only);
        assert_ne!(inner.device, proc.device);
        assert!(inner.room.total > 0 && inner.room.free <= inner.room.total);
    }

    #[test]
    fn identities_are_uuids_and_differ() {
        let one = random_uuid(&Kernel).unwrap();
        assert_eq!(one.len(), 36);
        assert_ne!(one, random_uuid(&Kernel).unwrap());
    }
}
