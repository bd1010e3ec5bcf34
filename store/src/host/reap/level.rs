//! A folder that is being emptied, and folders moved up to it from further down.
//!
//! It removes nothing.

use crate::host::Dir;
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};

/// A folder that was read to its end and is not empty, although nothing in it is stuck, is read again
/// so often: someone still puts things in, or moves them about.
const PASSES: u32 = 8;

/// Moves after which the rest is left for later: more than a tree needs that does not grow meanwhile.
const MOST_MOVES: u64 = 1_000_000;

/// Names that nobody else uses, for folders that are moved up.
const MOVED: &str = ".moved-";

/// A folder that is being emptied.
#[derive(Debug)]
pub(super) struct Level {
    /// The folder.
    pub(super) dir: Dir,
    /// Its name in the folder above.
    pub(super) name: OsString,
    /// Whether something in it could not be removed.
    pub(super) stuck: bool,
    /// Whether something in it was exchanged by someone else meanwhile.
    pub(super) changed: bool,
    // Whether something was moved up to it, maybe to where it has been read already.
    moved_in: bool,
    // Read, and not yet dealt with.
    names: std::vec::IntoIter<OsString>,
    passes: u32,
}

/// Where folders were moved to.
#[derive(Debug, Default)]
pub(super) struct Moves {
    count: u64,
    // Of the last name.
    number: u64,
}

impl Level {
    /// One that nothing has been read of.
    pub(super) fn new(dir: Dir, name: &OsStr) -> Self {
        Self {
            dir,
            name: name.to_owned(),
            stuck: false,
            changed: false,
            moved_in: false,
            names: Vec::new().into_iter(),
            passes: 0,
        }
    }

    /// The next name in it; `None` at its end.
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

    /// What of it is read and not yet dealt with.
    #[cfg(test)]
    pub(super) fn names(&self) -> &[OsString] {
        self.names.as_slice()
    }

    /// Whether there can be something in it by now that is not stuck.
    pub(super) fn may_be_read_again(&self) -> bool {
        let is_alive = self.changed || !self.stuck;
        self.moved_in || (is_alive && self.passes < PASSES)
    }

    /// Begins with it anew.
    pub(super) fn read_again(&mut self) -> Result<(), Errno> {
        self.dir.rewind()?;
        self.passes += u32::from(!self.moved_in);
        (self.stuck, self.changed, self.moved_in) = (false, false, false);
        Ok(())
    }
}

impl Moves {
    /// Moves `name` in `from` to the first of `levels` that takes it.
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

    /// Whether there have been no more than the removal of any tree needs.
    pub(super) fn are_few(&self) -> bool {
        self.count < MOST_MOVES
    }

    fn move_to(&mut self, to: &Dir, from: &Dir, name: &OsStr) -> Result<(), Errno> {
        self.count += 1;
        loop {
            let new = OsString::from(format!("{MOVED}{}", self.number));
            self.number = self.number.saturating_add(1);
            match from.rename(name, to, &new) {
                // An earlier removal has left it, and maybe a million: it is not counted through them.
                Err(error) if error.is_taken() && self.number < u64::MAX => {
                    self.number = self.number.saturating_mul(2);
                }
                other => return other.map_err(|error| error.errno),
            }
        }
    }
}
