use super::*;
use fastrak_certs::Validity;
use time::Duration as Time;

const LIFETIMES: Lifetimes =
    Lifetimes { authority: Time::days(365), leaf: Time::days(30), settle: Duration::from_secs(10) };

fn start() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap()
}

fn id(number: u8) -> Id {
    Id([number; 32])
}

fn authority(number: u8, made: OffsetDateTime) -> AuthorityFact {
    AuthorityFact { id: id(number), validity: Validity::starting(made, LIFETIMES.authority) }
}

fn leaf(number: u8, issuer: u8, made: OffsetDateTime) -> LeafFact {
    let validity = Validity::starting(made, LIFETIMES.leaf);
    LeafFact { id: id(number), issuer: id(issuer), validity }
}

/// Authority 1 and its leaf 11, both just made.
fn held() -> Held {
    Held {
        current: authority(1, start()),
        next: None,
        old: Vec::new(),
        leaf: Ok(leaf(11, 1, start())),
        retire_at: None,
        inherits: false,
    }
}

/// Everything as it should be: published long since, and served.
fn settled(held: Held) -> View {
    let trusted = held.trusted().map(|it| (it.id, Duration::from_secs(3600))).collect();
    let found = held.trusted().copied().collect();
    let served = held.leaf.ok();
    let published = Published { trusted, found, exact: true };
    View { published, stored: Stored::Usable(Box::new(held)), served }
}

fn step(view: &View, days: i64) -> Step {
    plan(view, &LIFETIMES, start() + Time::days(days))
}

fn change(change: Change) -> Step {
    Step::Change(change)
}

#[test]
fn what_is_settled_rests_until_two_thirds_of_a_life_are_over() {
    let mut old_leaf = held();
    old_leaf.leaf = Ok(leaf(11, 1, start() + Time::days(240)));
    for (view, days, wanted) in [
        (settled(held()), 0, Step::Rest(None)),
        (settled(held()), 19, Step::Rest(None)),
        (settled(held()), 20, change(Change::IssueLeaf("two thirds of the leaf's time are over"))),
        (settled(held()), 31, change(Change::IssueLeaf("the leaf has ended"))),
        (settled(old_leaf.clone()), 243, Step::Rest(None)),
        (settled(old_leaf), 244, change(Change::Introduce)),
    ] {
        assert_eq!(step(&view, days), wanted, "after {days} days");
    }
}

#[test]
fn without_an_authority_all_is_made_anew_and_those_who_are_published_are_kept() {
    let mut view = settled(held());
    view.published.found = vec![authority(7, start()), authority(8, start() - Time::days(364))];
    let remake = |why: &str, keep: &[u8]| {
        let keep = keep.iter().map(|number| id(*number)).collect();
        change(Change::Remake { keep, why: why.to_owned() })
    };
    view.stored = Stored::Absent;
    assert_eq!(step(&view, 0), remake("there is no Secret", &[7, 8]));
    // What has expired long since counts for nobody.
    assert_eq!(step(&view, 3), remake("there is no Secret", &[7]));
    view.stored = Stored::Unusable("rubbish".to_owned());
    assert_eq!(step(&view, 0), remake("rubbish", &[7, 8]));
    view.stored = Stored::Usable(Box::new(held()));
    view.published.found = vec![authority(1, start())];
    assert_eq!(step(&view, 366), remake("the authority has ended", &[1]));
    assert_eq!(step(&view, 367), remake("the authority has ended", &[]));
}

#[test]
fn whoever_may_write_the_bundle_cannot_make_it_grow_for_ever() {
    let mut view = settled(held());
    view.published.found = (0..50).map(|number| authority(number, start())).collect();
    view.stored = Stored::Absent;
    let Step::Change(Change::Remake { keep, .. }) = step(&view, 0) else { panic!("not made anew") };
    assert_eq!(keep.len(), MOST - 1);
    let mut full = held();
    full.inherits = true;
    full.old = keep.iter().map(|id| AuthorityFact { id: *id, ..authority(0, start()) }).collect();
    view.stored = Stored::Usable(Box::new(full));
    assert_eq!(step(&view, 0), change(Change::Confirm), "there is room for no more");
}

#[test]
fn what_was_made_anew_takes_over_whoever_is_published_until_it_was_read_back() {
    let new = Held { inherits: true, ..held() };
    let mut view = settled(new);
    view.published.found.push(authority(7, start()));
    view.published.exact = false;
    assert_eq!(step(&view, 0), change(Change::Adopt(vec![id(7)])));
    view.published.found.pop();
    assert_eq!(step(&view, 0), Step::Publish);
    view.published.exact = true;
    assert_eq!(step(&view, 0), change(Change::Confirm));
}

#[test]
fn a_bundle_that_was_changed_is_put_right_before_anything_else() {
    let mut view = settled(held());
    view.published.exact = false;
    view.published.found.push(authority(7, start()));
    for days in [0, 25, 250] {
        assert_eq!(step(&view, days), Step::Publish, "after {days} days");
    }
}

#[test]
fn the_next_authority_signs_once_it_was_published_for_as_long_as_settling_takes() {
    let due = start() + Time::days(250);
    let mut held = held();
    held.leaf = Ok(leaf(12, 1, due));
    held.next = Some(authority(2, due));
    let mut view = settled(held.clone());
    for (seconds, wanted) in [
        (0, Step::Rest(Some(Duration::from_secs(10)))),
        (9, Step::Rest(Some(Duration::from_secs(1)))),
        (10, change(Change::Promote)),
    ] {
        view.published.trusted[1].1 = Duration::from_secs(seconds);
        assert_eq!(step(&view, 250), wanted, "after {seconds} seconds");
    }
    // One that no longer begins in time, or has expired, is made again.
    held.next = Some(authority(2, due + Time::DAY));
    assert_eq!(step(&settled(held.clone()), 250), change(Change::Introduce));
    held.next = Some(authority(2, start() - Time::days(200)));
    assert_eq!(step(&settled(held), 250), change(Change::Introduce));
}

#[test]
fn a_next_authority_takes_over_at_once_from_one_that_has_ended() {
    let mut held = held();
    held.next = Some(authority(2, start() + Time::days(250)));
    let mut view = settled(held);
    view.published = Published::default();
    assert_eq!(step(&view, 366), change(Change::Promote));
}

#[test]
fn nothing_is_served_whose_authority_was_not_read_back() {
    let mut view = settled(held());
    view.served = None;
    assert_eq!(step(&view, 0), Step::Serve);
    view.published = Published::default();
    assert_eq!(step(&view, 0), Step::Publish);
    view.published.trusted = vec![(id(7), Duration::from_secs(3600))];
    view.published.exact = true;
    assert_eq!(step(&view, 0), Step::Rest(None));
}

#[test]
fn what_is_good_is_served_on_until_the_new_authority_has_settled() {
    let promoted = || Held {
        current: authority(2, start()),
        old: vec![authority(1, start())],
        leaf: Ok(leaf(21, 2, start())),
        retire_at: Some(start() + Time::days(40)),
        ..held()
    };
    let mut view = settled(promoted());
    view.served = Some(leaf(11, 1, start()));
    view.published.trusted[0].1 = Duration::from_secs(4);
    assert_eq!(step(&view, 0), Step::Rest(Some(Duration::from_secs(6))));
    view.published.trusted[0].1 = Duration::from_secs(10);
    assert_eq!(step(&view, 0), Step::Serve);
    // What is no longer good is not waited for: it has expired, or is not trusted.
    view.published.trusted[0].1 = Duration::from_secs(4);
    view.served = Some(leaf(11, 1, start() - Time::days(31)));
    assert_eq!(step(&view, 0), Step::Serve);
    view.served = Some(leaf(11, 9, start()));
    assert_eq!(step(&view, 0), Step::Serve);
    // Nor is a new leaf of the same authority.
    view.served = Some(leaf(20, 2, start()));
    assert_eq!(step(&view, 0), Step::Serve);
}

#[test]
fn the_old_one_is_forgotten_when_its_last_leaf_has_ended() {
    let mut held = held();
    held.old = vec![authority(7, start() - Time::days(300))];
    held.retire_at = Some(start() + Time::days(10));
    assert_eq!(step(&settled(held.clone()), 9), Step::Rest(None));
    assert_eq!(step(&settled(held.clone()), 10), change(Change::Retire(vec![id(7)])));
    // One that has expired itself is forgotten also where others are not.
    let mut two = held.clone();
    two.old.push(authority(8, start() - Time::days(365)));
    assert_eq!(step(&settled(two.clone()), 1), Step::Rest(None));
    assert_eq!(step(&settled(two), 2), change(Change::Retire(vec![id(8)])));
    // Where nobody knows when that is: when it has expired itself.
    held.retire_at = None;
    held.leaf = Ok(leaf(11, 1, start() + Time::days(60)));
    assert_eq!(step(&settled(held.clone()), 65), Step::Rest(None));
    assert_eq!(step(&settled(held), 67), change(Change::Retire(vec![id(7)])));
}

#[test]
fn a_clock_that_is_a_day_behind_replaces_everything_with_care() {
    let view = settled(held());
    assert_eq!(step(&view, -1), change(Change::Introduce));
    let mut held = held();
    held.current = authority(1, start() - Time::days(2));
    assert_eq!(step(&settled(held), -1), change(Change::IssueLeaf("the leaf has not begun")));
}

#[test]
fn near_the_end_of_its_authority_a_leaf_is_not_made_over_and_over() {
    let mut held = held();
    let mut last = leaf(12, 1, start() + Time::days(340));
    last.validity.not_after = held.current.validity.not_after;
    held.leaf = Ok(last);
    held.next = Some(authority(2, start() + Time::days(340)));
    let mut view = settled(held);
    view.published.trusted[1].1 = Duration::ZERO;
    for days in 357..365 {
        assert!(matches!(step(&view, days), Step::Rest(Some(_))), "after {days} days");
    }
}
