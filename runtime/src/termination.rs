//! The exit of a process: logs its error, writes it to the termination message that `kubectl
//! describe pod` shows, and returns the exit code.

use std::error::Error;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use crate::chain::Chain;

/// The default `terminationMessagePath` of a container.
const MESSAGE_FILE: &str = "/dev/termination-log";

/// The length, in bytes, to which the kubelet truncates the message.
const MAX_BYTES: usize = 4096;

/// Reports the `result` of a process. Returns its exit code.
pub fn end<E>(result: Result<(), E>) -> ExitCode
where
    E: Into<Box<dyn Error + Send + Sync>>,
{
    let Err(error) = result else {
        return ExitCode::SUCCESS;
    };
    let message = Chain(error.into().as_ref()).to_string();
    log_error(&message);
    if let Err(error) = write_message(Path::new(MESSAGE_FILE), &message) {
        tracing::debug!(error = %Chain(&error), "could not write the termination message");
    }
    ExitCode::FAILURE
}

fn log_error(message: &str) {
    if tracing::dispatcher::has_been_set() {
        tracing::error!(error = message, "exiting");
        return;
    }
    // There is no log if a flag or the log filter is invalid.
    drop(writeln!(io::stderr().lock(), "error: {message}"));
}

/// Writes `message` to `path` if the file exists. It does not exist outside a pod.
fn write_message(path: &Path, message: &str) -> io::Result<()> {
    match OpenOptions::new().write(true).truncate(true).open(path) {
        Ok(mut file) => file.write_all(shortened(message).as_bytes()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn shortened(message: &str) -> &str {
    &message[..message.floor_char_boundary(MAX_BYTES)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_message_replaces_the_previous_one() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("termination-log");
        fs::write(&file, "an older and much longer message").unwrap();
        write_message(&file, "pool is not mounted").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "pool is not mounted");
    }

    #[test]
    fn a_missing_file_is_not_created() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("termination-log");
        write_message(&file, "pool is not mounted").unwrap();
        assert!(!file.exists());
    }

    #[test]
    fn a_long_message_is_truncated_between_characters() {
        assert_eq!(shortened("short"), "short");
        let long = format!("{}é", "a".repeat(MAX_BYTES - 1));
        assert_eq!(shortened(&long), "a".repeat(MAX_BYTES - 1));
    }

    #[test]
    fn the_exit_code_is_zero_only_on_success() {
        let code = |result: Result<(), io::Error>| format!("{:?}", end(result));
        assert_eq!(code(Ok(())), format!("{:?}", ExitCode::SUCCESS));
        assert_eq!(code(Err(io::Error::other("no"))), format!("{:?}", ExitCode::FAILURE));
    }
}
