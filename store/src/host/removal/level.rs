//! A directory that is being emptied, and directories moved up to it.

use crate::host::Dir;
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};

/// How often a directory is read again if it is not empty at its end and nothing in it is blocked:
/// another process still adds or moves entries.
const PASSES: u32 = 8;

/// The number of moves after which the rest is left for later. A tree that does not grow needs
/// fewer.
const MAX_MOVES: u64 = 1_000_000;

/// The name prefix of directories that were moved up.
const MOVED: &str = ".moved-";

/// A directory that is being emptied.
#[derive(Debug)]
pub(super) struct Level {
    /// The directory.
    pub(super) dir: Dir,
    /// Its name in the parent directory.
    pub(super) name: OsString,
    /// Whether an entry in it could not be removed.
    pub(super) blocked: bool,
    /// Whether another process has replaced an entry in it.
    pub(super) changed: bool,
    // Whether a directory was moved into it, possibly behind the position of the listing.
    moved_in: bool,
    // Listed and not handled yet.
    names: std::vec::IntoIter<OsString>,
    passes: u32,
}

/// The directories that were moved up.
#[derive(Debug, Default)]
pub(super) struct Moves {
    count: u64,
    // The number in the last name.
    number: u64,
}

impl Level {
    /// Creates a level that has not been listed.
    pub(super) fn new(dir: Dir, name: &OsStr) -> Self {
        Self {
            dir,
            name: name.to_owned(),
            blocked: false,
            changed: false,
            moved_in: false,
            names: Vec::new().into_iter(),
            passes: 0,
        }
    }

    /// Returns the next name, or `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<OsString>, Errno> {
        loop {
            if let Some(name) = self.names.next() {
                return Ok(Some(name));
            }
            match self.dir.more_names()? {
                Some(names) => self.names = names.into_iter(),
                None => return Ok(None),
            }
        }
    }

    /// Returns the names that are listed and not handled yet.
    #[cfg(test)]
    pub(super) fn names(&self) -> &[OsString] {
        self.names.as_slice()
    }

    /// Returns whether the directory can contain an entry that is not blocked.
    pub(super) fn may_be_read_again(&self) -> bool {
        let is_alive = self.changed || !self.blocked;
        self.moved_in || (is_alive && self.passes < PASSES)
    }

    /// Restarts the listing.
    pub(super) fn read_again(&mut self) -> Result<(), Errno> {
        self.dir.rewind()?;
        self.passes += u32::from(!self.moved_in);
        (self.blocked, self.changed, self.moved_in) = (false, false, false);
        Ok(())
    }
}

impl Moves {
    /// Moves `name` in `from` to the first of `levels` that accepts it.
    pub(super) fn move_to_first(
        &mut self,
        levels: &mut [Level],
        from: &Dir,
        name: &OsStr,
    ) -> Result<(), Errno> {
        for level in levels {
            match self.move_to(&level.dir, from, name) {
                Err(Errno::XDEV) => {}
                other => {
                    level.moved_in |= other.is_ok();
                    return other;
                }
            }
        }
        Err(Errno::XDEV)
    }

    /// Returns whether the number of moves is below [`MAX_MOVES`].
    pub(super) fn are_few(&self) -> bool {
        self.count < MAX_MOVES
    }

    fn move_to(&mut self, to: &Dir, from: &Dir, name: &OsStr) -> Result<(), Errno> {
        self.count += 1;
        loop {
            let new = OsString::from(format!("{MOVED}{}", self.number));
            self.number = self.number.saturating_add(1);
            match from.rename(name, to, &new) {
                // An earlier removal may have left up to a million names. Doubling skips them
                // quickly.
                Err(error) if error.already_exists() && self.number < u64::MAX => {
                    self.number = self.number.saturating_mul(2);
                }
                other => return other.map_err(|error| error.errno),
            }
        }
    }
}
