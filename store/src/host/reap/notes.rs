//! Noting subvolumes before they are removed, so that what the kernel keeps of them is found later.
//!
//! It removes nothing, and does not know what becomes of the notes.

use crate::host::Dir;
use crate::host::calls::How;
use rustix::io::Errno;
use std::ffi::OsStr;

/// Where subvolumes are noted.
#[derive(Debug, Default)]
pub enum Notes {
    /// Nowhere: nothing is kept of them on this filesystem.
    #[default]
    Needless,
    /// In this directory.
    In(Dir),
    /// They should be, and cannot be now. None is removed then.
    Impossible(Errno),
}

impl Notes {
    /// Notes `name` in `dir` if it is a subvolume.
    ///
    /// Nothing has to be synced between this and the removal: btrfs writes whole transactions, in their
    /// order, and the removal of a subvolume is in none that is written without those before it. A sync
    /// of the folder that it was in does not write it alone either, but all that came before
    /// (`btrfs_record_snapshot_destroy`). So where a power cut has left it removed, the note is there.
    pub(super) fn note(&self, dir: &Dir, name: &OsStr) -> Result<(), Errno> {
        let folder = match self {
            Self::Needless => return Ok(()),
            Self::Impossible(errno) => Err(*errno),
            Self::In(folder) => Ok(folder),
        };
        if !dir.handle().is_subvolume(name)? {
            return Ok(());
        }
        let subvolume = dir.open_same_mount(name)?.handle().subvolume()?;
        match folder?.handle().open(&subvolume.note(), How::New) {
            // An earlier try has noted it.
            Ok(_) | Err(Errno::EXIST) => Ok(()),
            Err(errno) => Err(errno),
        }
    }
}
