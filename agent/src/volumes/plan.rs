//! How long a volume has been in the trash, and which volumes have to leave it. Pure.
//!
//! Time is counted, not compared: what a clock says is believed for a part of a volume's time only, so
//! that one that was set wrong, or that jumps, costs nobody his data at once.

use super::owner::Owner;
use fastrak_api::volume::VolumeId;
use serde::{Deserialize, Serialize};

/// The time that a volume has spent in the trash, as it is recorded. All in seconds; those of the
/// clock are since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trashed {
    /// When it was put there, for people who read it.
    pub since: i64,
    /// The time that was counted so far.
    pub spent: u64,
    /// Up to when.
    pub counted: i64,
}

/// A volume in the trash that can be had back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The volume.
    pub id: VolumeId,
    /// Whose it was.
    pub owner: Owner,
    /// The size that was granted.
    pub bytes: u64,
    /// For how many seconds it can be had back.
    pub ttl: u64,
    /// How many of them are over.
    pub spent: u64,
    /// When it was put there, which tells apart those that have spent the same.
    pub since: i64,
}

/// What becomes of a volume in the trash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It stays.
    Stays,
    /// Its time is over.
    Over,
    /// Its time is not over, but the trash has no room for it.
    GivesWay,
}

/// Between two looks at the trash lies less.
const LOOKS: u64 = 120;
/// A stretch during which nobody looked counts for at most this part of a volume's time...
const LONGEST: u64 = 4;
/// ...and so is written down when it has become half of that.
const WRITTEN: u64 = 2 * LONGEST;

impl Trashed {
    /// A volume that is put there now.
    #[must_use]
    pub const fn begin(now: i64) -> Self {
        Self { since: now, spent: 0, counted: now }
    }

    /// The time spent by now, for a volume that may spend `ttl` seconds.
    #[must_use]
    pub fn spent(&self, now: i64, ttl: u64) -> u64 {
        let gap = u64::try_from(now.saturating_sub(self.counted)).unwrap_or(0);
        self.spent.saturating_add(gap.min((ttl / LONGEST).max(LOOKS)))
    }

    /// What is to be recorded, if that is due.
    #[must_use]
    pub fn due(&self, now: i64, ttl: u64) -> Option<Self> {
        let gap = now.saturating_sub(self.counted);
        let long = u64::try_from(gap).is_ok_and(|gap| gap >= (ttl / WRITTEN).max(LOOKS / 2));
        // A clock that was set back counts on from where it is.
        let back = gap < 0;
        (long || back).then(|| Self { spent: self.spent(now, ttl), counted: now, ..*self })
    }
}

/// What becomes of each of `entries` where the trash may hold `most` bytes; without a number, any.
#[must_use]
pub fn fates(entries: &[Entry], most: Option<u64>) -> Vec<Fate> {
    let is_over = |entry: &Entry| entry.spent >= entry.ttl;
    let fate = |entry: &Entry| if is_over(entry) { Fate::Over } else { Fate::Stays };
    let mut fates: Vec<_> = entries.iter().map(fate).collect();
    let stay = entries.iter().filter(|entry| !is_over(entry));
    let held = stay.fold(0u64, |sum, entry| sum.saturating_add(entry.bytes));
    let excess = most.map_or(0, |most| held.saturating_sub(most));
    for at in oldest(entries, excess) {
        if let Some(fate) = fates.get_mut(at) {
            *fate = Fate::GivesWay;
        }
    }
    fates
}

/// Which of `entries` leave so that `bytes` get free: the oldest, and none where all would not do.
#[must_use]
pub fn leave(entries: &[Entry], bytes: u64) -> Vec<usize> {
    let leaving = oldest(entries, bytes);
    let sizes = leaving.iter().filter_map(|at| entries.get(*at)).map(|entry| entry.bytes);
    if sizes.fold(0u64, u64::saturating_add) < bytes { Vec::new() } else { leaving }
}

/// The oldest of `entries` whose time is not over, up to `bytes` of them at least.
fn oldest(entries: &[Entry], bytes: u64) -> Vec<usize> {
    let mut order: Vec<_> = entries.iter().enumerate().collect();
    order.retain(|(_, entry)| entry.spent < entry.ttl);
    order.sort_by(|(_, a), (_, b)| {
        b.spent.cmp(&a.spent).then(a.since.cmp(&b.since)).then_with(|| a.id.cmp(&b.id))
    });
    let (mut freed, mut chosen) = (0u64, Vec::new());
    for (at, entry) in order {
        if freed >= bytes {
            break;
        }
        freed = freed.saturating_add(entry.bytes);
        chosen.push(at);
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DAY: u64 = 24 * 60 * 60;
    const NOW: i64 = 1_800_000_000;

    fn entry(last: char, bytes: u64, spent: u64) -> Entry {
        let uid = format!("0b0a3a2e-0d6c-4f5f-9e57-3c2f1d2b4a5{last}");
        let owner = Owner { namespace: "n".to_owned(), claim: "c".to_owned(), uid: uid.clone() };
        Entry { id: VolumeId::parse(&uid).unwrap(), owner, bytes, ttl: DAY, spent, since: NOW }
    }

    /// Looks every minute, as the agent does, and records what is due.
    fn look_on(mut trashed: Trashed, from: i64, minutes: i64, ttl: u64) -> (Trashed, u64) {
        let mut records = 0;
        for minute in 1..=minutes {
            if let Some(due) = trashed.due(from + 60 * minute, ttl) {
                trashed = due;
                records += 1;
            }
        }
        (trashed, records)
    }

    #[test]
    fn an_agent_that_looks_on_counts_all_of_the_time_and_writes_little() {
        for ttl in [90, 600, DAY, 7 * DAY] {
            let minutes = i64::try_from(ttl / 60).unwrap();
            let (trashed, records) = look_on(Trashed::begin(NOW), NOW, minutes, ttl);
            assert_eq!(trashed.spent(NOW + 60 * minutes, ttl), ttl / 60 * 60);
            assert!(records <= 10, "{records}");
            assert!(trashed.spent(NOW + 60 * (minutes + 1), ttl) >= ttl);
        }
    }

    #[test]
    fn no_step_of_the_clock_ends_a_volumes_time_at_once() {
        for wrong in [-NOW, -3600, 3600, 10 * 365 * 24 * 3600, i64::MAX] {
            let trashed = Trashed::begin(NOW);
            let at = NOW.saturating_add(wrong);
            assert!(trashed.spent(at, DAY) <= DAY / 4, "{wrong}");
            // It is recorded by the wrong clock, and counted on when that is put right.
            let trashed = trashed.due(at, DAY).unwrap_or(trashed);
            assert!(trashed.spent(NOW, DAY) <= DAY / 2, "{wrong}");
            let (trashed, _) = look_on(trashed, NOW, 24 * 60, DAY);
            assert!(trashed.spent(NOW + 86_400, DAY) >= DAY, "{wrong}: {trashed:?}");
        }
    }

    #[test]
    fn what_is_over_goes_and_the_oldest_give_way() {
        use Fate::{GivesWay, Over, Stays};
        let entries = [entry('0', 5, 10), entry('1', 5, DAY), entry('2', 5, 30), entry('3', 5, 20)];
        for (most, wanted) in [
            (None, [Stays, Over, Stays, Stays]),
            (Some(15), [Stays, Over, Stays, Stays]),
            (Some(14), [Stays, Over, GivesWay, Stays]),
            (Some(5), [Stays, Over, GivesWay, GivesWay]),
            (Some(4), [GivesWay, Over, GivesWay, GivesWay]),
            (Some(0), [GivesWay, Over, GivesWay, GivesWay]),
        ] {
            assert_eq!(fates(&entries, most), wanted, "{most:?}");
        }
    }

    #[test]
    fn nothing_is_given_up_for_a_volume_that_would_not_fit_all_the_same() {
        let entries = [entry('0', 5, 10), entry('1', 7, 20)];
        assert_eq!(leave(&entries, 0), Vec::<usize>::new());
        assert_eq!(leave(&entries, 6), [1]);
        assert_eq!(leave(&entries, 8), [1, 0]);
        assert_eq!(leave(&entries, 13), Vec::<usize>::new());
    }

    proptest! {
        #[test]
        fn the_trash_holds_no_more_than_it_may_and_gives_up_no_more_than_it_must(
            sizes in proptest::collection::vec((0u64..100, 0..2 * DAY), 0..12),
            most in 0u64..600,
        ) {
            let entries: Vec<_> = sizes.iter().zip('0'..).map(|((bytes, spent), last)| {
                entry(if last > '9' { char::from(last as u8 - b'9' + b'`') } else { last }, *bytes, *spent)
            }).collect();
            let fates = fates(&entries, Some(most));
            let sum = |fate| -> u64 {
                entries.iter().zip(&fates).filter(|(_, f)| **f == fate).map(|(e, _)| e.bytes).sum()
            };
            prop_assert!(sum(Fate::Stays) <= most);
            let young = entries.iter().zip(&fates).filter(|(_, f)| **f == Fate::GivesWay);
            if let Some(last) = young.map(|(entry, _)| entry).min_by_key(|entry| entry.spent) {
                // Of several of the same age, the largest has to be enough.
                let alike = entries.iter().filter(|entry| entry.spent == last.spent);
                let largest = alike.map(|entry| entry.bytes).max().unwrap_or_default();
                prop_assert!(sum(Fate::Stays) + largest > most);
                let mut stays = entries.iter().zip(&fates).filter(|(_, f)| **f == Fate::Stays);
                prop_assert!(stays.all(|(entry, _)| entry.spent <= last.spent));
            }
        }

        #[test]
        fn no_record_makes_it_panic(since: i64, spent: u64, counted: i64, now: i64, ttl: u64) {
            let trashed = Trashed { since, spent, counted };
            let _answers = (trashed.spent(now, ttl), trashed.due(now, ttl));
        }
    }
}
