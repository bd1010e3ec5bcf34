//! Standard output for results, and standard error for messages. No other module of the commands
//! writes to them.

use super::CommandError;
use std::io::{self, Write as _};

/// Prints a result for programs.
pub(super) fn result(text: &str) -> Result<(), CommandError> {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    written.map_err(|source| CommandError::Write { source })
}

/// Prints a message for people.
pub(super) fn message(line: &str) {
    // A closed standard error is not an error.
    drop(writeln!(io::stderr().lock(), "{line}"));
}
