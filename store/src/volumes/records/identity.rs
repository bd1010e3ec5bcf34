//! Reads and writes `volume.json`, the identity of a volume.
//!
//! The record is next to the data and not in it, so tenants cannot reach it. An unreadable record
//! is never treated as a missing one.

use crate::host::{Dir, HostError, files};
use crate::volumes::layout;
use fastrak_api::volume::{IDENTITY_FORMAT, Identity, VolumeId};

/// The record in a directory with a volume's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    /// The directory is the volume.
    Verified(Box<Identity>),
    /// The directory is not the volume, or its record cannot be read; with the reason.
    Unverified(String),
}

/// Reads the identity in a volume's directory.
pub(crate) fn read(dir: &Dir, id: &VolumeId) -> Result<Record, HostError> {
    let content = files::read(dir, layout::IDENTITY)?;
    Ok(parse(content.as_deref(), id))
}

/// Writes the identity of a volume that is being created. Fails if there is one.
pub(crate) fn create(dir: &Dir, identity: &Identity) -> Result<(), HostError> {
    files::create(dir, layout::IDENTITY, &content(identity))
}

/// Replaces the identity in a volume's directory.
pub(crate) fn write(dir: &Dir, identity: &Identity) -> Result<(), HostError> {
    files::write(dir, layout::IDENTITY, &content(identity))
}

/// Changes the identity in a volume's directory, if it is valid, and flushes it to the disk.
pub(crate) fn update(
    dir: &Dir,
    id: &VolumeId,
    change: impl FnOnce(&mut Identity),
) -> Result<(), HostError> {
    let Record::Verified(before) = read(dir, id)? else { return Ok(()) };
    let mut identity = before.clone();
    change(&mut identity);
    if identity != before {
        write(dir, &identity)?;
    }
    // Repeated if the record is already written: an earlier attempt may have been interrupted
    // before its sync. After a power failure the old record would let the data be removed, for
    // example as an orphan.
    dir.sync()
}

// Serialization of strings and numbers cannot fail. An empty record would be unverified.
fn content(identity: &Identity) -> Vec<u8> {
    serde_json::to_vec_pretty(identity).unwrap_or_default()
}

fn parse(content: Option<&[u8]>, id: &VolumeId) -> Record {
    let Some(content) = content else {
        return Record::Unverified("it has no volume.json".to_owned());
    };
    match serde_json::from_slice::<Identity>(content) {
        Err(error) => Record::Unverified(format!("its volume.json cannot be parsed: {error}")),
        Ok(identity) if identity.format != IDENTITY_FORMAT => Record::Unverified(format!(
            "its volume.json has the unknown format {}",
            identity.format
        )),
        Ok(identity) if identity.volume != *id => {
            Record::Unverified(format!("its volume.json belongs to volume {}", identity.volume))
        }
        Ok(identity) => Record::Verified(Box::new(identity)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Kernel;
    use fastrak_testkit::fixtures;
    use proptest::prelude::*;

    const UID: &str = "0b0a3a2e-0d6c-4f5f-9e57-3c2f1d2b4a59";

    fn identity() -> Identity {
        fixtures::identity(VolumeId::parse(UID).unwrap())
    }

    #[test]
    fn an_identity_is_read_back() {
        let directory = tempfile::tempdir().unwrap();
        let dir = Dir::open_at(&Kernel, directory.path()).unwrap();
        write(&dir, &identity()).unwrap();
        let record = read(&dir, &identity().volume).unwrap();
        assert_eq!(record, Record::Verified(Box::new(identity())));
    }

    #[test]
    fn a_record_without_a_file_limit_sets_none() {
        let text = String::from_utf8(content(&identity())).unwrap();
        assert!(!text.contains("bytesPerInode"), "{text}");
        let Record::Verified(old) = parse(Some(text.as_bytes()), &identity().volume) else {
            panic!("{text}");
        };
        assert_eq!((old.bytes_per_inode, old.inodes()), (None, None));
    }

    #[test]
    fn every_other_content_is_unverified() {
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
            let record = parse(Some(text.as_bytes()), &id);
            assert!(matches!(record, Record::Unverified(_)), "{text}: {record:?}");
        }
        assert!(matches!(parse(None, &id), Record::Unverified(_)));
    }

    proptest! {
        #[test]
        fn random_bytes_are_unverified(bytes: Vec<u8>) {
            let record = parse(Some(&bytes), &identity().volume);
            prop_assert!(matches!(record, Record::Unverified(_)));
        }
    }
}
