//! Which volumes have to leave the trash. Pure. How long each has been there is counted in `trashed.rs`.

use super::owner::Owner;
use fastrak_api::volume::VolumeId;

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
    }
}
