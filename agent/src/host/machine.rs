//! What a directory's filesystem is, and new random identities.
//!
//! It remembers nothing: whether something has changed is for the caller to see.

use super::dirs::{Dir, failed};
use super::{HostError, Verb};
use rustix::fs::{AtFlags, StatVfsMountFlags, StatxAttributes, StatxFlags, fstatvfs, statx};
use std::path::Path;

/// The filesystem on which a directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filesystem {
    /// The number of its device, as the kernel counts them now.
    pub device: (u32, u32),
    /// Whether the directory is where it is mounted.
    pub is_mount_point: bool,
    /// Whether nothing can be written to it.
    pub read_only: bool,
}

/// The filesystem on which `dir` is.
pub fn filesystem(dir: &Dir) -> Result<Filesystem, HostError> {
    let wrong = failed(Verb::Examine, dir.path());
    let here = device(dir, "")?;
    let is_mount_point = match here.mount_root {
        Some(known) => known,
        None => device(dir, "..")?.number != here.number,
    };
    let flags = fstatvfs(dir).map_err(wrong)?.f_flag;
    Ok(Filesystem {
        device: here.number,
        is_mount_point,
        read_only: flags.contains(StatVfsMountFlags::RDONLY),
    })
}

/// A new random UUID, from the kernel.
pub fn random_uuid() -> Result<String, HostError> {
    let path = Path::new("/proc/sys/kernel/random/uuid");
    let text = std::fs::read_to_string(path).map_err(|error| {
        failed(Verb::Read, path)(
            rustix::io::Errno::from_io_error(&error).unwrap_or(rustix::io::Errno::IO),
        )
    })?;
    Ok(text.trim().to_owned())
}

struct Device {
    number: (u32, u32),
    mount_root: Option<bool>,
}

fn device(dir: &Dir, name: &str) -> Result<Device, HostError> {
    let flags = AtFlags::EMPTY_PATH | AtFlags::SYMLINK_NOFOLLOW;
    let stat = statx(dir, name, flags, StatxFlags::BASIC_STATS)
        .map_err(failed(Verb::Examine, dir.path()))?;
    // Kernels before 5.8 cannot tell.
    let known = stat.stx_attributes_mask.contains(StatxAttributes::MOUNT_ROOT);
    Ok(Device {
        number: (stat.stx_dev_major, stat.stx_dev_minor),
        mount_root: known.then(|| stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_point_is_told_from_a_folder() {
        let proc = filesystem(&Dir::open_at(Path::new("/proc")).unwrap()).unwrap();
        assert!(proc.is_mount_point);
        let folder = tempfile::tempdir().unwrap();
        let inner = filesystem(&Dir::open_at(folder.path()).unwrap()).unwrap();
        assert!(!inner.is_mount_point && !inner.read_only);
        assert_ne!(inner.device, proc.device);
    }

    #[test]
    fn identities_are_uuids_and_differ() {
        let one = random_uuid().unwrap();
        assert_eq!(one.len(), 36);
        assert_ne!(one, random_uuid().unwrap());
    }
}
