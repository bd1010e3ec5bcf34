//! Where things lie in a pool. Pure: identities to names and back, and nothing that users choose.
//!
//! ```text
//! <pool>/.fastrak-pool      the marker
//! <pool>/.fastrak-holder    which agent has locked the pool
//! <pool>/.staging/<uid>     a volume that is being made
//! <pool>/.trash/<uid>       a volume that was taken away and can be had back
//! <pool>/.trash/<uid>.<n>   one that is being removed
//! <pool>/.groups/<note>     a subvolume that was removed, whose quota group is still to go
//! <pool>/<uid>/volume.json  a volume's identity, for root alone
//! <pool>/<uid>/owner.json   whose it is, where that is not who it was made for
//! <pool>/<uid>/data         what its pods see
//! ```

use crate::host::mounts::Mount;
use crate::pools::marker::MARKER;
use crate::pools::{HOLDER, PROBE, PROBED};
use fastrak_api::names::VOLUME_NAME_PREFIX;
use fastrak_api::volume::VolumeId;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// Volumes that are being made.
pub const STAGING: &str = ".staging";
/// Volumes that are being taken away.
pub const TRASH: &str = ".trash";
/// Notes of subvolumes of btrfs whose quota groups are to be removed.
pub const GROUPS: &str = ".groups";
/// What pods see of a volume, in its directory. Its own level keeps its identity out of their reach.
pub const DATA: &str = "data";
/// A volume's identity, in its directory.
pub const IDENTITY: &str = "volume.json";
/// The extended attribute of a volume's directory that repeats its uid, for backup tools and people.
pub const TAG: &str = "user.fastrak.volume";

/// What a name in a pool stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A volume.
    Volume(VolumeId),
    /// Something that belongs to the pool.
    Own,
    /// Nothing of ours.
    Foreign,
}

/// What `name` in a pool stands for.
#[must_use]
pub fn entry(name: &OsStr) -> Entry {
    match name.to_str() {
        Some(STAGING | TRASH | GROUPS | MARKER | HOLDER | PROBE | PROBED) => Entry::Own,
        Some(text) => VolumeId::parse(text).map_or(Entry::Foreign, Entry::Volume),
        None => Entry::Foreign,
    }
}

/// The path that a volume's object names.
#[must_use]
pub fn data_path(pool: &Path, id: &VolumeId) -> PathBuf {
    pool.join(id.as_str()).join(DATA)
}

/// Whether `path` could be that of this volume, in whatever pool.
#[must_use]
pub fn is_data_path(path: &[u8], id: &VolumeId) -> bool {
    path.ends_with(format!("/{id}/{DATA}").as_bytes())
}

/// The volume whose data `path` could be, in whatever pool.
#[must_use]
pub fn volume_at(path: &str) -> Option<VolumeId> {
    let (folder, data) = path.rsplit_once('/')?;
    let (_, id) = folder.rsplit_once('/')?;
    VolumeId::parse(id).ok().filter(|_| data == DATA)
}

/// Whether a mount is of this volume: of its data, or where a kubelet mounts it.
#[must_use]
pub fn is_mount_of(mount: &Mount, id: &VolumeId) -> bool {
    volumes_of(mount).any(|name| name == id.as_str().as_bytes())
}

/// The names that a mount has for volumes, if it is of one. A name need not be that of any volume.
pub fn volumes_of(mount: &Mount) -> impl Iterator<Item = &[u8]> {
    fn folders(path: &[u8]) -> impl Iterator<Item = &[u8]> {
        path.split(|byte| *byte == b'/')
    }
    // A subPath has its own mount, of a folder below the data. A name has a folder above it.
    let (names, below) = (folders(&mount.root).skip(1), folders(&mount.root).skip(2));
    let shown = names.zip(below).filter(|(_, below)| *below == DATA.as_bytes());
    let prefix = VOLUME_NAME_PREFIX.as_bytes();
    let placed = folders(&mount.point).filter_map(move |name| name.strip_prefix(prefix));
    shown.map(|(name, _)| name).chain(placed)
}

/// The name of a volume in the trash: with 0 it can be had back, and `n` counts those of the same
/// identity that are being removed.
#[must_use]
pub fn trash_name(id: &VolumeId, n: u32) -> OsString {
    match n {
        0 => OsString::from(id.as_str()),
        n => OsString::from(format!("{id}.{n}")),
    }
}

/// The volume that can be had back under this name in the trash. Whatever has another is removed.
#[must_use]
pub fn restorable(name: &OsStr) -> Option<VolumeId> {
    name.to_str().and_then(|text| VolumeId::parse(text).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const UID: &str = "0b0a3a2e-0d6c-4f5f-9e57-3c2f1d2b4a59";

    fn id() -> VolumeId {
        VolumeId::parse(UID).unwrap()
    }

    fn mount(root: &str, point: &str) -> Mount {
        Mount { root: root.into(), point: point.into() }
    }

    #[test]
    fn names_are_told_apart() {
        assert_eq!(entry(OsStr::new(UID)), Entry::Volume(id()));
        for own in [".staging", ".trash", ".groups", ".fastrak-pool", ".fastrak-holder"] {
            assert_eq!(entry(OsStr::new(own)), Entry::Own);
        }
        for foreign in ["lost+found", "data", "pvc-x", &UID.to_uppercase()] {
            assert_eq!(entry(OsStr::new(foreign)), Entry::Foreign);
        }
    }

    #[test]
    fn a_mount_is_known_by_what_it_shows_or_by_where_it_is() {
        let pod = format!("/var/lib/kubelet/pods/1/volumes/kubernetes.io~local-volume/pvc-{UID}");
        assert!(is_mount_of(&mount("/somewhere", &pod), &id()));
        assert!(is_mount_of(&mount(&format!("/fastrak/{UID}/data"), "/mnt"), &id()));
        assert!(is_mount_of(&mount(&format!("/fastrak/{UID}/data/sub/path"), "/mnt"), &id()));
        for other in [
            mount("/", "/var/lib/fastrak"),
            mount(&format!("/fastrak/{UID}"), "/mnt"),
            mount(&format!("/fastrak/{UID}/database"), "/mnt"),
            mount("/x", &format!("/mnt/not-pvc-{UID}")),
        ] {
            assert!(!is_mount_of(&other, &id()), "{other:?}");
        }
    }

    proptest! {
        #[test]
        fn no_identity_leads_out_of_its_pool(text in ".{0,40}") {
            let Ok(id) = VolumeId::parse(&text) else { return Ok(()) };
            let path = data_path(Path::new("/pool"), &id);
            prop_assert_eq!(path.components().count(), 4);
            prop_assert!(path.starts_with("/pool"));
        }

        #[test]
        fn no_name_is_both_a_volume_and_the_pools_own(name in ".{0,40}") {
            if let Entry::Volume(id) = entry(OsStr::new(&name)) {
                prop_assert_eq!(id.as_str(), name.as_str());
                prop_assert!(!name.starts_with('.'));
            }
        }
    }

    #[test]
    fn a_path_is_that_of_a_volume_only_with_whole_components() {
        assert!(is_data_path(format!("/a/{UID}/data").as_bytes(), &id()));
        assert_eq!(volume_at(&format!("/a/{UID}/data")), Some(id()));
        for other in [format!("/a/x{UID}/data"), format!("/a/{UID}/data/x"), format!("/a/{UID}")] {
            assert!(!is_data_path(other.as_bytes(), &id()), "{other}");
            assert_eq!(volume_at(&other), None, "{other}");
        }
    }
}
