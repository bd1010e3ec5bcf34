//! Reads and writes small files. A crash leaves the old or the new content.
//!
//! The module does not interpret the content. It rejects large files and everything that is not a
//! regular file.

use super::calls::{Kind, OpenMode};
use super::dirs::{Dir, failed, if_exists};
use super::{HostError, Operation};
use rustix::io::{Errno, retry_on_intr};
use std::ffi::{OsStr, OsString};

/// The largest file that is read. All records of fastrak are smaller.
const MAX_FILE_SIZE: usize = 64 * 1024;

/// The buffer size of a read: one read is enough for a record of fastrak.
const READ_SIZE: usize = 1024;

/// Returns the content of the file `name`, or `None` if it does not exist.
pub fn read(dir: &Dir, name: impl AsRef<OsStr>) -> Result<Option<Vec<u8>>, HostError> {
    let wrong = failed(Operation::Read, &dir.path().join(name.as_ref()));
    // A FIFO in place of the file must not block the agent until a tenant writes to it.
    let opened = dir.handle().open(name.as_ref(), OpenMode::Read);
    let Some(file) = if_exists(opened).map_err(&wrong)? else { return Ok(None) };
    if file.kind().map_err(&wrong)? != Kind::File {
        return Err(wrong(Errno::INVAL));
    }
    let (mut bytes, mut piece) = (Vec::new(), [0; READ_SIZE]);
    loop {
        let length = retry_on_intr(|| file.read(&mut piece)).map_err(&wrong)?;
        bytes.extend_from_slice(piece.get(..length).unwrap_or_default());
        match length {
            0 => return Ok(Some(bytes)),
            _ if bytes.len() > MAX_FILE_SIZE => return Err(wrong(Errno::FBIG)),
            _ => {}
        }
    }
}

/// Creates the file `name`, which must not exist, and flushes its content to the disk. The caller
/// syncs the directory. A crash can leave a partial file.
pub fn create(dir: &Dir, name: impl AsRef<OsStr>, content: &[u8]) -> Result<(), HostError> {
    let wrong = failed(Operation::Write, &dir.path().join(name.as_ref()));
    let file = dir.handle().open(name.as_ref(), OpenMode::New).map_err(&wrong)?;
    let mut rest = content;
    while !rest.is_empty() {
        let length = retry_on_intr(|| file.write(rest)).map_err(&wrong)?;
        // A kernel that accepts no bytes without an error must not cause an endless loop.
        rest = rest.get(length.max(1)..).filter(|_| length > 0).ok_or_else(|| wrong(Errno::IO))?;
    }
    file.sync().map_err(&wrong)
}

/// Writes the file `name` and replaces an existing one atomically.
pub fn write(dir: &Dir, name: impl AsRef<OsStr>, content: &[u8]) -> Result<(), HostError> {
    let temporary = temporary(&name);
    // An earlier process may have been killed while writing. Only the agent writes here.
    if_exists(dir.unlink(&temporary))
        .map_err(failed(Operation::Write, &dir.path().join(&temporary)))?;
    create(dir, &temporary, content)?;
    dir.replace(&temporary, name.as_ref())
}

/// Returns the name of the temporary file for `name`. A killed process can leave it behind.
#[must_use]
pub fn temporary(name: impl AsRef<OsStr>) -> OsString {
    let mut temporary = name.as_ref().to_owned();
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
    fn a_written_file_is_read_back_and_is_private_to_its_owner() {
        let directory = tempfile::tempdir().unwrap();
        let dir = Dir::open_at(&Kernel, directory.path()).unwrap();
        let name = OsStr::new("record.json");
        assert_eq!(read(&dir, name).unwrap(), None);
        std::fs::write(directory.path().join("record.json.new"), "left by a crash").unwrap();
        for content in ["first", "and second"] {
            write(&dir, name, content.as_bytes()).unwrap();
            assert_eq!(read(&dir, name).unwrap().unwrap(), content.as_bytes());
        }
        let mode = std::fs::metadata(directory.path().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(dir.names(10).unwrap(), [name]);
    }

    #[test]
    fn only_small_regular_files_are_read() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        symlink("/etc/passwd", at("link")).unwrap();
        mkfifoat(CWD, at("pipe"), Mode::from_raw_mode(0o600)).unwrap();
        std::fs::create_dir(at("folder")).unwrap();
        std::fs::write(at("large"), vec![b'x'; 65 * 1024]).unwrap();
        let dir = Dir::open_at(&Kernel, directory.path()).unwrap();
        for name in ["link", "pipe", "folder", "large"] {
            assert!(read(&dir, OsStr::new(name)).is_err(), "{name}");
        }
    }
}
