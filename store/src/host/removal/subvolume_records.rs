//! Records subvolumes before they are removed, so that their quota groups can be removed later.

use crate::host::Dir;
use crate::host::calls::OpenMode;
use rustix::io::Errno;
use std::ffi::OsStr;

/// Where removed subvolumes are recorded.
#[derive(Debug, Default)]
pub enum SubvolumeRecords {
    /// Nowhere: this filesystem needs no records.
    #[default]
    NotNeeded,
    /// In this directory.
    Directory(Dir),
    /// The records cannot be written now. No subvolume is removed then.
    Unavailable(Errno),
}

impl SubvolumeRecords {
    /// Records `name` in `dir` if it is a subvolume.
    ///
    /// No sync is needed between the record and the removal. btrfs writes whole transactions in
    /// order, so the removal is never on the disk without the record before it. A sync of the
    /// parent directory does not write the removal alone either, but everything before it
    /// (`btrfs_record_snapshot_destroy`).
    pub(super) fn record(&self, dir: &Dir, name: &OsStr) -> Result<(), Errno> {
        let directory = match self {
            Self::NotNeeded => return Ok(()),
            Self::Unavailable(errno) => Err(*errno),
            Self::Directory(directory) => Ok(directory),
        };
        if !dir.handle().is_subvolume(name)? {
            return Ok(());
        }
        let subvolume = dir.open_same_mount(name)?.handle().subvolume()?;
        match directory?.handle().open(&subvolume.record_name(), OpenMode::New) {
            // An earlier attempt has recorded it.
            Ok(_) | Err(Errno::EXIST) => Ok(()),
            Err(errno) => Err(errno),
        }
    }
}
