//! The identity of a volume, on the disk and in the API. It proves which claim the data belongs to.
//!
//! Paths are built from identities, never from names that users choose.

use crate::class::ReclaimPolicy;
use crate::names;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The uid of the claim that a volume was created for. It stays the same when another claim owns
/// the volume, and it is safe as the name of a file.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VolumeId(String);

/// A text that is not the uid of a claim.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not the uid of a claim: 36 characters, such as 0b0a3a2e-0d6c-4f5f-9e57-3c2f1d2b4a59"
)]
pub struct VolumeIdError(String);

/// The record beside a volume's data. It outlives every object in the API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// The format of this record.
    pub format: u32,
    /// The volume.
    pub volume: VolumeId,
    /// The namespace of the claim that it was created for.
    pub namespace: String,
    /// The name of that claim.
    pub claim: String,
    /// Its class.
    pub class: String,
    /// The node that it is on.
    pub node: String,
    /// What happens to it when its claim is deleted.
    pub reclaim_policy: ReclaimPolicy,
    /// The size that was granted.
    pub bytes: u64,
    /// The group whose limit enforces that size. If absent, nothing does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<QuotaGroup>,
    /// How many seconds its data stays in the trash. If absent, deletion removes it at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trash_seconds: Option<u64>,
    /// How many bytes of its size allow it one more file. If absent, its files are not limited, as
    /// for volumes from before there was such a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_inode: Option<u64>,
    /// When the claim was created that the volume was created for, in seconds since 1970 by the
    /// clock of the API server. A younger namespace is not that claim's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim_created: Option<i64>,
}

impl Identity {
    /// Returns how many files and directories the volume may have, at least [`MIN_INODES`].
    /// `None` if they are not limited.
    #[must_use]
    pub fn inodes(&self) -> Option<u64> {
        let allowed = self.bytes.checked_div(self.bytes_per_inode?)?;
        Some(allowed.max(MIN_INODES))
    }
}

/// The files that the kernel counts together and limits together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum QuotaGroup {
    /// The files of a btrfs subvolume.
    Subvolume,
    /// The files of this project.
    Project(u32),
}

/// The format of [`Identity`] that this version writes and reads.
pub const IDENTITY_FORMAT: u32 = 1;

/// The smallest limit on files. An inode of ext4 has 256 bytes, so it is a quarter of a MiB.
pub const MIN_INODES: u64 = 1024;

impl VolumeId {
    /// Parses a uid of the API server: a UUID in lower case.
    pub fn parse(text: &str) -> Result<Self, VolumeIdError> {
        let well_formed = text.len() == 36
            && text.bytes().enumerate().all(|(at, byte)| match at {
                8 | 13 | 18 | 23 => byte == b'-',
                _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
            });
        if well_formed { Ok(Self(text.to_owned())) } else { Err(VolumeIdError(text.to_owned())) }
    }

    /// Returns the identity in the name of a PersistentVolume of fastrak's.
    #[must_use]
    pub fn from_volume_name(name: &str) -> Option<Self> {
        Self::parse(name.strip_prefix(names::VOLUME_NAME_PREFIX)?).ok()
    }

    /// Returns the name of its PersistentVolume.
    #[must_use]
    pub fn volume_name(&self) -> String {
        format!("{}{}", names::VOLUME_NAME_PREFIX, self.0)
    }

    /// Returns the uid.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for VolumeId {
    type Error = VolumeIdError;

    fn try_from(text: String) -> Result<Self, VolumeIdError> {
        Self::parse(&text)
    }
}

impl From<VolumeId> for String {
    fn from(id: VolumeId) -> Self {
        id.0
    }
}

impl fmt::Display for VolumeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const UID: &str = "0b0a3a2e-0d6c-4f5f-9e57-3c2f1d2b4a59";

    fn identity(bytes: u64, bytes_per_inode: Option<u64>) -> Identity {
        Identity {
            format: IDENTITY_FORMAT,
            volume: VolumeId::parse(UID).unwrap(),
            namespace: "shop".to_owned(),
            claim: "data".to_owned(),
            class: "local-storage".to_owned(),
            node: "node-a".to_owned(),
            reclaim_policy: ReclaimPolicy::Delete,
            bytes,
            limit: None,
            trash_seconds: None,
            bytes_per_inode,
            claim_created: None,
        }
    }

    #[test]
    fn a_volume_may_have_files_in_proportion_to_its_size_and_a_small_one_a_few() {
        assert_eq!(identity(200 << 20, Some(16384)).inodes(), Some(12800));
        assert_eq!(identity(1, Some(16384)).inodes(), Some(MIN_INODES));
        assert_eq!(identity(200 << 20, None).inodes(), None);
        // A record that was changed by hand.
        assert_eq!(identity(200 << 20, Some(0)).inodes(), None);
    }

    #[test]
    fn only_a_uid_is_an_identity() {
        assert_eq!(VolumeId::parse(UID).unwrap().as_str(), UID);
        for text in
            ["", "..", "a", "../../../../../../../../../../etc/pw", &UID.to_uppercase(), &UID[1..]]
        {
            assert!(VolumeId::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_volume_is_known_by_its_name() {
        let id = VolumeId::parse(UID).unwrap();
        assert_eq!(id.volume_name(), format!("pvc-{UID}"));
        assert_eq!(VolumeId::from_volume_name(&id.volume_name()), Some(id));
        assert_eq!(VolumeId::from_volume_name(UID), None);
        assert_eq!(VolumeId::from_volume_name("pvc-../../etc"), None);
    }

    #[test]
    fn an_identity_with_a_forged_uid_cannot_be_read() {
        let text = format!(
            r#"{{"format":1,"volume":"{}","namespace":"n","claim":"c","class":"s","node":"a","reclaimPolicy":"Delete","bytes":1}}"#,
            "../../../../../../../../../../../etc"
        );
        assert!(serde_json::from_str::<Identity>(&text).is_err());
    }

    proptest! {
        #[test]
        fn no_identity_leaves_its_folder(text in ".{0,40}") {
            if let Ok(id) = VolumeId::parse(&text) {
                prop_assert!(!id.as_str().contains(['/', '.', '\0']));
            }
        }
    }
}
