//! What a candidate does about a Lease. Pure: `now` is passed in, and is a time of this process
//! alone. It never compares the times of two machines.

use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

/// What a Lease says, as far as it matters whether that has changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Who holds it; none when it was given back.
    pub holder: Option<String>,
    /// When its holder says to have renewed it. Looked at for a change and never as a time.
    pub renewed: Option<MicroTime>,
    /// How often it has changed hands.
    pub transitions: i32,
}

/// A record, and since when it has been seen to be so.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// The record.
    pub record: Record,
    /// Since when.
    pub since: Instant,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// There is no Lease: make it.
    Make,
    /// Nobody holds it any more: take it.
    Take,
    /// It is ours: renew it.
    Renew,
    /// It is another's: look again after this time.
    Wait(Duration),
}

impl Record {
    /// Reads a Lease.
    #[must_use]
    pub fn read(lease: &Lease) -> Self {
        let spec = lease.spec.as_ref();
        let holder = spec.and_then(|spec| spec.holder_identity.clone());
        Self {
            holder: holder.filter(|holder| !holder.is_empty()),
            renewed: spec.and_then(|spec| spec.renew_time.clone()),
            transitions: spec.and_then(|spec| spec.lease_transitions).unwrap_or_default(),
        }
    }
}

/// What has been seen, once this record is seen too.
#[must_use]
pub fn observe(seen: Option<Seen>, record: Record, now: Instant) -> Seen {
    match seen {
        Some(seen) if seen.record == record => seen,
        Some(_) | None => Seen { record, since: now },
    }
}

/// Decides. `lasts` is how long a Lease is its holder's after each renewal.
#[must_use]
pub fn plan(seen: Option<&Seen>, me: &str, lasts: Duration, now: Instant) -> Step {
    let Some(Seen { record, since }) = seen else { return Step::Make };
    match record.holder.as_deref() {
        None => Step::Take,
        Some(holder) if holder == me => Step::Renew,
        Some(_) => match lasts.checked_sub(now.saturating_duration_since(*since)) {
            None | Some(Duration::ZERO) => Step::Take,
            Some(left) => Step::Wait(left.min(looks(lasts))),
        },
    }
}

/// How long after a renewal was sent its sender still leads.
#[must_use]
pub fn gives_up(lasts: Duration) -> Duration {
    lasts * 2 / 3
}

/// How often a leader renews.
#[must_use]
pub fn renews(lasts: Duration) -> Duration {
    lasts / 3
}

/// How often the others look: soon enough to see that the Lease was given back.
#[must_use]
pub fn looks(lasts: Duration) -> Duration {
    lasts / 10
}

#[cfg(test)]
mod tests;
