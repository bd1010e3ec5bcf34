//! Small files in a directory: read whole, written so that a crash leaves the old or the new.
//!
//! It does not know what is in them, and reads none that is large or not an ordinary file.

use super::calls::How;
use super::dirs::{Dir, Kind, failed};
use super::{HostError, Verb};
use rustix::io::{Errno, retry_on_intr};
use std::ffi::{OsStr, OsString};

/// More than any record of ours has.
const LARGEST: usize = 64 * 1024;

/// As much as is read at once: all of any record of ours.
const PIECE: usize = 1024;

/// The content of the file `name`; `None` where there is none.
pub fn read(dir: &Dir, name: &OsStr) -> Result<Option<Vec<u8>>, HostError> {
    let wrong = failed(Verb::Read, &dir.path().join(name));
    // A pipe in the place of a file must not hold us until someone writes to it.
    let file = match dir.handle().open(name, How::Read) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(None),
        Err(errno) => return Err(wrong(errno)),
    };
    if file.kind().map_err(&wrong)? != Kind::File {
        return Err(wrong(Errno::INVAL));
    }
    let (mut bytes, mut piece) = (Vec::new(), [0; PIECE]);
    loop {
        let length = retry_on_intr(|| file.read(&mut piece)).map_err(&wrong)?;
        bytes.extend_from_slice(piece.get(..length).unwrap_or_default());
        match length {
            0 => return Ok(Some(bytes)),
            _ if bytes.len() > LARGEST => return Err(wrong(Errno::FBIG)),
            _ => {}
        }
    }
}

/// Writes the file `name`, which must not be there, and returns when its content is on the disk; the
/// directory's own entry is the caller's to sync. A crash can leave a part of it.
pub fn create(dir: &Dir, name: &OsStr, content: &[u8]) -> Result<(), HostError> {
    let wrong = failed(Verb::Write, &dir.path().join(name));
    let file = dir.handle().open(name, How::New).map_err(&wrong)?;
    let mut rest = content;
    while !rest.is_empty() {
        let length = retry_on_intr(|| file.write(rest)).map_err(&wrong)?;
        // A kernel that takes nothing and says that all is well is not asked for ever.
        rest = rest.get(length.max(1)..).filter(|_| length > 0).ok_or_else(|| wrong(Errno::IO))?;
    }
    file.sync().map_err(&wrong)
}

/// The same for a file that may be there: what is under that name is replaced as a whole, and a crash
/// leaves the one or the other.
pub fn write(dir: &Dir, name: &OsStr, content: &[u8]) -> Result<(), HostError> {
    let temporary = temporary(name);
    // One that a crash has left is in the way, and nobody else writes here.
    match dir.unlink(&temporary) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(errno) => return Err(failed(Verb::Write, &dir.path().join(&temporary))(errno)),
    }
    create(dir, &temporary, content)?;
    dir.replace(&temporary, name)
}

/// The name under which a file is written before it gets its own. A kill can leave it.
#[must_use]
pub fn temporary(name: &OsStr) -> OsString {
    let mut temporary = name.to_owned();
    temporary.push(".new");
    temporary
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Kernel;
    use rustix::fs::{CWD, Mode, mkfifoat};
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn what_is_written_is_read_back_and_belongs_to_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let dir = Dir::open_at(&Kernel, folder.path()).unwrap();
        let name = OsStr::new("record.json");
        assert_eq!(read(&dir, name).unwrap(), None);
        std::fs::write(folder.path().join("record.json.new"), "left by a crash").unwrap();
        for content in ["first", "and second"] {
            write(&dir, name, content.as_bytes()).unwrap();
            assert_eq!(read(&dir, name).unwrap().unwrap(), content.as_bytes());
        }
        let mode = std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(dir.names(10).unwrap(), [name]);
    }

    #[test]
    fn only_a_small_ordinary_file_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        symlink("/etc/passwd", at("link")).unwrap();
        mkfifoat(CWD, at("pipe"), Mode::from_raw_mode(0o600)).unwrap();
        std::fs::create_dir(at("folder")).unwrap();
        std::fs::write(at("large"), vec![b'x'; 65 * 1024]).unwrap();
        let dir = Dir::open_at(&Kernel, folder.path()).unwrap();
        for name in ["link", "pipe", "folder", "large"] {
            assert!(read(&dir, OsStr::new(name)).is_err(), "{name}");
        }
    }
}
