//! The filesystem of a directory, and random identifiers.
//!
//! The module keeps no state: the caller compares results to detect changes.

use super::calls::{Machine, Statfs};
use super::dirs::{Dir, failed};
use super::{HostError, Operation};
use std::path::Path;

/// The filesystem of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filesystem {
    /// The device number.
    pub device: (u32, u32),
    /// The inode of the directory.
    pub inode: u64,
    /// Whether the directory is a mount point.
    pub is_mount_point: bool,
    /// The type and the capacity of the filesystem.
    pub statfs: Statfs,
}

/// Returns the filesystem of `dir`.
pub fn filesystem(dir: &Dir) -> Result<Filesystem, HostError> {
    let wrong = failed(Operation::Inspect, dir.path());
    let here = dir.handle().device("").map_err(&wrong)?;
    let is_mount_point = match here.mount_root {
        Some(known) => known,
        None => dir.handle().device("..").map_err(&wrong)?.number != here.number,
    };
    let statfs = dir.handle().statfs().map_err(&wrong)?;
    Ok(Filesystem { device: here.number, inode: here.inode, is_mount_point, statfs })
}

/// Returns a readable name of this process. In a pod, the hostname is the name of the pod.
#[must_use]
pub fn process_name() -> String {
    let system = rustix::system::uname();
    format!("process {} on host {}", std::process::id(), system.nodename().to_string_lossy())
}

/// Returns a new random UUID.
pub fn random_uuid(machine: &dyn Machine) -> Result<String, HostError> {
    let what = Path::new("a random uuid");
    let text = machine.random_uuid().map_err(failed(Operation::Read, what))?;
    Ok(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Kernel;

    #[test]
    fn a_mount_point_is_distinguished_from_a_directory() {
        let proc = filesystem(&Dir::open_at(&Kernel, Path::new("/proc")).unwrap()).unwrap();
        assert!(proc.is_mount_point);
        let directory = tempfile::tempdir().unwrap();
        let inner = filesystem(&Dir::open_at(&Kernel, directory.path()).unwrap()).unwrap();
        assert!(!inner.is_mount_point && !inner.statfs.read_only);
        assert_ne!(inner.device, proc.device);
        assert!(inner.statfs.total > 0 && inner.statfs.free <= inner.statfs.total);
    }

    #[test]
    fn random_uuids_differ() {
        let one = random_uuid(&Kernel).unwrap();
        assert_eq!(one.len(), 36);
        assert_ne!(one, random_uuid(&Kernel).unwrap());
    }
}
