//! The one door to standard output and standard error: answers go to the one, words to the other.
//! It does not know what they say.

use super::CommandError;
use std::io::{self, Write as _};

/// An answer, for programs.
pub(super) fn answer(text: &str) -> Result<(), CommandError> {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|source| CommandError::Write { source })
}

/// A line for people.
pub(super) fn say(line: &str) {
    // A closed standard error is no failure.
    drop(writeln!(io::stderr().lock(), "{line}"));
}
