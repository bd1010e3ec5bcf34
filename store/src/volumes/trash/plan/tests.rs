use super::*;
use proptest::prelude::*;
use std::collections::HashMap;

const DAY: u64 = 24 * 60 * 60;
const NOW: i64 = 1_800_000_000;

fn entry(number: usize, namespace: &str, bytes: u64, spent: u64) -> Entry {
    let uid = format!("0b0a3a2e-0d6c-4f5f-9e57-{number:012x}");
    let owner =
        ClaimRef { namespace: namespace.to_owned(), name: "c".to_owned(), uid: Some(uid.clone()) };
    Entry { id: VolumeId::parse(&uid).unwrap(), owner, bytes, ttl: DAY, spent, since: NOW }
}

fn entries(all: &[(&str, u64, u64)]) -> Vec<Entry> {
    let entry = |(number, (namespace, bytes, spent)): (usize, &(&str, u64, u64))| {
        entry(number, namespace, *bytes, *spent)
    };
    all.iter().enumerate().map(entry).collect()
}

#[test]
fn expired_volumes_leave_and_the_oldest_are_evicted() {
    use TrashAction::{Evict, Expire, Keep};
    let (old, older, oldest) = (MIN_AGE, MIN_AGE + 1, MIN_AGE + 2);
    let entries = entries(&[("n", 5, old), ("n", 5, DAY), ("n", 5, oldest), ("n", 5, older)]);
    for (most, wanted) in [
        (None, [Keep, Expire, Keep, Keep]),
        (Some(15), [Keep, Expire, Keep, Keep]),
        (Some(14), [Keep, Expire, Evict, Keep]),
        (Some(5), [Keep, Expire, Evict, Evict]),
        (Some(4), [Evict, Expire, Evict, Evict]),
        (Some(0), [Evict, Expire, Evict, Evict]),
    ] {
        assert_eq!(decide(&entries, most), wanted, "{most:?}");
    }
}

#[test]
fn nothing_is_evicted_for_a_volume_that_still_would_not_fit() {
    let entries = entries(&[("n", 5, MIN_AGE), ("n", 7, MIN_AGE + 1), ("n", 100, MIN_AGE - 1)]);
    assert_eq!(choose_evictions(&entries, 0, "n"), Vec::<usize>::new());
    assert_eq!(choose_evictions(&entries, 6, "n"), [1]);
    assert_eq!(choose_evictions(&entries, 8, "other"), [1, 0]);
    assert_eq!(choose_evictions(&entries, 13, "n"), Vec::<usize>::new());
}

#[test]
fn a_claim_evicts_from_its_own_namespace_and_then_from_the_largest_share() {
    let entries = entries(&[
        ("small", 1, DAY - 1),
        ("large", 6, MIN_AGE),
        ("large", 6, MIN_AGE + 1),
        ("own", 2, MIN_AGE),
        ("other", 7, MIN_AGE),
    ]);
    assert_eq!(choose_evictions(&entries, 2, "own"), [3]);
    // 12 of "large" are more than 7 of "other", and 6 are less.
    assert_eq!(choose_evictions(&entries, 9, "own"), [3, 2, 4]);
    assert_eq!(choose_evictions(&entries, 8, "own"), [3, 2]);
    assert_eq!(choose_evictions(&entries, 22, "own"), [3, 2, 4, 1, 0]);
    // Without a requester only the largest share counts.
    let gone = |most| {
        let actions = decide(&entries, Some(most));
        (0..entries.len()).filter(|at| actions[*at] == TrashAction::Evict).collect::<Vec<_>>()
    };
    assert_eq!((gone(22), gone(21), gone(10)), (vec![], vec![2], vec![2, 4]));
}

fn some_entries() -> impl Strategy<Value = Vec<Entry>> {
    let one = ("[a-d]", 0_u64..100, prop_oneof![0..2 * MIN_AGE, 0..2 * DAY]);
    proptest::collection::vec(one, 0..16).prop_map(|all| {
        let entry = |(number, (namespace, bytes, spent)): (usize, &(String, u64, u64))| {
            entry(number, namespace, *bytes, *spent)
        };
        all.iter().enumerate().map(entry).collect()
    })
}

/// Returns the share of each namespace after `gone` were evicted.
fn held(entries: &[Entry], gone: &[usize]) -> HashMap<String, u64> {
    let mut held = HashMap::new();
    for (at, entry) in entries.iter().enumerate() {
        if !gone.contains(&at) && entry.spent < entry.ttl {
            *held.entry(entry.owner.namespace.clone()).or_default() += entry.bytes;
        }
    }
    held
}

/// Checks the invariants of an eviction in this order.
fn check(entries: &[Entry], order: &[usize], requester: Option<&str>) -> Result<(), TestCaseError> {
    let is_own = |entry: &Entry| requester == Some(entry.owner.namespace.as_str());
    for (nth, at) in order.iter().enumerate() {
        let (leaving, before) = (&entries[*at], &order[..nth]);
        prop_assert!((MIN_AGE..leaving.ttl).contains(&leaving.spent), "{leaving:?}");
        let left = (0..entries.len()).filter(|at| !before.contains(at)).map(|at| &entries[at]);
        let left: Vec<_> = left.filter(|entry| entry.may_be_evicted()).collect();
        let held = held(entries, before);
        let share = held[&leaving.owner.namespace];
        for entry in left {
            let is_of_same = entry.owner.namespace == leaving.owner.namespace;
            prop_assert!(!is_of_same || entry.spent <= leaving.spent, "an older one stays");
            if !is_own(leaving) {
                prop_assert!(!is_own(entry), "one of the requester's own stays");
                prop_assert!(held[&entry.owner.namespace] <= share, "not the largest share");
            }
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn a_claim_evicts_what_it_needs_in_order_or_nothing(
        entries in some_entries(),
        bytes in 0_u64..800,
        requester in "[a-e]",
    ) {
        let order = choose_evictions(&entries, bytes, &requester);
        check(&entries, &order, Some(&requester))?;
        let sum = |order: &[usize]| order.iter().map(|at| entries[*at].bytes).sum::<u64>();
        match order.split_last() {
            None => prop_assert!(bytes == 0 || evictable(&entries) < bytes),
            Some((_, others)) => prop_assert!(sum(&order) >= bytes && sum(others) < bytes),
        }
    }

    #[test]
    fn the_trash_respects_its_limit_and_evicts_no_more_than_needed(
        entries in some_entries(),
        most in 0_u64..800,
    ) {
        let actions = decide(&entries, Some(most));
        let of = |action| {
            (0..entries.len()).filter(move |at| actions[*at] == action).collect::<Vec<_>>()
        };
        let (stay, leave) = (of.clone()(TrashAction::Keep), of.clone()(TrashAction::Evict));
        let sum = |all: &[usize]| all.iter().map(|at| entries[*at].bytes).sum::<u64>();
        let young = stay.iter().all(|at| entries[*at].spent < MIN_AGE);
        prop_assert!(sum(&stay) <= most || young, "{stay:?} stay");
        let order = evict(&entries, sum(&leave), None);
        check(&entries, &order, None)?;
        if let Some((last, others)) = order.split_last() {
            let all: BTreeSet<_> = order.iter().copied().collect();
            prop_assert!(all.iter().all(|at| leave.contains(at)));
            // The trash would exceed its limit without the last eviction.
            let before = sum(&stay) + sum(&leave) - sum(others);
            prop_assert!(before > most || entries[*last].bytes == 0);
        }
        for at in of(TrashAction::Expire) {
            prop_assert!(entries[at].spent >= entries[at].ttl);
        }
    }
}
