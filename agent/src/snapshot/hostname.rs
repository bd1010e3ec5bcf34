//! The hostname label that was last verified to be unique to this node.

use parking_lot::Mutex;
use std::time::{Duration, Instant};

/// How long a verified label is not verified again. A node that gets the same label later is named
/// by all earlier volumes too, so a request for every claim would not prevent the mistake.
const FRESH: Duration = Duration::from_secs(5 * 60);

/// The label that was verified last, and the time.
#[derive(Debug, Default)]
pub struct OwnHostname(Mutex<Option<(String, Instant)>>);

impl OwnHostname {
    pub(crate) fn is_known(&self, hostname: &str, now: Instant) -> bool {
        let is_fresh = |at: &Instant| now.saturating_duration_since(*at) < FRESH;
        self.0.lock().as_ref().is_some_and(|(known, at)| known == hostname && is_fresh(at))
    }

    pub(crate) fn remember(&self, hostname: &str, now: Instant) {
        *self.0.lock() = Some((hostname.to_owned(), now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_verified_again_when_it_changes_and_after_some_minutes() {
        let (own, start) = (OwnHostname::default(), Instant::now());
        assert!(!own.is_known("a", start));
        own.remember("a", start);
        assert!(own.is_known("a", start) && !own.is_known("b", start));
        assert!(own.is_known("a", start + FRESH / 2) && !own.is_known("a", start + FRESH));
    }
}
