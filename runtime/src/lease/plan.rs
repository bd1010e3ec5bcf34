//! The decisions of a candidate. Pure: `now` is a time of this process, and the times of two
//! machines are never compared.

use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

/// The content of a Lease that shows whether it was renewed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Record {
    /// The identity of the holder; none if the Lease was released.
    pub(super) holder: Option<String>,
    /// The renewal time of the holder, which is only compared for equality.
    pub(super) renewed: Option<MicroTime>,
    pub(super) transitions: i32,
}

/// A record and the time since which it has been observed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Observed {
    pub(super) record: Record,
    pub(super) since: Instant,
}

/// The next step of a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Create the Lease, which does not exist.
    Create,
    /// Take the Lease, which was released or has expired.
    Take,
    /// Renew the Lease, which this candidate holds.
    Renew,
    /// Read the Lease again after this time, because another candidate holds it.
    Wait(Duration),
}

impl Record {
    /// Returns the record of a Lease.
    pub(super) fn read(lease: &Lease) -> Self {
        let spec = lease.spec.as_ref();
        let holder = spec.and_then(|spec| spec.holder_identity.clone());
        Self {
            holder: holder.filter(|holder| !holder.is_empty()),
            renewed: spec.and_then(|spec| spec.renew_time.clone()),
            transitions: spec.and_then(|spec| spec.lease_transitions).unwrap_or_default(),
        }
    }
}

/// Returns the observation after `record` was read at `now`.
pub(super) fn observe(seen: Option<Observed>, record: Record, now: Instant) -> Observed {
    match seen {
        Some(seen) if seen.record == record => seen,
        Some(_) | None => Observed { record, since: now },
    }
}

/// Returns the next step. A Lease expires `duration` after its last renewal.
pub(super) fn plan(seen: Option<&Observed>, me: &str, duration: Duration, now: Instant) -> Step {
    let Some(Observed { record, since }) = seen else { return Step::Create };
    match record.holder.as_deref() {
        None => Step::Take,
        Some(holder) if holder == me => Step::Renew,
        Some(_) => match duration.checked_sub(now.saturating_duration_since(*since)) {
            None | Some(Duration::ZERO) => Step::Take,
            Some(left) => Step::Wait(left.min(read_interval(duration))),
        },
    }
}

/// Returns how long a candidate leads after it sent a renewal.
pub(super) fn leads_for(duration: Duration) -> Duration {
    duration * 2 / 3
}

/// Returns the interval between renewals.
pub(super) fn renew_interval(duration: Duration) -> Duration {
    duration / 3
}

/// Returns the interval at which other candidates read the Lease. It is short, so that a release is
/// noticed soon.
pub(super) fn read_interval(duration: Duration) -> Duration {
    duration / 10
}

#[cfg(test)]
mod tests;
