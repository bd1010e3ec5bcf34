//! What is to be done next about a certificate that the operator brings. Pure: it reads no folder
//! and writes nothing.

use crate::rotation::state::{Id, Published};
use std::time::Duration;
use time::OffsetDateTime;

/// Authorities of before that are published beside the operator's at most.
pub const MOST: usize = 8;

/// A certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The SHA-256 of all its files.
    pub digest: [u8; 32],
    /// When it ends.
    pub ends: OffsetDateTime,
}

/// What a decision is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// What is in the folder. It fits.
    pub found: Shown,
    /// What is served.
    pub served: Option<Shown>,
    /// Whether every webhook of ours trusts what is in the folder.
    pub trusts_new: bool,
    /// Whether every webhook of ours trusts what is served.
    pub trusts_served: bool,
    /// The operator's authorities; none where somebody else writes `caBundle`.
    pub own: Vec<Id>,
    /// Whom every webhook of ours trusts.
    pub published: Published,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Publish the operator's authorities beside those that are published.
    Publish,
    /// Serve what is in the folder.
    Serve,
    /// Nothing, for this long where it is known.
    Rest(Option<Duration>),
}

/// The next step.
#[must_use]
pub fn plan(view: &View, settle: Duration, now: OffsetDateTime) -> Step {
    let View { found, served, own, published, .. } = view;
    let since: Option<Vec<_>> = own.iter().map(|id| published.trusts(*id)).collect();
    let Some(since) = since else { return Step::Publish };
    if served.is_some_and(|served| served.digest == found.digest) {
        return Step::Rest(None);
    }
    if !view.trusts_served || served.is_none_or(|served| served.ends < now) {
        return Step::Serve;
    }
    match since.into_iter().min() {
        // Somebody else writes `caBundle`: theirs to say when.
        None if view.trusts_new => Step::Serve,
        None => Step::Rest(None),
        Some(since) if since >= settle => Step::Serve,
        Some(since) => Step::Rest(Some(settle.saturating_sub(since))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::Duration as Time;

    const SETTLE: Duration = Duration::from_secs(10);

    fn now() -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap()
    }

    fn shown(number: u8) -> Shown {
        Shown { digest: [number; 32], ends: now() + Time::HOUR }
    }

    fn view(own: &[u8], trusted: &[(u8, u64)], served: Option<u8>) -> View {
        let id = |number: u8| Id([number; 32]);
        let trusted = trusted.iter();
        let trusted = trusted.map(|(number, since)| (id(*number), Duration::from_secs(*since)));
        View {
            found: shown(2),
            served: served.map(shown),
            trusts_new: false,
            trusts_served: served.is_some(),
            own: own.iter().map(|number| id(*number)).collect(),
            published: Published { trusted: trusted.collect(), ..Published::default() },
        }
    }

    fn step(view: &View) -> Step {
        plan(view, SETTLE, now())
    }

    #[test]
    fn an_authority_is_published_and_read_back_before_anything_is_served_by_it() {
        assert_eq!(step(&view(&[7], &[], None)), Step::Publish);
        assert_eq!(step(&view(&[7, 8], &[(7, 99)], None)), Step::Publish);
        assert_eq!(step(&view(&[7], &[(7, 0)], None)), Step::Serve);
        // Also where another hand takes it away later.
        assert_eq!(step(&view(&[7], &[], Some(2))), Step::Publish);
    }

    #[test]
    fn what_is_served_is_served_on_until_api_servers_know_of_the_new_authority() {
        assert_eq!(step(&view(&[7], &[(7, 3)], Some(1))), Step::Rest(Some(Duration::from_secs(7))));
        assert_eq!(step(&view(&[7], &[(7, 10)], Some(1))), Step::Serve);
        let mut ended = view(&[7], &[(7, 3)], Some(1));
        ended.served = Some(Shown { ends: now() - Time::SECOND, ..shown(1) });
        assert_eq!(step(&ended), Step::Serve);
        let mut untrusted = view(&[7], &[(7, 3)], Some(1));
        untrusted.trusts_served = false;
        assert_eq!(step(&untrusted), Step::Serve);
    }

    #[test]
    fn where_somebody_else_writes_the_bundle_it_is_waited_for_as_long_as_there_is_something_good() {
        assert_eq!(step(&view(&[], &[], None)), Step::Serve);
        assert_eq!(step(&view(&[], &[], Some(2))), Step::Rest(None));
        let mut new = view(&[], &[], Some(1));
        assert_eq!(step(&new), Step::Rest(None));
        new.trusts_new = true;
        assert_eq!(step(&new), Step::Serve);
    }
}
