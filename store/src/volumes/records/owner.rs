//! Whose a volume was last, and how long it has been in the trash: `owner.json`, beside its identity.
//!
//! The identity says for whom a volume was made and never changes. This says who has it now where that
//! is somebody else, and is written anew when it is put into the trash. Absent, the volume is still
//! that of the claim it was made for.

use crate::host::{Dir, HostError, Verb, files};
use crate::volumes::trash::trashed::Trashed;
use fastrak_api::volume::Identity;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;

/// A claim that has or had a volume; without a name, nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Owner {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub claim: String,
    /// Its uid.
    pub uid: String,
}

/// What is recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OwnerRecord {
    /// The layout of this record.
    pub format: u32,
    /// Whose the volume was last.
    pub owner: Owner,
    /// The uid of the owner's namespace, if it was known when the claim was gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_uid: Option<String>,
    /// The time it has spent in the trash, where it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trashed: Option<Trashed>,
}

/// The layout that this version writes and reads.
pub const OWNER_FORMAT: u32 = 1;

/// The record, in a volume's directory.
pub const OWNER: &str = "owner.json";

impl Owner {
    /// The claim that the volume was made for.
    #[must_use]
    pub fn first(identity: &Identity) -> Self {
        Self {
            namespace: identity.namespace.clone(),
            claim: identity.claim.clone(),
            uid: identity.volume.to_string(),
        }
    }
}

impl OwnerRecord {
    /// A record of a volume that is not in the trash.
    #[must_use]
    pub fn new(owner: Owner) -> Self {
        Self { format: OWNER_FORMAT, owner, namespace_uid: None, trashed: None }
    }
}

/// The record in a volume's directory; `None` where there is none. One that cannot be read, or has the
/// format of another version, is an error: nothing that depends on it is done.
pub fn read(dir: &Dir) -> Result<Option<OwnerRecord>, HostError> {
    let Some(content) = files::read(dir, OsStr::new(OWNER))? else { return Ok(None) };
    match parse(&content) {
        Ok(record) => Ok(Some(record)),
        Err(why) => {
            let what = format!("{} ({why})", dir.path().join(OWNER).display());
            Err(HostError { verb: Verb::Read, what, errno: Errno::BADMSG })
        }
    }
}

fn parse(content: &[u8]) -> Result<OwnerRecord, String> {
    match serde_json::from_slice::<OwnerRecord>(content) {
        Ok(record) if record.format == OWNER_FORMAT => Ok(record),
        Ok(record) => Err(format!("its format is {}", record.format)),
        Err(error) => Err(error.to_string()),
    }
}

/// Writes the record, and returns when it is on the disk.
pub fn write(dir: &Dir, record: &OwnerRecord) -> Result<(), HostError> {
    // Texts and numbers always serialise; if not, an empty record is one that cannot be read.
    let content = serde_json::to_vec_pretty(record).unwrap_or_default();
    files::write(dir, OsStr::new(OWNER), &content)?;
    dir.sync()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Kernel;

    #[test]
    fn a_record_is_read_back_and_one_that_cannot_be_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let dir = Dir::open_at(&Kernel, folder.path()).unwrap();
        assert_eq!(read(&dir).unwrap(), None);
        let owner = Owner { namespace: "n".to_owned(), claim: "c".to_owned(), uid: "u".to_owned() };
        for trashed in [None, Some(Trashed::begin(7))] {
            let record = OwnerRecord { trashed, ..OwnerRecord::new(owner.clone()) };
            write(&dir, &record).unwrap();
            assert_eq!(read(&dir).unwrap(), Some(record));
        }
        for text in ["", "{}", "\0\0\0", r#"{"format": 2, "owner": {}}"#] {
            std::fs::write(folder.path().join(OWNER), text).unwrap();
            assert!(read(&dir).unwrap_err().to_string().contains("owner.json"), "{text:?}");
        }
        let newer = r#"{"format": 2, "owner": {"namespace": "n", "claim": "c", "uid": "u"}}"#;
        std::fs::write(folder.path().join(OWNER), newer).unwrap();
        assert!(read(&dir).unwrap_err().to_string().contains("format is 2"));
    }
}
