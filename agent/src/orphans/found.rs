//! The orphans of each pool that the last scan found, and the safety stop: many new orphans at once
//! stop the removal of orphans in their pool until an administrator confirms them.
//!
//! The state is in memory. A restarted agent finds the orphans again and stops again.

use super::plan::{is_suspicious, may_be_trashed};
use fastrak_api::pool::PoolName;
use fastrak_api::volume::VolumeId;
use fastrak_store::volumes::orphan::Content;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

/// The orphans of each pool.
#[derive(Debug, Default)]
pub struct Orphans {
    pools: Mutex<HashMap<PoolName, Found>>,
}

#[derive(Debug, Default)]
struct Found {
    orphans: BTreeMap<VolumeId, Content>,
    // Those that were found before, or that an administrator has confirmed.
    known: BTreeSet<VolumeId>,
    stopped: bool,
    reported: usize,
}

/// The changes of a scan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scanned {
    /// The orphans to reconcile, which may be removed.
    pub(crate) removable: Vec<VolumeId>,
    /// The orphans with data, if there are more than were reported.
    pub(crate) kept: Option<Vec<VolumeId>>,
    /// The number of new orphans, if it has just stopped their removal.
    pub(crate) stopped: Option<usize>,
}

impl Orphans {
    /// Records the orphans that a scan found in a pool with this many `directories`. `confirmed`
    /// says that an administrator has confirmed them.
    pub(crate) fn scanned(
        &self,
        pool: &PoolName,
        orphans: BTreeMap<VolumeId, Content>,
        directories: usize,
        (confirmed, retention): (bool, Option<Duration>),
    ) -> Scanned {
        let mut pools = self.pools.lock();
        let found = pools.entry(pool.clone()).or_default();
        let new = orphans.iter().filter(|(id, _)| !found.known.contains(*id));
        // Retained volumes are expected and do not count.
        let new: Vec<_> = new.filter(|(_, content)| **content != Content::Retained).collect();
        // Without a removable orphan there is nothing to stop.
        let is_at_risk = new.iter().any(|(_, content)| may_be_trashed(**content, retention));
        let stop = !confirmed && is_at_risk && is_suspicious(new.len(), directories);
        let stopped = (stop && !found.stopped).then_some(new.len());
        found.stopped = stop;
        if !stop {
            found.known = orphans.keys().cloned().collect();
        }
        let removable =
            orphans.iter().filter(|(_, content)| !stop && may_be_trashed(**content, retention));
        let removable = removable.map(|(id, _)| id.clone()).collect();
        let kept = orphans.iter().filter(|(_, content)| {
            matches!(content, Content::Data | Content::Unreadable)
                && !may_be_trashed(**content, retention)
        });
        let kept: Vec<_> = kept.map(|(id, _)| id.clone()).collect();
        let should_report = kept.len() > found.reported;
        found.reported = kept.len();
        found.orphans = orphans;
        Scanned { removable, kept: should_report.then_some(kept), stopped }
    }

    /// Returns whether the last scan found this directory and its removal is not stopped.
    pub(crate) fn may_remove(&self, pool: &PoolName, id: &VolumeId) -> Option<bool> {
        let pools = self.pools.lock();
        let found = pools.get(pool)?;
        found.orphans.contains_key(id).then_some(!found.stopped)
    }

    /// Forgets an orphan that has an owner or is gone. Returns how many are left.
    pub(crate) fn forget(&self, pool: &PoolName, id: &VolumeId) -> usize {
        let mut pools = self.pools.lock();
        let found = pools.entry(pool.clone()).or_default();
        found.orphans.remove(id);
        found.orphans.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEEK: Option<Duration> = Some(Duration::from_secs(7 * 24 * 60 * 60));

    fn id(number: u32) -> VolumeId {
        VolumeId::parse(&format!("00000000-0000-4000-8000-{number:012}")).unwrap()
    }

    fn of(numbers: std::ops::Range<u32>, content: Content) -> BTreeMap<VolumeId, Content> {
        numbers.map(|number| (id(number), content)).collect()
    }

    fn scan(
        orphans: &Orphans,
        found: BTreeMap<VolumeId, Content>,
        how: (bool, Option<Duration>),
    ) -> Scanned {
        orphans.scanned(&PoolName::default(), found, 20, how)
    }

    #[test]
    fn many_new_orphans_stop_their_removal_until_they_are_confirmed() {
        let (orphans, pool) = (Orphans::default(), PoolName::default());
        let many = of(0..10, Content::Empty);
        let stopped = scan(&orphans, many.clone(), (false, None));
        assert_eq!(stopped, Scanned { stopped: Some(10), ..Scanned::default() });
        assert_eq!(orphans.may_remove(&pool, &id(1)), Some(false));
        // The stop is reported once and stays.
        assert_eq!(scan(&orphans, many.clone(), (false, None)), Scanned::default());
        assert_eq!(orphans.may_remove(&pool, &id(1)), Some(false));
        assert_eq!(scan(&orphans, many.clone(), (true, None)).removable.len(), 10);
        assert_eq!(orphans.may_remove(&pool, &id(1)), Some(true));
        // The confirmation covers these: a few more are ordinary, many more are not.
        let few = scan(&orphans, of(0..13, Content::Empty), (false, None));
        assert_eq!((few.removable.len(), few.stopped), (13, None));
        let more = scan(&orphans, of(0..20, Content::Empty), (false, None));
        assert_eq!((more.removable.len(), more.stopped), (0, Some(7)));
    }

    #[test]
    fn the_stop_ends_when_the_owners_are_back() {
        let orphans = Orphans::default();
        assert_eq!(scan(&orphans, of(0..10, Content::Empty), (false, None)).stopped, Some(10));
        assert_eq!(scan(&orphans, of(0..1, Content::Empty), (false, None)).removable, [id(0)]);
    }

    #[test]
    fn data_is_kept_and_reported_and_counts_with_a_retention() {
        let orphans = Orphans::default();
        let data = of(0..10, Content::Data);
        let kept = scan(&orphans, data.clone(), (false, None));
        assert_eq!((kept.removable.len(), kept.kept.map(|kept| kept.len())), (0, Some(10)));
        assert_eq!(kept.stopped, None);
        assert_eq!(scan(&orphans, data.clone(), (false, None)), Scanned::default());
        let removed = scan(&Orphans::default(), data.clone(), (false, WEEK));
        assert_eq!((removed.removable.len(), removed.stopped), (0, Some(10)));
        let confirmed = scan(&Orphans::default(), data, (true, WEEK));
        assert_eq!((confirmed.removable.len(), confirmed.stopped), (10, None));
        // One empty directory among many with data is not removed either.
        let mut mixed = of(0..10, Content::Data);
        mixed.insert(id(10), Content::Empty);
        assert_eq!(scan(&Orphans::default(), mixed, (false, None)).stopped, Some(11));
    }

    #[test]
    fn retained_volumes_do_not_count_as_new_orphans() {
        let orphans = Orphans::default();
        let mut found = of(0..10, Content::Retained);
        found.insert(id(10), Content::Empty);
        let scanned = scan(&orphans, found, (false, WEEK));
        assert_eq!(scanned, Scanned { removable: vec![id(10)], ..Scanned::default() });
        assert_eq!(orphans.forget(&PoolName::default(), &id(10)), 10);
        assert_eq!(orphans.may_remove(&PoolName::default(), &id(10)), None);
    }
}
