//! The validity of a certificate and its status at a given time.

use time::{Duration, OffsetDateTime};

use crate::CertError;

/// The time by which a new certificate is backdated. Without it, a verifier whose clock is behind
/// rejects the certificate.
pub const BACKDATE: Duration = Duration::hours(1);

/// The validity of a certificate. Both bounds are inclusive (RFC 5280, 4.1.2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// The first moment at which the certificate is valid.
    pub not_before: OffsetDateTime,
    /// The last moment at which the certificate is valid.
    pub not_after: OffsetDateTime,
}

/// The status of a certificate at a given time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Not valid yet.
    NotYet,
    /// Valid, and renewal is not due.
    Fresh,
    /// Valid, but two thirds of the lifetime have passed: renewal is due.
    Due,
    /// No longer valid.
    Expired,
}

impl Validity {
    /// Returns the validity of a certificate that is issued at `now` for `lifetime`, backdated by
    /// [`BACKDATE`]. Rounds down to whole seconds, the resolution of X.509.
    #[must_use]
    pub fn starting(now: OffsetDateTime, lifetime: Duration) -> Self {
        let now = whole_seconds(now);
        Self {
            not_before: now.saturating_sub(BACKDATE),
            not_after: whole_seconds(now.saturating_add(lifetime)),
        }
    }

    /// Returns the status at `now`.
    #[must_use]
    pub fn verdict(&self, now: OffsetDateTime) -> Verdict {
        if now < self.not_before {
            Verdict::NotYet
        } else if now > self.not_after {
            Verdict::Expired
        } else if now >= self.due_at() {
            Verdict::Due
        } else {
            Verdict::Fresh
        }
    }

    /// Returns whether a certificate with this validity is accepted at `now`.
    #[must_use]
    pub fn contains(&self, now: OffsetDateTime) -> bool {
        matches!(self.verdict(now), Verdict::Fresh | Verdict::Due)
    }

    /// Returns whether the certificate has expired at `now`.
    #[must_use]
    pub fn is_expired(&self, now: OffsetDateTime) -> bool {
        self.verdict(now) == Verdict::Expired
    }

    /// Returns when a certificate of [`Validity::starting`] was issued. [`BACKDATE`] is not part of
    /// its lifetime: otherwise renewal of a certificate of ten seconds would be due before it is
    /// issued.
    #[must_use]
    pub fn made_at(&self) -> OffsetDateTime {
        self.not_before.saturating_add(BACKDATE).min(self.not_after)
    }

    /// Returns when the status changes from [`Verdict::Fresh`] to [`Verdict::Due`].
    #[must_use]
    pub fn due_at(&self) -> OffsetDateTime {
        let made = self.made_at();
        made.saturating_add((self.not_after - made) / 3 * 2)
    }

    /// Returns the overlap of two validities, if there is one.
    pub(crate) fn within(&self, outer: &Self) -> Option<Self> {
        let not_before = self.not_before.max(outer.not_before);
        let not_after = self.not_after.min(outer.not_after);
        (not_before <= not_after).then_some(Self { not_before, not_after })
    }

    /// Returns this validity in UTC and whole seconds. Fails if X.509 cannot encode it, because
    /// rcgen panics on such years.
    pub(crate) fn encodable(&self) -> Result<Self, CertError> {
        let not_before = whole_seconds(self.not_before);
        let not_after = whole_seconds(self.not_after);
        let years = 1950..=9999;
        let sound = not_before <= not_after
            && years.contains(&not_before.year())
            && years.contains(&not_after.year());
        if sound { Ok(Self { not_before, not_after }) } else { Err(CertError::BadValidity) }
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
    fn a_new_validity_is_backdated_an_hour_and_ends_after_its_lifetime() {
        let validity = Validity::starting(noon(), Duration::days(30));
        assert_eq!(validity.not_before, noon() - Duration::hours(1));
        assert_eq!(validity.not_after, noon() + Duration::days(30));
    }

    #[test]
    fn a_new_validity_has_no_fractions_of_a_second() {
        let validity =
            Validity::starting(noon() + Duration::milliseconds(999), Duration::new(60, 500));
        assert_eq!(validity.not_before, noon() - Duration::hours(1));
        assert_eq!(validity.not_after, noon() + Duration::seconds(60));
    }

    #[test]
    fn the_status_changes_exactly_at_each_boundary() {
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
    fn renewal_is_due_two_thirds_after_issue_even_for_short_lifetimes() {
        for seconds in [3, 9, 60, 3600, 86_400] {
            let validity = Validity::starting(noon(), Duration::seconds(seconds));
            assert_eq!(validity.made_at(), noon(), "{seconds}");
            assert_eq!(validity.due_at(), noon() + Duration::seconds(seconds / 3 * 2), "{seconds}");
        }
        let foreign = Validity { not_before: noon(), not_after: noon() + Duration::MINUTE };
        assert_eq!(foreign.due_at(), foreign.not_after);
    }

    #[test]
    fn a_lifetime_out_of_range_saturates() {
        let validity = Validity::starting(noon(), Duration::MAX);
        assert_eq!(validity.not_after.year(), 9999);
        let backwards = Validity::starting(noon(), Duration::MIN);
        assert!(matches!(backwards.encodable(), Err(CertError::BadValidity)));
    }

    #[test]
    fn a_validity_that_ends_before_it_begins_is_refused() {
        let validity = Validity { not_before: noon(), not_after: noon() - Duration::SECOND };
        assert!(matches!(validity.encodable(), Err(CertError::BadValidity)));
        assert_eq!(validity.verdict(noon()), Verdict::Expired);
    }

    #[test]
    fn clamping_returns_the_overlap_or_nothing() {
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
