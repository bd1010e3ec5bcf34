//! The one reader of environment variables in tests, and the rule for what a machine lacks: a
//! laptop skips, loudly; a build that gates a change fails.
//!
//! It finds nothing by itself: `assets.rs` knows the binaries, `nodes/supported.rs` the rest.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

/// Set to `true` by every CI system: nothing may be skipped.
const CI: &str = "CI";
/// Set to anything: logs and state of finished clusters are kept.
const KEEP: &str = "FASTRAK_KEEP";

static FAILED: AtomicBool = AtomicBool::new(false);

/// How the names begin of a cluster's folder and of all else that is the cluster's on the machine.
pub(crate) const PREFIX: &str = "fastrak-testbed-";

/// The seed with which a test of random sequences is to run again the one that failed.
const SEED: &str = "FASTRAK_SEED";

/// Why a test cannot run here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skip {
    why: String,
}

impl Skip {
    /// The reason.
    #[must_use]
    pub fn why(&self) -> &str {
        &self.why
    }
}

/// Whether a part that is missing is a failure.
#[must_use]
pub fn is_ci() -> bool {
    read(CI).is_some_and(|value| value == "true" || value == "1")
}

/// Whether all that a cluster leaves in files is to be kept.
#[must_use]
pub fn keeps_state() -> bool {
    read(KEEP).is_some()
}

/// The one seed that is to be tried, where a failure is to be seen again.
#[must_use]
pub fn seed() -> Option<u64> {
    read(SEED)?.parse().ok()
}

/// Remembers that a test of this process failed, so that the logs of its clusters are kept: a test
/// that fails by returning an error ends as quietly as one that passed.
pub fn note_failure() {
    FAILED.store(true, Ordering::Relaxed);
}

/// Whether a test of this process is known to have failed.
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

/// The folder in which clusters keep their state while they live.
#[must_use]
pub(crate) fn state_root() -> PathBuf {
    std::env::temp_dir()
}

/// Writes a line where whoever runs the tests sees it.
#[expect(clippy::print_stderr, reason = "for the person who runs the tests, not for a log")]
pub(crate) fn say(line: &str) {
    eprintln!("{line}");
}

#[expect(clippy::disallowed_methods, reason = "this file is the door to the environment of tests")]
fn read(key: &str) -> Option<String> {
    std::env::var(key).ok().filter(|value| !value.is_empty())
}

/// The value in a `Result`; when there is none, the reason is said loudly and the test returns
/// (or fails, with `CI=true`). A second argument is what it returns.
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
