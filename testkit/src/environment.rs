//! The environment variables of tests, and the rule for missing parts: a test that needs one is
//! skipped on a developer's machine and fails in CI. Any other failure always fails the test.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

/// Set to `true` in CI: nothing may be skipped.
const CI: &str = "CI";
/// Set to any value: logs and state of stopped clusters are kept.
const KEEP: &str = "FASTRAK_KEEP";

static FAILED: AtomicBool = AtomicBool::new(false);

/// The prefix of a cluster's names on the machine.
pub(crate) const PREFIX: &str = "fastrak-testbed-";

/// The seed with which a test of random sequences repeats a failure.
const SEED: &str = "FASTRAK_SEED";

/// The error that this machine lacks a part of the test bed, such as a program or a right. It is
/// the only error for which [`or_skip!`](crate::or_skip) skips a test.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Missing(String);

impl Missing {
    /// Creates the error. The text says what is missing and what to do.
    pub fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

/// The reason why a test was skipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skip {
    why: String,
}

impl Skip {
    /// Returns the reason.
    #[must_use]
    pub fn why(&self) -> &str {
        &self.why
    }
}

/// Returns whether a missing part is a failure.
#[must_use]
pub fn is_ci() -> bool {
    read(CI).is_some_and(|value| value == "true" || value == "1")
}

/// Returns whether the files of stopped clusters are kept.
#[must_use]
pub fn keeps_state() -> bool {
    read(KEEP).is_some()
}

/// Returns the seed to repeat, if there is one.
#[must_use]
pub fn seed() -> Option<u64> {
    read(SEED)?.parse().ok()
}

/// Records that a test of this process failed, so that the logs of its clusters are kept. A test
/// that returns an error is not visible otherwise.
pub fn note_failure() {
    FAILED.store(true, Ordering::Relaxed);
}

/// Returns whether a test of this process failed.
#[must_use]
pub(crate) fn has_failed() -> bool {
    FAILED.load(Ordering::Relaxed) || std::thread::panicking()
}

/// Prints that a test is skipped because a part is missing.
///
/// # Panics
/// With `CI=true`, because every test must run there.
#[must_use]
pub fn missing(why: impl Into<String>) -> Skip {
    let why = why.into();
    assert!(!is_ci(), "cannot be skipped with {CI}=true: {why}");
    say(&format!("SKIPPED: {why}"));
    Skip { why }
}

/// Skips a test whose preparation failed because a part is missing; see [`missing`].
///
/// # Panics
/// If the cause of the error is not [`Missing`]: a part that is present and fails is a failure on
/// every machine.
#[must_use]
#[expect(clippy::panic, reason = "it fails the test that calls it")]
pub fn skip_or_fail(error: impl Into<anyhow::Error>) -> Skip {
    let error = error.into();
    match error.chain().any(|cause| cause.is::<Missing>()) {
        true => missing(format!("{error:#}")),
        false => panic!("{error:#}"),
    }
}

/// Returns the directory of the states of clusters.
#[must_use]
pub(crate) fn state_root() -> PathBuf {
    std::env::temp_dir()
}

/// Writes a line to the terminal of the test run.
#[expect(clippy::print_stderr, reason = "for the person who runs the tests, not for a log")]
pub(crate) fn say(line: &str) {
    eprintln!("{line}");
}

#[expect(clippy::disallowed_methods, reason = "this file is the door to the environment of tests")]
fn read(key: &str) -> Option<String> {
    std::env::var(key).ok().filter(|value| !value.is_empty())
}

/// Returns the value of a `Result`. If the error is [`Missing`](crate::environment::Missing),
/// prints the reason and returns from the test, or fails with `CI=true`. Any other error fails the
/// test. The second argument is the value to return.
#[macro_export]
macro_rules! or_skip {
    ($value:expr) => {
        $crate::or_skip!($value, ())
    };
    ($value:expr, $returned:expr) => {
        match $value {
            Ok(value) => value,
            Err(error) => {
                drop($crate::environment::skip_or_fail(error));
                return $returned;
            }
        }
    };
}
