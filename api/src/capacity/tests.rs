use super::*;
use proptest::prelude::*;

const GIB: u64 = 1 << 30;

fn pool() -> PoolName {
    PoolName::default()
}

fn of(total: u64, free: u64, granted: u64, unwritten: u64) -> State {
    let gib = |number: u64| number * GIB;
    State {
        total: gib(total),
        free: gib(free),
        granted: gib(granted),
        unwritten: gib(unwritten),
        ..State::default()
    }
}

fn limits(reserve: &str, overcommit: &str) -> CapacityLimits {
    CapacityLimits {
        size: None,
        reserve: Reserve::parse(reserve).unwrap(),
        overcommit: Overcommit::parse(overcommit).unwrap(),
    }
}

#[test]
fn the_room_of_a_pool_passes_all_three_tests() {
    for (why, state, limits, gib) in [
        ("an empty disk of its own", of(100, 100, 0, 0), limits("10%", "1"), 90),
        (
            "what is granted counts though nothing is written",
            of(100, 100, 60, 60),
            limits("10%", "1"),
            30,
        ),
        ("and once, when it is written", of(100, 40, 60, 0), limits("10%", "1"), 30),
        ("what others have written counts", of(100, 30, 0, 0), limits("10%", "1"), 20),
        ("also beside what is granted", of(100, 30, 15, 15), limits("10%", "1"), 5),
        ("a disk that others have filled", of(100, 5, 0, 0), limits("10%", "1"), 0),
        ("a reserve that is larger than the disk", of(100, 100, 0, 0), limits("200Gi", "1"), 0),
        ("granted more than there is", of(100, 100, 500, 500), limits("0%", "1"), 0),
        ("room that is given away twice", of(100, 100, 100, 100), limits("0%", "2"), 100),
        ("but no volume is larger than what is free", of(100, 50, 50, 0), limits("0%", "3"), 50),
        ("a reserve in bytes", of(100, 100, 0, 0), limits("20Gi", "1"), 80),
    ] {
        assert_eq!(limits.available(state).allocatable, gib * GIB, "{why}");
        assert!(limits.check(&pool(), state, gib * GIB).is_ok(), "{why}");
        assert!(limits.check(&pool(), state, gib * GIB + 1).is_err(), "{why}");
    }
    let standard = |total| CapacityLimits::default().available(of(total, total, 0, 0)).reserve;
    assert_eq!((standard(50), standard(100), standard(5000)), (5 * GIB, 10 * GIB, 10 * GIB));
    let share = CapacityLimits { size: Some(parse_size("50Gi").unwrap()), ..limits("10%", "1") };
    assert_eq!(share.available(of(100, 100, 20, 20)).allocatable, 25 * GIB);
}

#[test]
fn a_refusal_has_all_its_figures() {
    let state = of(100, 40, 70, 15);
    let refused = limits("10%", "1").check(&pool(), state, 50 * GIB).unwrap_err().to_string();
    assert_eq!(
        refused,
        "pool default has 15Gi available, the claim requests 50Gi: of 100Gi it may grant 90Gi and \
         has granted 70Gi, 40Gi are free on its disk, and 10Gi are reserved; request less, delete \
         unneeded volumes, or use another pool or node"
    );
}

#[test]
fn the_bytes_to_remove_are_known_if_that_helps() {
    let refused =
        |state, gib: u64| limits("10%", "1").check(&pool(), state, gib * GIB).unwrap_err();
    let full = refused(of(100, 30, 0, 0), 25);
    assert_eq!(full.to_remove(), Some((&pool(), 5 * GIB)));
    assert_eq!(refused(of(100, 100, 80, 80), 25).to_remove(), None);
}

#[test]
fn a_filesystem_that_runs_out_of_files_is_full() {
    let state = |free_inodes| State { inodes: 1000, free_inodes, ..of(100, 100, 0, 0) };
    assert!(limits("0%", "1").check(&pool(), state(50), 1).is_ok());
    let refused = limits("0%", "1").check(&pool(), state(49), 1).unwrap_err().to_string();
    assert!(refused.contains("49 of 1000 inodes free, and 5% are reserved"), "{refused}");
}

#[test]
fn limits_are_read_and_mistakes_are_named() {
    assert_eq!(Reserve::parse("0%"), Ok(Reserve::Percent(0)));
    assert_eq!(Reserve::parse("5Gi"), Ok(Reserve::Bytes(Bytes(5 * GIB))));
    for text in ["", "%", "100%", "-1%", "+5%", "ten", "1.5%", "999%"] {
        assert!(Reserve::parse(text).is_err(), "{text:?}");
    }
    for (text, percent) in [("1", 100), ("1.5", 150), ("2.25", 225), ("100", 10_000), ("1.0", 100)]
    {
        assert_eq!(Overcommit::parse(text), Ok(Overcommit(percent)), "{text:?}");
    }
    for text in ["", "0", "0.99", "100.01", "1,5", "1.", ".5", "1.234", "-2", "1e1", "1000"] {
        assert!(Overcommit::parse(text).is_err(), "{text:?}");
    }
    assert!(parse_size("big").unwrap_err().to_string().contains("write a number with a unit"));
}

#[test]
fn sizes_for_people_are_short_and_never_too_large() {
    for (bytes, text) in [
        (0, "0"),
        (1023, "1023"),
        (1024, "1Ki"),
        (1536, "1.5Ki"),
        (GIB - 1, "1023Mi"),
        (GIB, "1Gi"),
        (150 * GIB + GIB / 2, "150Gi"),
        (u64::MAX, "15.9Ei"),
    ] {
        assert_eq!(About(bytes).to_string(), text);
    }
}

proptest! {
    #[test]
    fn no_state_grants_more_than_there_is(
        total: u64, free: u64, granted: u64, unwritten: u64, requested: u64,
        percent in 0_u8..100, ratio in 100_u32..=10_000,
    ) {
        let state = State { total, free, granted, unwritten, ..State::default() };
        let limits = CapacityLimits {
            size: None,
            reserve: Reserve::Percent(percent),
            overcommit: Overcommit(ratio),
        };
        if let Ok(available) = limits.check(&pool(), state, requested) {
            prop_assert!(requested <= free);
            let sum = u128::from(granted) + u128::from(requested);
            prop_assert!(sum <= u128::from(available.grantable));
        }
        if ratio == 100 && limits.check(&pool(), state, requested).is_ok() {
            prop_assert!(u128::from(unwritten) + u128::from(requested) <= u128::from(free));
        }
        let checked = limits.check(&pool(), state, requested);
        let _text = checked.map_err(|shortage| shortage.to_string());
    }
}
