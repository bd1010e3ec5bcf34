//! The layout of a pool: maps volume IDs to names and back. Pure. Users choose none of the names.
//!
//! ```text
//! <pool>/.fastrak-pool      the marker
//! <pool>/.fastrak-holder    the agent that has locked the pool
//! <pool>/.staging/<uid>     a volume that is being created
//! <pool>/.trash/<uid>       a deleted volume that can be restored
//! <pool>/.trash/<uid>.<n>   a deleted volume that is being removed
//! <pool>/.groups/<record>   a removed subvolume whose quota group still exists
//! <pool>/<uid>/volume.json  the identity of a volume, readable by root alone
//! <pool>/<uid>/owner.json   the owner, if it is not the claim in volume.json
//! <pool>/<uid>/data         the directory that pods see
//! ```

use crate::host::mounts::Mount;
use fastrak_api::names::VOLUME_NAME_PREFIX;
use fastrak_api::volume::VolumeId;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// The directory of volumes that are being created.
pub const STAGING: &str = ".staging";
/// The directory of deleted volumes.
pub const TRASH: &str = ".trash";
/// The directory of records of btrfs subvolumes whose quota groups must be removed.
pub const GROUPS: &str = ".groups";
/// The directory of a volume that pods see. The records are beside it, out of their reach.
pub const DATA: &str = "data";
/// The identity of a volume, in its directory.
pub const IDENTITY: &str = "volume.json";
/// The extended attribute with a volume's UID, for backup tools and people.
pub const TAG: &str = "user.fastrak.volume";

/// Returns the volume with this name: in a pool one that exists, in the trash one that can be
/// restored. Everything else in the trash is removed.
#[must_use]
pub fn volume(name: &OsStr) -> Option<VolumeId> {
    name.to_str().and_then(|text| VolumeId::parse(text).ok())
}

/// Returns the path that a volume's PersistentVolume has.
#[must_use]
pub fn data_path(pool: &Path, id: &VolumeId) -> PathBuf {
    pool.join(id.as_str()).join(DATA)
}

/// Returns whether `path` can be the data path of this volume, in any pool.
#[must_use]
pub fn is_data_path(path: &[u8], id: &VolumeId) -> bool {
    path.ends_with(format!("/{id}/{DATA}").as_bytes())
}

/// Returns the volume that has this data path, in any pool.
#[must_use]
pub fn volume_at(path: &str) -> Option<VolumeId> {
    let (directory, data) = path.rsplit_once('/')?;
    let (_, id) = directory.rsplit_once('/')?;
    VolumeId::parse(id).ok().filter(|_| data == DATA)
}

/// Returns whether a mount belongs to this volume: it shows the data, or is where a kubelet mounts
/// it.
#[must_use]
pub fn is_mount_of(mount: &Mount, id: &VolumeId) -> bool {
    volumes_of(mount).any(|name| name == id.as_str().as_bytes())
}

/// Returns the volume names in a mount. A name need not belong to a volume.
pub fn volumes_of(mount: &Mount) -> impl Iterator<Item = &[u8]> {
    fn directories(path: &[u8]) -> impl Iterator<Item = &[u8]> {
        path.split(|byte| *byte == b'/')
    }
    // A subPath mount shows a directory below the data.
    let (names, below) = (directories(&mount.root).skip(1), directories(&mount.root).skip(2));
    let shown = names.zip(below).filter(|(_, below)| *below == DATA.as_bytes());
    let prefix = VOLUME_NAME_PREFIX.as_bytes();
    let placed = directories(&mount.point).filter_map(move |name| name.strip_prefix(prefix));
    shown.map(|(name, _)| name).chain(placed)
}

/// Returns the name of a volume in the trash. With 0 it can be restored; higher numbers distinguish
/// volumes with the same ID that are being removed.
#[must_use]
pub fn trash_name(id: &VolumeId, n: u32) -> OsString {
    match n {
        0 => OsString::from(id.as_str()),
        n => OsString::from(format!("{id}.{n}")),
    }
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
    fn only_a_whole_name_is_a_volume() {
        assert_eq!(volume(OsStr::new(UID)), Some(id()));
        for own in [".staging", ".trash", ".groups", ".fastrak-pool", ".fastrak-holder"] {
            assert_eq!(volume(OsStr::new(own)), None);
        }
        let removed = format!("{UID}.1");
        for foreign in ["lost+found", "data", "pvc-x", &UID.to_uppercase(), &removed] {
            assert_eq!(volume(OsStr::new(foreign)), None);
        }
    }

    #[test]
    fn a_mount_is_matched_by_its_root_or_its_mount_point() {
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
        fn no_volume_id_leads_out_of_its_pool(text in ".{0,40}") {
            let Ok(id) = VolumeId::parse(&text) else { return Ok(()) };
            let path = data_path(Path::new("/pool"), &id);
            prop_assert_eq!(path.components().count(), 4);
            prop_assert!(path.starts_with("/pool"));
        }

        #[test]
        fn no_name_is_both_a_volume_and_the_pools_own(name in ".{0,40}") {
            if let Some(id) = volume(OsStr::new(&name)) {
                prop_assert_eq!(id.as_str(), name.as_str());
                prop_assert!(!name.starts_with('.'));
            }
        }
    }

    #[test]
    fn only_whole_path_components_match_a_volume() {
        assert!(is_data_path(format!("/a/{UID}/data").as_bytes(), &id()));
        assert_eq!(volume_at(&format!("/a/{UID}/data")), Some(id()));
        for other in [format!("/a/x{UID}/data"), format!("/a/{UID}/data/x"), format!("/a/{UID}")] {
            assert!(!is_data_path(other.as_bytes(), &id()), "{other}");
            assert_eq!(volume_at(&other), None, "{other}");
        }
    }
}
