//! Decides about the directory of a volume without a known claim or PersistentVolume. Pure.
//!
//! A claim that is deleted before its volume is published leaves an empty directory. It is removed
//! only if two checks, some time apart, agree.

use crate::cluster::ClaimState;
use fastrak_store::volumes::orphan::Content;
use std::time::Duration;

/// The minimum time between two checks, for any configured grace.
pub(crate) const BETWEEN_CHECKS: Duration = Duration::from_secs(2);

/// Up to this many new orphans in one scan never stop the removal.
const MAX_UNSUSPICIOUS: usize = 5;
/// More orphans stop it if they exceed the number of directories of the pool, divided by this.
const SUSPICIOUS_DIVISOR: usize = 10;

/// The evidence about a directory, all of it read just now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Evidence {
    pub(crate) content: Content,
    /// Whether the cluster has a PersistentVolume with its name.
    pub(crate) has_volume: bool,
    /// The claims that are recorded for it.
    pub(crate) claims: ClaimState,
    /// Whether it is mounted; `None` if the mounts cannot be read.
    pub(crate) mounted: Option<bool>,
}

/// What to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is not an orphan.
    Owned,
    /// Keep it, for this reason.
    Keep(&'static str),
    CheckAgain(Duration),
    Trash,
}

/// Decides about a directory that was first found without an owner `seen` ago; `None` at the first
/// check. Data may go into the trash only with a `retention`.
pub(crate) fn decide(
    evidence: &Evidence,
    seen: Option<Duration>,
    grace: Duration,
    retention: Option<Duration>,
) -> Verdict {
    if evidence.has_volume || evidence.claims != ClaimState::Gone {
        return Verdict::Owned;
    }
    if !may_be_trashed(evidence.content, retention) {
        return Verdict::Keep("it contains data, is retained, or has an unreadable record");
    }
    let grace = grace.max(BETWEEN_CHECKS);
    match (evidence.mounted, seen) {
        (None, _) => Verdict::Keep("the agent cannot read the mounts"),
        (Some(false), Some(seen)) if seen >= grace => Verdict::Trash,
        (Some(false), Some(seen)) => Verdict::CheckAgain(grace.saturating_sub(seen)),
        (Some(false), None) | (Some(true), _) => Verdict::CheckAgain(grace),
    }
}

/// Returns whether an orphan with this content may go into the trash at all.
pub(crate) fn may_be_trashed(content: Content, retention: Option<Duration>) -> bool {
    match content {
        Content::Empty => true,
        Content::Data => retention.is_some(),
        Content::Retained | Content::Unreadable => false,
    }
}

/// Returns whether this number of `new` orphans, in a pool with this many directories, suggests
/// that the API server has lost objects or belongs to another cluster.
pub(crate) fn is_suspicious(new: usize, directories: usize) -> bool {
    new > MAX_UNSUSPICIOUS && new.saturating_mul(SUSPICIOUS_DIVISOR) > directories
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(60);
    const WEEK: Option<Duration> = Some(Duration::from_secs(7 * 24 * 60 * 60));

    fn evidence(content: Content) -> Evidence {
        Evidence { content, has_volume: false, claims: ClaimState::Gone, mounted: Some(false) }
    }

    #[test]
    fn an_empty_orphan_is_removed_at_the_second_check_after_the_grace() {
        let seconds = Duration::from_secs;
        let at = |seen| decide(&evidence(Content::Empty), seen, GRACE, None);
        assert_eq!(at(None), Verdict::CheckAgain(GRACE));
        assert_eq!(at(Some(seconds(59))), Verdict::CheckAgain(seconds(1)));
        assert_eq!(at(Some(GRACE)), Verdict::Trash);
        let hasty = decide(&evidence(Content::Empty), Some(seconds(1)), Duration::ZERO, None);
        assert_eq!(hasty, Verdict::CheckAgain(seconds(1)));
    }

    #[test]
    fn data_is_removed_only_with_a_retention() {
        let at = |content, retention| decide(&evidence(content), Some(GRACE), GRACE, retention);
        assert_eq!(at(Content::Data, WEEK), Verdict::Trash);
        assert!(matches!(at(Content::Data, None), Verdict::Keep(_)));
        for content in [Content::Retained, Content::Unreadable] {
            for retention in [None, WEEK] {
                assert!(matches!(at(content, retention), Verdict::Keep(_)), "{content:?}");
            }
        }
    }

    #[test]
    fn an_owned_or_mounted_directory_stays() {
        let at = |evidence| decide(&evidence, Some(GRACE), GRACE, WEEK);
        let empty = evidence(Content::Empty);
        assert_eq!(at(Evidence { has_volume: true, ..empty.clone() }), Verdict::Owned);
        for claims in [ClaimState::HasVolume(String::new()), ClaimState::Waiting] {
            assert_eq!(at(Evidence { claims, ..empty.clone() }), Verdict::Owned);
        }
        let mounted = Evidence { mounted: Some(true), ..empty.clone() };
        assert_eq!(at(mounted), Verdict::CheckAgain(GRACE));
        assert!(matches!(at(Evidence { mounted: None, ..empty }), Verdict::Keep(_)));
    }

    #[test]
    fn many_new_orphans_are_suspicious_and_a_few_are_not() {
        for (new, directories, suspicious) in [
            (0, 0, false),
            (5, 5, false),
            (6, 6, true),
            (6, 59, true),
            (6, 60, false),
            (100, 1000, false),
            (101, 1000, true),
        ] {
            assert_eq!(is_suspicious(new, directories), suspicious, "{new} of {directories}");
        }
    }
}
