//! Decides whether to report a repeated message again. Pure: `now` is passed in.

use std::time::{Duration, Instant};

/// The same message is reported again after this time, because the API server deletes events after
/// an hour.
pub(crate) const REPORT_INTERVAL: Duration = Duration::from_secs(30 * 60);

/// The last reported message about an object, and when it was reported.
#[derive(Debug)]
pub(crate) struct LastReport<M>(Option<(M, Instant)>);

impl<M: PartialEq> LastReport<M> {
    /// Returns whether to report `message`: it is new, or its last report is old.
    pub(crate) fn is_due(&mut self, message: M, now: Instant) -> bool {
        let is_recent = |at: Instant| now.saturating_duration_since(at) < REPORT_INTERVAL;
        if self.0.as_ref().is_some_and(|(last, at)| *last == message && is_recent(*at)) {
            return false;
        }
        self.0 = Some((message, now));
        true
    }
}

impl<M> Default for LastReport<M> {
    fn default() -> Self {
        Self(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_reported_again_when_it_changes_or_its_event_may_be_deleted() {
        let (mut last, start) = (LastReport::default(), Instant::now());
        let minute = |minutes: u64| start + Duration::from_secs(60 * minutes);
        for (text, minutes, due) in [
            ("no", 0, true),
            ("no", 29, false),
            ("not so", 29, true),
            ("no", 29, true),
            ("no", 59, true),
        ] {
            assert_eq!(last.is_due(text, minute(minutes)), due, "{text} after {minutes} minutes");
        }
    }
}
