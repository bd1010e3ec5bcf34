//! Claims of this node's volumes that the watch does not show because their label was removed. A
//! scan reads them. Pure: `now` is passed in.

use super::growth::Growth;
use crate::repeats::LastReport;
use fastrak_api::claim::Claim;
use fastrak_api::volume::VolumeId;
use std::collections::{BTreeSet, HashMap};
use std::ops::Bound;
use std::time::Instant;

/// The claims, by UID. Empty while every bound claim has its label.
#[derive(Debug, Default)]
pub(super) struct Unwatched {
    claims: HashMap<VolumeId, Found>,
    last: Option<VolumeId>,
}

#[derive(Debug)]
struct Found {
    claim: (Claim, Growth),
    reported: LastReport<()>,
}

impl Unwatched {
    /// Returns the next `limit` missing claims after those of the previous call, and forgets the
    /// claims that are no longer missing.
    pub(super) fn next_turn(
        &mut self,
        missing: &BTreeSet<VolumeId>,
        limit: usize,
    ) -> Vec<VolumeId> {
        self.claims.retain(|id, _| missing.contains(id));
        let turn: Vec<_> = match &self.last {
            Some(last) => {
                let after = (Bound::Excluded(last), Bound::Unbounded);
                let rest = missing.range::<VolumeId, _>(after).chain(missing.range(..=last));
                rest.take(limit).cloned().collect()
            }
            None => missing.iter().take(limit).cloned().collect(),
        };
        self.last = turn.last().cloned();
        turn
    }

    /// Updates a claim. Returns whether to report it: from the second time on, because the webhook
    /// restores a label within seconds, and not too often.
    pub(super) fn put(&mut self, id: &VolumeId, claim: (Claim, Growth), now: Instant) -> bool {
        let Some(known) = self.claims.get_mut(id) else {
            self.claims.insert(id.clone(), Found { claim, reported: LastReport::default() });
            return false;
        };
        known.claim = claim;
        known.reported.is_due((), now)
    }

    pub(super) fn remove(&mut self, id: &VolumeId) {
        self.claims.remove(id);
    }

    /// Returns a claim as it was last read.
    pub(super) fn get(&self, id: &VolumeId) -> Option<&(Claim, Growth)> {
        self.claims.get(id).map(|found| &found.claim)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repeats::REPORT_INTERVAL;
    use std::time::Duration;

    fn id(last: u32) -> VolumeId {
        VolumeId::parse(&format!("0b0a3a2e-0d6c-4f5f-9e57-3c2f1d2b4a5{last}")).unwrap()
    }

    fn ids(lasts: &[u32]) -> Vec<VolumeId> {
        lasts.iter().copied().map(id).collect()
    }

    #[test]
    fn every_missing_claim_gets_its_turn_for_any_limit() {
        let (mut unwatched, five) = (Unwatched::default(), ids(&[0, 1, 2, 3, 4]));
        let five: BTreeSet<_> = five.into_iter().collect();
        for turn in [&[0, 1][..], &[2, 3], &[4, 0], &[1, 2]] {
            assert_eq!(unwatched.next_turn(&five, 2), ids(turn));
        }
        let fewer = BTreeSet::from([id(1), id(4)]);
        assert_eq!(unwatched.next_turn(&fewer, 2), ids(&[4, 1]));
        assert_eq!(unwatched.next_turn(&fewer, 9), ids(&[4, 1]), "none comes twice");
        assert_eq!(unwatched.next_turn(&BTreeSet::new(), 2), ids(&[]));
        assert_eq!(unwatched.next_turn(&fewer, 1), ids(&[1]));
    }

    #[test]
    fn a_claim_is_reported_when_it_is_found_again_and_then_at_intervals() {
        let (mut unwatched, start) = (Unwatched::default(), Instant::now());
        let mut put = |id: &VolumeId, at| {
            unwatched.put(id, (Claim::default(), Growth::default()), start + at)
        };
        assert!(!put(&id(0), Duration::ZERO));
        assert!(put(&id(0), Duration::from_secs(600)));
        assert!(!put(&id(0), Duration::from_secs(1200)));
        assert!(!put(&id(1), Duration::from_secs(1200)), "another claim");
        assert!(put(&id(0), Duration::from_secs(600) + REPORT_INTERVAL));
    }

    #[test]
    fn a_claim_that_the_watch_delivers_again_is_forgotten() {
        let (mut unwatched, now) = (Unwatched::default(), Instant::now());
        for id in ids(&[0, 1]) {
            unwatched.put(&id, (Claim::default(), Growth::default()), now);
        }
        unwatched.remove(&id(0));
        assert!(unwatched.get(&id(0)).is_none() && unwatched.get(&id(1)).is_some());
        unwatched.next_turn(&BTreeSet::from([id(0)]), 1);
        assert!(unwatched.get(&id(1)).is_none(), "it is missing no longer");
    }
}
