//! The end of a process: its last error is logged once, left where the kubelet
//! picks it up for `kubectl describe pod`, and turned into the exit code.

use std::error::Error;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use crate::chain::Chain;

/// Where the kubelet looks, unless the pod says otherwise.
const MESSAGE_FILE: &str = "/dev/termination-log";

/// The kubelet keeps no more of it than this many bytes.
const LONGEST: usize = 4096;

/// Ends a process with `result`: what `main` returns.
pub fn end<E>(result: Result<(), E>) -> ExitCode
where
    E: Into<Box<dyn Error + Send + Sync>>,
{
    let Err(error) = result else {
        return ExitCode::SUCCESS;
    };
    let message = Chain(error.into().as_ref()).to_string();
    say(&message);
    if let Err(error) = leave(Path::new(MESSAGE_FILE), &message) {
        tracing::debug!(error = %Chain(&error), "no termination message left");
    }
    ExitCode::FAILURE
}

fn say(message: &str) {
    if tracing::dispatcher::has_been_set() {
        tracing::error!(error = message, "ending");
        return;
    }
    // Without a log (a wrong flag, a wrong filter) stderr is all there is, and
    // when even that is closed there is nobody left to tell.
    drop(writeln!(io::stderr().lock(), "error: {message}"));
}

/// Writes `message` into `path` if it exists; outside a pod it does not.
fn leave(path: &Path, message: &str) -> io::Result<()> {
    match OpenOptions::new().write(true).truncate(true).open(path) {
        Ok(mut file) => file.write_all(shortened(message).as_bytes()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn shortened(message: &str) -> &str {
    &message[..message.floor_char_boundary(LONGEST)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_message_replaces_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("termination-log");
        fs::write(&file, "an older and much longer message").unwrap();
        leave(&file, "pool is not mounted").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "pool is not mounted");
    }

    #[test]
    fn without_the_file_nothing_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("termination-log");
        leave(&file, "pool is not mounted").unwrap();
        assert!(!file.exists());
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        assert_eq!(shortened("short"), "short");
        let long = format!("{}é", "a".repeat(LONGEST - 1));
        assert_eq!(shortened(&long), "a".repeat(LONGEST - 1));
    }

    #[test]
    fn the_exit_code_tells_success_from_failure() {
        let code = |result: Result<(), io::Error>| format!("{:?}", end(result));
        assert_eq!(code(Ok(())), format!("{:?}", ExitCode::SUCCESS));
        assert_eq!(code(Err(io::Error::other("no"))), format!("{:?}", ExitCode::FAILURE));
    }
}
