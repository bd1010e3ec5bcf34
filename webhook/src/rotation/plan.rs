//! Decides the next step of the rotation from what is stored, published and served, and the time.
//! Pure.
//!
//! A CA is replaced in these steps. Any replica may take a step, and may die after it:
//!
//! 1. `Introduce`: store the next CA in addition to the current one.
//! 2. `Publish`: write both to `caBundle`.
//! 3. Wait until this replica has seen both in `caBundle` for `settle`: API servers load it by a
//!    watch.
//! 4. `Promote`: make the next CA the current one and issue a leaf. The previous CA stays trusted.
//! 5. `Serve`: each replica serves the new leaf, after the same wait.
//! 6. `Retire`: the last leaf of the previous CA has expired; remove the CA.
//!
//! Each replica measures the wait on its monotonic clock. A time in the Secret would be from the
//! clock of another machine, which may be minutes off.

use super::state::{CaInfo, Id, LeafInfo, Lifetimes, Published, Stored, StoredCerts, View};
use fastrak_certs::Verdict;
use std::time::Duration;
use time::OffsetDateTime;

/// The maximum number of CAs in a bundle. A recreated Secret adopts the published CAs, and a client
/// that writes `caBundle` must not let it grow without limit. This number takes about 20 kB.
const MAX_CAS: usize = 32;

/// The next step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Serve the leaf in the Secret.
    Serve,
    /// Publish the bundle in the Secret.
    Publish,
    /// Change the Secret.
    Change(Change),
    /// Do nothing, for this time if it is known.
    Rest(Option<Duration>),
}

/// A change of the Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Create a new CA and leaf, and keep trusting these published CAs.
    Recreate {
        keep: Vec<Id>,
        why: String,
    },
    /// Also trust these CAs, which were published in the meantime.
    Adopt(Vec<Id>),
    /// Record that the new CA was read back from `caBundle`.
    Confirm,
    /// Issue a leaf from the current CA, for this reason.
    IssueLeaf(&'static str),
    Introduce,
    /// Make the next CA the current one and issue a leaf.
    Promote,
    /// Remove these previous CAs.
    Retire(Vec<Id>),
}

#[must_use]
pub(super) fn plan(view: &View, lifetimes: &Lifetimes, now: OffsetDateTime) -> Step {
    let recreate = |why: &str| {
        let keep = unexpired(&view.published, &[], lifetimes, now);
        Step::Change(Change::Recreate { keep, why: why.to_owned() })
    };
    let certs = match &view.stored {
        Stored::Absent => return recreate("there is no Secret"),
        Stored::Unusable(why) => return recreate(why),
        Stored::Usable(certs) => certs,
    };
    if certs.current.validity.is_expired(now) {
        return match certs.next {
            Some(next) if !next.validity.is_expired(now) => Step::Change(Change::Promote),
            Some(_) | None => recreate("the CA has expired"),
        };
    }
    let serving = serving(certs, view, lifetimes, now);
    if serving == Serving::Now {
        return Step::Serve;
    }
    // Certificates that are not published yet are new and need no renewal.
    let step = if certs.inherits { takeover_step(certs, view, lifetimes, now) } else { None };
    let step = step.or_else(|| (!view.published.exact).then_some(Step::Publish));
    let step = step.or_else(|| leaf_step(certs, lifetimes, now));
    let step = step.or_else(|| ca_step(certs, &view.published, lifetimes, now));
    match (step, serving) {
        (Some(Step::Rest(Some(one))), Serving::After(other)) => Step::Rest(Some(one.min(other))),
        (Some(step), _) => step,
        (None, Serving::After(wait)) => Step::Rest(Some(wait)),
        (None, Serving::Now | Serving::No) => Step::Rest(None),
    }
}

/// Returns whether the served leaf is usable: the API server trusts it, and it has not expired. A
/// leaf that is not valid yet is usable: the API server decides by its own clock, and ours may be
/// behind.
#[must_use]
pub(super) fn is_usable(served: &LeafInfo, published: &Published, now: OffsetDateTime) -> bool {
    published.trusts(served.issuer).is_some() && !served.validity.is_expired(now)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Serving {
    Now,
    After(Duration),
    No,
}

/// Returns when the leaf in the Secret can be served: its CA was read back, and if the served leaf
/// is valid, API servers have had the time to load the CA.
fn serving(
    certs: &StoredCerts,
    view: &View,
    lifetimes: &Lifetimes,
    now: OffsetDateTime,
) -> Serving {
    let Ok(leaf) = certs.leaf else { return Serving::No };
    let Some(since) = view.published.trusts(leaf.issuer) else { return Serving::No };
    let usable = view.served.filter(|served| is_usable(served, &view.published, now));
    if leaf.validity.is_expired(now) || view.served.is_some_and(|served| served.id == leaf.id) {
        return Serving::No;
    }
    match usable {
        Some(served) if served.issuer != leaf.issuer && since < lifetimes.settle => {
            Serving::After(lifetimes.settle.saturating_sub(since))
        }
        Some(_) | None => Serving::Now,
    }
}

/// Returns the next step for a recreated Secret: until its bundle was read back, other replicas may
/// serve certificates of any published CA.
fn takeover_step(
    certs: &StoredCerts,
    view: &View,
    lifetimes: &Lifetimes,
    now: OffsetDateTime,
) -> Option<Step> {
    let known: Vec<_> = certs.trusted().map(|ca| ca.id).collect();
    let more = unexpired(&view.published, &known, lifetimes, now);
    if !more.is_empty() {
        return Some(Step::Change(Change::Adopt(more)));
    }
    view.published.exact.then_some(Step::Change(Change::Confirm))
}

/// Returns the published CAs other than `known` that are valid for any clock, those that expire
/// last first.
fn unexpired(
    published: &Published,
    known: &[Id],
    lifetimes: &Lifetimes,
    now: OffsetDateTime,
) -> Vec<Id> {
    let is_unexpired = |ca: &&CaInfo| {
        let end = ca.validity.not_after.saturating_add(lifetimes.grace());
        now <= end && !known.contains(&ca.id)
    };
    let mut cas: Vec<_> = published.found.iter().filter(is_unexpired).collect();
    cas.sort_by_key(|ca| std::cmp::Reverse(ca.validity.not_after));
    let room = MAX_CAS.saturating_sub(known.len().max(1));
    cas.iter().take(room).map(|ca| ca.id).collect()
}

fn leaf_step(certs: &StoredCerts, lifetimes: &Lifetimes, now: OffsetDateTime) -> Option<Step> {
    let why = match certs.leaf {
        Err(why) => why,
        Ok(leaf) => match leaf.validity.verdict(now) {
            Verdict::Fresh => return None,
            Verdict::Expired => "the leaf has expired",
            // Shortly before the CA expires, a new leaf would not be valid longer than this one.
            Verdict::Due if lifetimes.leaf_end(&certs.current, now) <= leaf.validity.not_after => {
                return None;
            }
            Verdict::Due => "two thirds of the leaf's lifetime have passed",
            // The leaf was issued by a clock that was ahead, or ours is behind. A new leaf is valid
            // in both cases if its CA is.
            Verdict::NotYet if certs.current.validity.verdict(now) == Verdict::NotYet => {
                return None;
            }
            Verdict::NotYet => "the leaf is not valid yet",
        },
    };
    Some(Step::Change(Change::IssueLeaf(why)))
}

fn ca_step(
    certs: &StoredCerts,
    published: &Published,
    lifetimes: &Lifetimes,
    now: OffsetDateTime,
) -> Option<Step> {
    let Some(next) = certs.next else {
        return match certs.current.validity.verdict(now) {
            // A CA that is not valid yet is replaced step by step: if our clock is behind, the API
            // server trusts it in the meantime.
            Verdict::Due | Verdict::Expired | Verdict::NotYet => {
                Some(Step::Change(Change::Introduce))
            }
            Verdict::Fresh => {
                let retirable = retirable(certs, lifetimes, now);
                (!retirable.is_empty()).then_some(Step::Change(Change::Retire(retirable)))
            }
        };
    };
    if matches!(next.validity.verdict(now), Verdict::Expired | Verdict::NotYet) {
        return Some(Step::Change(Change::Introduce));
    }
    let since = published.trusts(next.id)?;
    let left = lifetimes.settle.saturating_sub(since);
    if left.is_zero() { Some(Step::Change(Change::Promote)) } else { Some(Step::Rest(Some(left))) }
}

/// Returns the previous CAs without a valid leaf: all of them once the last leaf of the last one
/// has expired, and each one that has expired itself.
fn retirable(certs: &StoredCerts, lifetimes: &Lifetimes, now: OffsetDateTime) -> Vec<Id> {
    let all = certs.retire_at.is_some_and(|at| now >= at);
    let is_expired = |old: &&CaInfo| now > old.validity.not_after.saturating_add(lifetimes.grace());
    certs.old.iter().filter(|old| all || is_expired(old)).map(|old| old.id).collect()
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
