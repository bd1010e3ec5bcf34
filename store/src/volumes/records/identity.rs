//! A volume's identity on the disk: reading and writing `volume.json`.
//!
//! It lies beside the data and not in it, so that no tenant can reach it. A record that cannot be
//! read is never taken for none.

use crate::host::{Dir, HostError, files};
use crate::volumes::layout;
use fastrak_api::volume::{IDENTITY_FORMAT, Identity, VolumeId};
use std::ffi::OsStr;

/// What a directory with a volume's name says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// It is the volume.
    Proven(Box<Identity>),
    /// It is not, or cannot be known to be; why.
    Doubtful(String),
}

/// Reads the identity in a volume's directory.
pub fn read(dir: &Dir, id: &VolumeId) -> Result<Record, HostError> {
    let content = files::read(dir, OsStr::new(layout::IDENTITY))?;
    Ok(judge(content.as_deref(), id))
}

/// Writes the identity into the directory of a volume that is being made, where there is none.
pub fn create(dir: &Dir, identity: &Identity) -> Result<(), HostError> {
    files::create(dir, OsStr::new(layout::IDENTITY), &content(identity))
}

/// Writes the identity into a volume's directory in place of the one that is there.
pub fn write(dir: &Dir, identity: &Identity) -> Result<(), HostError> {
    files::write(dir, OsStr::new(layout::IDENTITY), &content(identity))
}

// A struct of texts and numbers always serialises; if not, an empty record is a doubtful one.
fn content(identity: &Identity) -> Vec<u8> {
    serde_json::to_vec_pretty(identity).unwrap_or_default()
}

fn judge(content: Option<&[u8]>, id: &VolumeId) -> Record {
    let Some(content) = content else {
        return Record::Doubtful("it has no volume.json".to_owned());
    };
    match serde_json::from_slice::<Identity>(content) {
        Err(error) => Record::Doubtful(format!("its volume.json cannot be read: {error}")),
        Ok(identity) if identity.format != IDENTITY_FORMAT => {
            Record::Doubtful(format!("its volume.json has format {}", identity.format))
        }
        Ok(identity) if identity.volume != *id => {
            Record::Doubtful(format!("its volume.json is that of {}", identity.volume))
        }
        Ok(identity) => Record::Proven(Box::new(identity)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Kernel;
    use fastrak_api::class::ReclaimPolicy;
    use proptest::prelude::*;

    const UID: &str = "0b0a3a2e-0d6c-4f5f-9e57-3c2f1d2b4a59";

    fn identity() -> Identity {
        Identity {
            format: IDENTITY_FORMAT,
            volume: VolumeId::parse(UID).unwrap(),
            namespace: "shop".to_owned(),
            claim: "data".to_owned(),
            class: "local-storage".to_owned(),
            node: "node-a".to_owned(),
            reclaim_policy: ReclaimPolicy::Delete,
            bytes: 1 << 30,
            limit: None,
            trash_seconds: None,
            bytes_per_inode: None,
            claim_created: None,
        }
    }

    #[test]
    fn an_identity_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let dir = Dir::open_at(&Kernel, folder.path()).unwrap();
        write(&dir, &identity()).unwrap();
        let record = read(&dir, &identity().volume).unwrap();
        assert_eq!(record, Record::Proven(Box::new(identity())));
    }

    #[test]
    fn a_record_of_before_files_were_limited_limits_none() {
        let text = String::from_utf8(content(&identity())).unwrap();
        assert!(!text.contains("bytesPerInode"), "{text}");
        let Record::Proven(old) = judge(Some(text.as_bytes()), &identity().volume) else {
            panic!("{text}");
        };
        assert_eq!((old.bytes_per_inode, old.inodes()), (None, None));
    }

    #[test]
    fn anything_else_is_doubtful() {
        let id = identity().volume;
        let other =
            Identity { volume: VolumeId::parse(&UID.replace('a', "b")).unwrap(), ..identity() };
        let newer = Identity { format: 2, ..identity() };
        let texts = [
            "{}".to_owned(),
            String::new(),
            serde_json::to_string(&other).unwrap(),
            serde_json::to_string(&newer).unwrap(),
        ];
        for text in texts {
            let record = judge(Some(text.as_bytes()), &id);
            assert!(matches!(record, Record::Doubtful(_)), "{text}: {record:?}");
        }
        assert!(matches!(judge(None, &id), Record::Doubtful(_)));
    }

    proptest! {
        #[test]
        fn no_bytes_prove_anything(bytes: Vec<u8>) {
            let record = judge(Some(&bytes), &identity().volume);
            prop_assert!(matches!(record, Record::Doubtful(_)));
        }
    }
}
