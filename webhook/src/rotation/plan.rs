//! What is to be done next about the certificates: one step, given what is stored, what is
//! published, what this replica serves, and the time. Pure: nothing is made or written here.
//!
//! How an authority is replaced, each line one step of any replica, which may die after it:
//!
//! 1. `Introduce`: the next authority is stored beside the current one.
//! 2. `Publish`: `caBundle` has both.
//! 3. Wait, until this replica itself has seen both there for `settle`: API servers learn by a watch.
//! 4. `Promote`: the next one is the current, with a leaf of its own. The old one stays trusted.
//! 5. `Serve`, each replica for itself, by the same rule as 3.
//! 6. `Retire`: the last leaf of the old authority has expired; it is trusted no longer.
//!
//! The wait is measured by each replica for itself, on a clock that no one can set. A moment in the
//! Secret would be another machine's, off by minutes.

use super::state::Id;
use super::state::{AuthorityFact, Held, LeafFact, Lifetimes, Published, Stored, View};
use fastrak_certs::Verdict;
use std::time::Duration;
use time::OffsetDateTime;

/// Authorities that a bundle has at most. A Secret that is created again takes over what is published;
/// a client that may write there must not make it grow for ever. This many are some twenty kilobytes.
const MOST: usize = 32;

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Serve the leaf of the Secret.
    Serve,
    /// Publish the bundle of the Secret.
    Publish,
    /// Change the Secret.
    Change(Change),
    /// Nothing, for this long where it is known.
    Rest(Option<Duration>),
}

/// A change of the Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Create all of it again, and go on trusting these, which are published.
    Remake {
        /// Whom to go on trusting.
        keep: Vec<Id>,
        /// Why.
        why: String,
    },
    /// Trust these too: they were published meanwhile.
    Adopt(Vec<Id>),
    /// What was created again has been read back.
    Confirm,
    /// Have the current authority issue a leaf.
    IssueLeaf(&'static str),
    /// Make the authority that is to come next.
    Introduce,
    /// Make the next authority the current one, with a leaf of its own.
    Promote,
    /// Trust these, which signed before, no longer.
    Retire(Vec<Id>),
}

/// The next step.
#[must_use]
pub fn plan(view: &View, lifetimes: &Lifetimes, now: OffsetDateTime) -> Step {
    let remake = |why: &str| {
        let keep = worth_keeping(&view.published, &[], lifetimes, now);
        Step::Change(Change::Remake { keep, why: why.to_owned() })
    };
    let held = match &view.stored {
        Stored::Absent => return remake("there is no Secret"),
        Stored::Unusable(why) => return remake(why),
        Stored::Usable(held) => held,
    };
    if held.current.has_ended(now) {
        return match held.next {
            Some(next) if !next.has_ended(now) => Step::Change(Change::Promote),
            Some(_) | None => remake("the authority has ended"),
        };
    }
    let serving = serving(held, view, lifetimes, now);
    if serving == Serving::Now {
        return Step::Serve;
    }
    // While what was created again is not published, nobody needs a renewal: it is new.
    let step = if held.inherits { taking_over(held, view, lifetimes, now) } else { None };
    let step = step.or_else(|| (!view.published.exact).then_some(Step::Publish));
    let step = step.or_else(|| leaf_step(held, lifetimes, now));
    let step = step.or_else(|| authority_step(held, &view.published, lifetimes, now));
    match (step, serving) {
        (Some(Step::Rest(Some(one))), Serving::After(other)) => Step::Rest(Some(one.min(other))),
        (Some(step), _) => step,
        (None, Serving::After(wait)) => Step::Rest(Some(wait)),
        (None, Serving::Now | Serving::No) => Step::Rest(None),
    }
}

/// Returns whether a leaf that this replica serves is still good: the API server trusts it, and it
/// has not ended. One that has not begun is: it is our clock that is behind, and the API server's
/// counts.
#[must_use]
pub fn is_good(served: &LeafFact, published: &Published, now: OffsetDateTime) -> bool {
    published.trusts(served.issuer).is_some() && !served.has_ended(now)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Serving {
    Now,
    After(Duration),
    No,
}

/// Returns whether the leaf of the Secret is to be served: its authority was read back, and where
/// something good is served, API servers have had the time to learn of it.
fn serving(held: &Held, view: &View, lifetimes: &Lifetimes, now: OffsetDateTime) -> Serving {
    let Ok(leaf) = held.leaf else { return Serving::No };
    let Some(since) = view.published.trusts(leaf.issuer) else { return Serving::No };
    let good = view.served.filter(|served| is_good(served, &view.published, now));
    if leaf.has_ended(now) || view.served.is_some_and(|served| served.id == leaf.id) {
        return Serving::No;
    }
    match good {
        Some(served) if served.issuer != leaf.issuer && since < lifetimes.settle => {
            Serving::After(lifetimes.settle.saturating_sub(since))
        }
        Some(_) | None => Serving::Now,
    }
}

/// The road of a Secret that was created again: until its bundle was read back, whatever is published
/// may be what others serve by.
fn taking_over(
    held: &Held,
    view: &View,
    lifetimes: &Lifetimes,
    now: OffsetDateTime,
) -> Option<Step> {
    let known: Vec<_> = held.trusted().map(|authority| authority.id).collect();
    let more = worth_keeping(&view.published, &known, lifetimes, now);
    if !more.is_empty() {
        return Some(Step::Change(Change::Adopt(more)));
    }
    view.published.exact.then_some(Step::Change(Change::Confirm))
}

/// Those of the published authorities that still count for somebody, the ones that last longest,
/// beside those that are known.
fn worth_keeping(
    published: &Published,
    known: &[Id],
    lifetimes: &Lifetimes,
    now: OffsetDateTime,
) -> Vec<Id> {
    let counts = |authority: &&AuthorityFact| {
        let end = authority.validity.not_after.saturating_add(lifetimes.grace());
        now <= end && !known.contains(&authority.id)
    };
    let mut counting: Vec<_> = published.found.iter().filter(counts).collect();
    counting.sort_by_key(|authority| std::cmp::Reverse(authority.validity.not_after));
    let room = MOST.saturating_sub(known.len().max(1));
    counting.iter().take(room).map(|authority| authority.id).collect()
}

fn leaf_step(held: &Held, lifetimes: &Lifetimes, now: OffsetDateTime) -> Option<Step> {
    let why = match held.leaf {
        Err(why) => why,
        Ok(leaf) => match leaf.validity.verdict(now) {
            Verdict::Fresh => return None,
            Verdict::Expired => "the leaf has ended",
            // Near its authority's end a new leaf would last no longer than the one there is.
            Verdict::Due if lifetimes.leaf_end(&held.current, now) <= leaf.validity.not_after => {
                return None;
            }
            Verdict::Due => "two thirds of the leaf's time are over",
            // Made by a clock that was ahead, or ours is behind: one made now counts in both cases,
            // as long as its authority does.
            Verdict::NotYet if held.current.validity.verdict(now) == Verdict::NotYet => {
                return None;
            }
            Verdict::NotYet => "the leaf has not begun",
        },
    };
    Some(Step::Change(Change::IssueLeaf(why)))
}

fn authority_step(
    held: &Held,
    published: &Published,
    lifetimes: &Lifetimes,
    now: OffsetDateTime,
) -> Option<Step> {
    let Some(next) = held.next else {
        return match held.current.validity.verdict(now) {
            // One that has not begun is replaced with all care: if it is our clock that is behind,
            // the API server trusts it all the while.
            Verdict::Due | Verdict::Expired | Verdict::NotYet => {
                Some(Step::Change(Change::Introduce))
            }
            Verdict::Fresh => {
                let over = over(held, lifetimes, now);
                (!over.is_empty()).then_some(Step::Change(Change::Retire(over)))
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

/// Those that signed before and of which nobody can serve a leaf any more: all of them when the last
/// leaf of the last one has expired, and each that has expired itself.
fn over(held: &Held, lifetimes: &Lifetimes, now: OffsetDateTime) -> Vec<Id> {
    let all = held.retire_at.is_some_and(|at| now >= at);
    let ended =
        |old: &&AuthorityFact| now > old.validity.not_after.saturating_add(lifetimes.grace());
    held.old.iter().filter(|old| all || ended(old)).map(|old| old.id).collect()
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
