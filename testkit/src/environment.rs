//! The environment variables of tests, and the rule for missing parts: tests are skipped on a
//! developer's machine and fail in CI.

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

/// Why a test cannot run here.
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

/// Says loudly that something is missing and cannot be tested. Fails when that is not allowed.
///
/// # Panics
/// With `CI=true`: there, a test that cannot run is a failed one.
#[must_use]
pub fn missing(why: impl Into<String>) -> Skip {
    let why = why.into();
    assert!(!is_ci(), "cannot be skipped with {CI}=true: {why}");
    say(&format!("SKIPPED: {why}"));
    Skip { why }
}

/// Returns the folder of the states of clusters.
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

/// Returns the value of a `Result`. On an error, prints the reason and returns from the test, or
/// fails with `CI=true`. The second argument is the value to return.
#[macro_export]
macro_rules! or_skip {
    ($value:expr) => {
        $crate::or_skip!($value, ())
    };
    ($value:expr, $returned:expr) => {
        match $value {
            Ok(value) => value,
            Err(why) => {
                drop($crate::environment::missing(format!("{why:#}")));
                return $returned;
            }
        }
    };
}
