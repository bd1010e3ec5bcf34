//! The period in which a certificate counts, and what that means at one moment.
//! It never asks what time it is.

use time::{Duration, OffsetDateTime};

use crate::CertError;

/// How far a new certificate's beginning lies in the past. Clocks in a cluster
/// differ; a certificate that begins "now" is refused by every verifier whose
/// clock is behind ours.
pub const BACKDATE: Duration = Duration::hours(1);

/// From when until when a certificate counts; both ends belong to it (RFC 5280, 4.1.2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// The first moment.
    pub not_before: OffsetDateTime,
    /// The last moment.
    pub not_after: OffsetDateTime,
}

/// What a period means at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Before its beginning.
    NotYet,
    /// In use, nothing to do.
    Fresh,
    /// In use, but two thirds are over: make its successor.
    Due,
    /// Past its end.
    Expired,
}

impl Validity {
    /// The period of a certificate made at `now` that is to last `lifetime`,
    /// back-dated by [`BACKDATE`]. Whole seconds, since X.509 has nothing finer.
    #[must_use]
    pub fn starting(now: OffsetDateTime, lifetime: Duration) -> Self {
        let now = whole_seconds(now);
        Self {
            not_before: now.saturating_sub(BACKDATE),
            not_after: whole_seconds(now.saturating_add(lifetime)),
        }
    }

    /// What this period means at `now`.
    #[must_use]
    pub fn verdict(&self, now: OffsetDateTime) -> Verdict {
        if now < self.not_before {
            Verdict::NotYet
        } else if now > self.not_after {
            Verdict::Expired
        } else if self.is_two_thirds_over(now) {
            Verdict::Due
        } else {
            Verdict::Fresh
        }
    }

    /// Whether a certificate with this period is accepted at `now`.
    #[must_use]
    pub fn contains(&self, now: OffsetDateTime) -> bool {
        matches!(self.verdict(now), Verdict::Fresh | Verdict::Due)
    }

    /// The moment at which a certificate of [`Validity::starting`] was made. The back-dating is no
    /// part of its life: counted in, a certificate of ten seconds would be due before it is made.
    #[must_use]
    pub fn made_at(&self) -> OffsetDateTime {
        self.not_before.saturating_add(BACKDATE).min(self.not_after)
    }

    /// The moment at which [`Verdict::Fresh`] turns into [`Verdict::Due`].
    #[must_use]
    pub fn due_at(&self) -> OffsetDateTime {
        let made = self.made_at();
        made.saturating_add((self.not_after - made) / 3 * 2)
    }

    /// The part of this period that lies within `outer`, or none.
    pub(crate) fn within(&self, outer: &Self) -> Option<Self> {
        let not_before = self.not_before.max(outer.not_before);
        let not_after = self.not_after.min(outer.not_after);
        (not_before <= not_after).then_some(Self { not_before, not_after })
    }

    /// The same period in UTC and whole seconds, if X.509 can express it. The
    /// encoder below us panics on years that it has no notation for.
    pub(crate) fn encodable(&self) -> Result<Self, CertError> {
        let not_before = whole_seconds(self.not_before);
        let not_after = whole_seconds(self.not_after);
        let years = 1950..=9999;
        let sound = not_before <= not_after
            && years.contains(&not_before.year())
            && years.contains(&not_after.year());
        if sound { Ok(Self { not_before, not_after }) } else { Err(CertError::BadValidity) }
    }

    fn is_two_thirds_over(&self, now: OffsetDateTime) -> bool {
        now >= self.due_at()
    }
}

fn whole_seconds(at: OffsetDateTime) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(at.unix_timestamp()).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noon() -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap()
    }

    #[test]
    fn a_new_period_is_backdated_an_hour_and_ends_after_its_lifetime() {
        let validity = Validity::starting(noon(), Duration::days(30));
        assert_eq!(validity.not_before, noon() - Duration::hours(1));
        assert_eq!(validity.not_after, noon() + Duration::days(30));
    }

    #[test]
    fn a_new_period_has_no_fractions_of_a_second() {
        let validity =
            Validity::starting(noon() + Duration::milliseconds(999), Duration::new(60, 500));
        assert_eq!(validity.not_before, noon() - Duration::hours(1));
        assert_eq!(validity.not_after, noon() + Duration::seconds(60));
    }

    #[test]
    fn each_boundary_falls_on_its_side() {
        let validity = Validity::starting(noon(), Duration::seconds(300));
        let tick = Duration::nanoseconds(1);
        let table = [
            (noon() - BACKDATE - tick, Verdict::NotYet),
            (noon() - BACKDATE, Verdict::Fresh),
            (noon() + Duration::seconds(200) - tick, Verdict::Fresh),
            (noon() + Duration::seconds(200), Verdict::Due),
            (noon() + Duration::seconds(300), Verdict::Due),
            (noon() + Duration::seconds(300) + tick, Verdict::Expired),
        ];
        for (now, wanted) in table {
            assert_eq!(validity.verdict(now), wanted, "at {now}");
        }
    }

    #[test]
    fn two_thirds_are_counted_from_when_it_was_made_however_short_it_is() {
        for seconds in [3, 9, 60, 3600, 86_400] {
            let validity = Validity::starting(noon(), Duration::seconds(seconds));
            assert_eq!(validity.made_at(), noon(), "{seconds}");
            assert_eq!(validity.due_at(), noon() + Duration::seconds(seconds / 3 * 2), "{seconds}");
        }
        let foreign = Validity { not_before: noon(), not_after: noon() + Duration::MINUTE };
        assert_eq!(foreign.due_at(), foreign.not_after, "not before it ends, and no panic");
    }

    #[test]
    fn an_absurd_lifetime_saturates_instead_of_panicking() {
        let validity = Validity::starting(noon(), Duration::MAX);
        assert_eq!(validity.not_after.year(), 9999);
        let backwards = Validity::starting(noon(), Duration::MIN);
        assert!(matches!(backwards.encodable(), Err(CertError::BadValidity)));
    }

    #[test]
    fn a_period_that_ends_before_it_begins_is_refused() {
        let validity = Validity { not_before: noon(), not_after: noon() - Duration::SECOND };
        assert!(matches!(validity.encodable(), Err(CertError::BadValidity)));
        assert_eq!(validity.verdict(noon()), Verdict::Expired);
    }

    #[test]
    fn clamping_keeps_the_common_part_or_nothing() {
        let inner = Validity { not_before: noon(), not_after: noon() + Duration::DAY };
        let outer =
            Validity { not_before: noon() - Duration::DAY, not_after: noon() + Duration::HOUR };
        let common = inner.within(&outer).unwrap();
        assert_eq!(common, Validity { not_before: noon(), not_after: noon() + Duration::HOUR });
        let gone =
            Validity { not_before: noon() - Duration::DAY, not_after: noon() - Duration::HOUR };
        assert_eq!(inner.within(&gone), None);
    }
}
