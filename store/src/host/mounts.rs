//! Lists the mounts that this process can see.
//!
//! These are the mounts of its own mount namespace. A container sees the mounts of pods only if the
//! kubelet's pod directory is mounted into it with propagation from the host.

use super::calls::Machine;
use super::{HostError, Operation};

/// A mount: a part of a filesystem and the place where it is visible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// The path of that part from the root of the filesystem.
    pub root: Vec<u8>,
    /// The mount point.
    pub point: Vec<u8>,
}

/// Returns all visible mounts.
pub fn all(machine: &dyn Machine) -> Result<Vec<Mount>, HostError> {
    let what = "the list of mounts".to_owned();
    let text = machine.mounts();
    Ok(parse(&text.map_err(|errno| HostError { verb: Operation::Read, what, errno })?))
}

/// Parses `/proc/<pid>/mountinfo` (proc(5)). Skips malformed lines.
#[must_use]
pub fn parse(text: &[u8]) -> Vec<Mount> {
    let lines = text.split(|byte| *byte == b'\n');
    lines
        .filter_map(|line| {
            // 36 35 98:0 /root /point rw,noatime master:1 - ext4 /dev/root rw
            let mut fields = line.split(|byte| *byte == b' ').skip(3);
            Some(Mount { root: unescape(fields.next()?), point: unescape(fields.next()?) })
        })
        .collect()
}

/// Decodes the octal escapes in which the kernel writes blanks and backslashes.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        if let (b'\\', Some(digits)) = (first, after.get(..3))
            && let Some(byte) = octal(digits)
        {
            bytes.push(byte);
            rest = after.get(3..).unwrap_or_default();
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    bytes
}

fn octal(digits: &[u8]) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Kernel;
    use proptest::prelude::*;

    #[test]
    fn mounts_of_a_kubelet_are_parsed() {
        let text = b"36 35 98:0 /fastrak/uid/data /var/lib/kubelet/pods/p/volumes/v rw master:1 - ext4 /dev/a rw\n\
            40 35 0:5 / /a\\040b\\134c rw - tmpfs none rw\n\
            nonsense\n\n";
        let mounts = parse(text);
        assert_eq!(mounts.len(), 2);
        assert_eq!(mounts[0].root, b"/fastrak/uid/data");
        assert_eq!(mounts[0].point, b"/var/lib/kubelet/pods/p/volumes/v");
        assert_eq!(mounts[1].point, b"/a b\\c");
    }

    #[test]
    fn the_mounts_of_this_process_have_a_root() {
        assert!(all(&Kernel).unwrap().iter().any(|mount| mount.point == b"/"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(text: Vec<u8>) {
            let _mounts = parse(&text);
        }
    }
}
