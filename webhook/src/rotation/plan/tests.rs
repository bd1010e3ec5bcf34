use super::*;
use fastrak_certs::Validity;
use time::Duration as Time;

const LIFETIMES: Lifetimes =
    Lifetimes { ca: Time::days(365), leaf: Time::days(30), settle: Duration::from_secs(10) };

fn start() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap()
}

fn id(number: u8) -> Id {
    Id([number; 32])
}

fn ca(number: u8, made: OffsetDateTime) -> CaInfo {
    CaInfo { id: id(number), validity: Validity::starting(made, LIFETIMES.ca) }
}

fn leaf(number: u8, issuer: u8, made: OffsetDateTime) -> LeafInfo {
    let validity = Validity::starting(made, LIFETIMES.leaf);
    LeafInfo { id: id(number), issuer: id(issuer), validity }
}

/// CA 1 and its leaf 11, both just issued.
fn certs() -> StoredCerts {
    StoredCerts {
        current: ca(1, start()),
        next: None,
        old: Vec::new(),
        leaf: Ok(leaf(11, 1, start())),
        retire_at: None,
        inherits: false,
    }
}

/// A state without work: published long ago, and served.
fn settled(certs: StoredCerts) -> View {
    let trusted = certs.trusted().map(|it| (it.id, Duration::from_secs(3600))).collect();
    let found = certs.trusted().copied().collect();
    let served = certs.leaf.ok();
    let published = Published { trusted, found, exact: true };
    View { published, stored: Stored::Usable(Box::new(certs)), served }
}

fn step(view: &View, days: i64) -> Step {
    plan(view, &LIFETIMES, start() + Time::days(days))
}

fn change(change: Change) -> Step {
    Step::Change(change)
}

#[test]
fn nothing_is_done_before_two_thirds_of_a_lifetime_have_passed() {
    let mut old_leaf = certs();
    old_leaf.leaf = Ok(leaf(11, 1, start() + Time::days(240)));
    for (view, days, wanted) in [
        (settled(certs()), 0, Step::Rest(None)),
        (settled(certs()), 19, Step::Rest(None)),
        (
            settled(certs()),
            20,
            change(Change::IssueLeaf("two thirds of the leaf's lifetime have passed")),
        ),
        (settled(certs()), 31, change(Change::IssueLeaf("the leaf has expired"))),
        (settled(old_leaf.clone()), 243, Step::Rest(None)),
        (settled(old_leaf), 244, change(Change::Introduce)),
    ] {
        assert_eq!(step(&view, days), wanted, "after {days} days");
    }
}

#[test]
fn without_a_ca_a_new_one_is_created_and_published_ones_are_kept() {
    let mut view = settled(certs());
    view.published.found = vec![ca(7, start()), ca(8, start() - Time::days(364))];
    let recreate = |why: &str, keep: &[u8]| {
        let keep = keep.iter().map(|number| id(*number)).collect();
        change(Change::Recreate { keep, why: why.to_owned() })
    };
    view.stored = Stored::Absent;
    assert_eq!(step(&view, 0), recreate("there is no Secret", &[7, 8]));
    // A CA that expired long ago is not kept.
    assert_eq!(step(&view, 3), recreate("there is no Secret", &[7]));
    view.stored = Stored::Unusable("garbage".to_owned());
    assert_eq!(step(&view, 0), recreate("garbage", &[7, 8]));
    view.stored = Stored::Usable(Box::new(certs()));
    view.published.found = vec![ca(1, start())];
    assert_eq!(step(&view, 366), recreate("the CA has expired", &[1]));
    assert_eq!(step(&view, 367), recreate("the CA has expired", &[]));
}

#[test]
fn a_client_that_writes_the_bundle_cannot_let_it_grow_without_limit() {
    let mut view = settled(certs());
    view.published.found = (0..50).map(|number| ca(number, start())).collect();
    view.stored = Stored::Absent;
    let Step::Change(Change::Recreate { keep, .. }) = step(&view, 0) else {
        panic!("not recreated")
    };
    assert_eq!(keep.len(), MAX_CAS - 1);
    let mut full = certs();
    full.inherits = true;
    full.old = keep.iter().map(|id| CaInfo { id: *id, ..ca(0, start()) }).collect();
    view.stored = Stored::Usable(Box::new(full));
    assert_eq!(step(&view, 0), change(Change::Confirm), "there is room for no more");
}

#[test]
fn a_recreated_secret_adopts_published_cas_until_its_own_was_read_back() {
    let new = StoredCerts { inherits: true, ..certs() };
    let mut view = settled(new);
    view.published.found.push(ca(7, start()));
    view.published.exact = false;
    assert_eq!(step(&view, 0), change(Change::Adopt(vec![id(7)])));
    view.published.found.pop();
    assert_eq!(step(&view, 0), Step::Publish);
    view.published.exact = true;
    assert_eq!(step(&view, 0), change(Change::Confirm));
}

#[test]
fn a_changed_bundle_is_repaired_first() {
    let mut view = settled(certs());
    view.published.exact = false;
    view.published.found.push(ca(7, start()));
    for days in [0, 25, 250] {
        assert_eq!(step(&view, days), Step::Publish, "after {days} days");
    }
}

#[test]
fn the_next_ca_is_promoted_after_it_was_published_for_the_settle_time() {
    let due = start() + Time::days(250);
    let mut certs = certs();
    certs.leaf = Ok(leaf(12, 1, due));
    certs.next = Some(ca(2, due));
    let mut view = settled(certs.clone());
    for (seconds, wanted) in [
        (0, Step::Rest(Some(Duration::from_secs(10)))),
        (9, Step::Rest(Some(Duration::from_secs(1)))),
        (10, change(Change::Promote)),
    ] {
        view.published.trusted[1].1 = Duration::from_secs(seconds);
        assert_eq!(step(&view, 250), wanted, "after {seconds} seconds");
    }
    // One that is not valid yet, or has expired, is replaced.
    certs.next = Some(ca(2, due + Time::DAY));
    assert_eq!(step(&settled(certs.clone()), 250), change(Change::Introduce));
    certs.next = Some(ca(2, start() - Time::days(200)));
    assert_eq!(step(&settled(certs), 250), change(Change::Introduce));
}

#[test]
fn the_next_ca_replaces_an_expired_one_at_once() {
    let mut certs = certs();
    certs.next = Some(ca(2, start() + Time::days(250)));
    let mut view = settled(certs);
    view.published = Published::default();
    assert_eq!(step(&view, 366), change(Change::Promote));
}

#[test]
fn a_leaf_is_not_served_before_its_ca_was_read_back() {
    let mut view = settled(certs());
    view.served = None;
    assert_eq!(step(&view, 0), Step::Serve);
    view.published = Published::default();
    assert_eq!(step(&view, 0), Step::Publish);
    view.published.trusted = vec![(id(7), Duration::from_secs(3600))];
    view.published.exact = true;
    assert_eq!(step(&view, 0), Step::Rest(None));
}

#[test]
fn a_valid_leaf_is_served_until_the_new_ca_has_settled() {
    let promoted = || StoredCerts {
        current: ca(2, start()),
        old: vec![ca(1, start())],
        leaf: Ok(leaf(21, 2, start())),
        retire_at: Some(start() + Time::days(40)),
        ..certs()
    };
    let mut view = settled(promoted());
    view.served = Some(leaf(11, 1, start()));
    view.published.trusted[0].1 = Duration::from_secs(4);
    assert_eq!(step(&view, 0), Step::Rest(Some(Duration::from_secs(6))));
    view.published.trusted[0].1 = Duration::from_secs(10);
    assert_eq!(step(&view, 0), Step::Serve);
    // An expired or untrusted leaf is replaced at once.
    view.published.trusted[0].1 = Duration::from_secs(4);
    view.served = Some(leaf(11, 1, start() - Time::days(31)));
    assert_eq!(step(&view, 0), Step::Serve);
    view.served = Some(leaf(11, 9, start()));
    assert_eq!(step(&view, 0), Step::Serve);
    // So is a leaf of the same CA.
    view.served = Some(leaf(20, 2, start()));
    assert_eq!(step(&view, 0), Step::Serve);
}

#[test]
fn a_previous_ca_is_removed_when_its_last_leaf_has_expired() {
    let mut certs = certs();
    certs.old = vec![ca(7, start() - Time::days(300))];
    certs.retire_at = Some(start() + Time::days(10));
    assert_eq!(step(&settled(certs.clone()), 9), Step::Rest(None));
    assert_eq!(step(&settled(certs.clone()), 10), change(Change::Retire(vec![id(7)])));
    // One that has expired itself is removed before the others.
    let mut two = certs.clone();
    two.old.push(ca(8, start() - Time::days(365)));
    assert_eq!(step(&settled(two.clone()), 1), Step::Rest(None));
    assert_eq!(step(&settled(two), 2), change(Change::Retire(vec![id(8)])));
    // Without a known time, it is removed when it has expired itself.
    certs.retire_at = None;
    certs.leaf = Ok(leaf(11, 1, start() + Time::days(60)));
    assert_eq!(step(&settled(certs.clone()), 65), Step::Rest(None));
    assert_eq!(step(&settled(certs), 67), change(Change::Retire(vec![id(7)])));
}

#[test]
fn with_a_clock_that_is_a_day_behind_certificates_are_replaced_step_by_step() {
    let view = settled(certs());
    assert_eq!(step(&view, -1), change(Change::Introduce));
    let mut certs = certs();
    certs.current = ca(1, start() - Time::days(2));
    assert_eq!(step(&settled(certs), -1), change(Change::IssueLeaf("the leaf is not valid yet")));
}

#[test]
fn shortly_before_its_ca_expires_a_leaf_is_not_issued_repeatedly() {
    let mut certs = certs();
    let mut last = leaf(12, 1, start() + Time::days(340));
    last.validity.not_after = certs.current.validity.not_after;
    certs.leaf = Ok(last);
    certs.next = Some(ca(2, start() + Time::days(340)));
    let mut view = settled(certs);
    view.published.trusted[1].1 = Duration::ZERO;
    for days in 357..365 {
        assert!(matches!(step(&view, days), Step::Rest(Some(_))), "after {days} days");
    }
}
