//! Reads and writes `owner.json`: the last owner of a volume and its time in the trash.
//!
//! The identity names the claim for which a volume was created and never changes. This record names
//! the current owner if that is another claim, and is rewritten when the volume moves into the
//! trash. Without it, the volume belongs to its original claim.

use crate::host::{Dir, HostError, Operation, files};
use crate::volumes::trash::trashed::Trashed;
use fastrak_api::claim_ref::ClaimRef;
use fastrak_api::volume::Identity;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

/// The content of `owner.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OwnerRecord {
    /// The format of the record.
    pub(crate) format: u32,
    /// The last owner.
    pub(crate) owner: ClaimRef,
    /// The UID of the owner's namespace, if it was known when the claim was deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) namespace_uid: Option<String>,
    /// The time in the trash, if the volume is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) trashed: Option<Trashed>,
}

/// The format that this version reads and writes.
pub(crate) const OWNER_FORMAT: u32 = 1;

/// The file name of the record.
pub(crate) const OWNER: &str = "owner.json";

impl OwnerRecord {
    /// Creates a record of a volume that is not in the trash.
    pub(crate) fn new(owner: ClaimRef) -> Self {
        Self { format: OWNER_FORMAT, owner, namespace_uid: None, trashed: None }
    }
}

/// Reads the record in a volume's directory. Returns `None` if there is none. A record that cannot
/// be read or has another format is an error, which blocks everything that depends on it.
pub(crate) fn read(dir: &Dir) -> Result<Option<OwnerRecord>, HostError> {
    let Some(content) = files::read(dir, OWNER)? else { return Ok(None) };
    match parse(&content) {
        Ok(record) => Ok(Some(record)),
        Err(why) => {
            let what = format!("{} ({why})", dir.path().join(OWNER).display());
            Err(HostError { verb: Operation::Read, what, errno: Errno::BADMSG })
        }
    }
}

/// Reads the record of a volume. Without one, the volume belongs to its original claim.
pub(crate) fn read_or_original(dir: &Dir, identity: &Identity) -> Result<OwnerRecord, HostError> {
    Ok(read(dir)?.unwrap_or_else(|| OwnerRecord::new(ClaimRef::original(identity))))
}

fn parse(content: &[u8]) -> Result<OwnerRecord, String> {
    match serde_json::from_slice::<OwnerRecord>(content) {
        Ok(record) if record.format == OWNER_FORMAT => Ok(record),
        Ok(record) => Err(format!("its format is {}", record.format)),
        Err(error) => Err(error.to_string()),
    }
}

/// Writes the record and flushes it to the disk.
pub(crate) fn write(dir: &Dir, record: &OwnerRecord) -> Result<(), HostError> {
    // Serialization of strings and numbers cannot fail. An empty record would be unreadable.
    let content = serde_json::to_vec_pretty(record).unwrap_or_default();
    files::write(dir, OWNER, &content)?;
    dir.sync()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Kernel;

    #[test]
    fn a_record_is_read_back_and_an_unreadable_one_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let dir = Dir::open_at(&Kernel, directory.path()).unwrap();
        assert_eq!(read(&dir).unwrap(), None);
        let owner =
            ClaimRef { namespace: "n".to_owned(), name: "c".to_owned(), uid: Some("u".to_owned()) };
        for trashed in [None, Some(Trashed::begin(7))] {
            let record = OwnerRecord { trashed, ..OwnerRecord::new(owner.clone()) };
            write(&dir, &record).unwrap();
            assert_eq!(read(&dir).unwrap(), Some(record));
        }
        for text in ["", "{}", "\0\0\0", r#"{"format": 2, "owner": {}}"#] {
            std::fs::write(directory.path().join(OWNER), text).unwrap();
            assert!(read(&dir).unwrap_err().to_string().contains("owner.json"), "{text:?}");
        }
        let newer = r#"{"format": 2, "owner": {"namespace": "n", "claim": "c", "uid": "u"}}"#;
        std::fs::write(directory.path().join(OWNER), newer).unwrap();
        assert!(read(&dir).unwrap_err().to_string().contains("format is 2"));
    }
}
