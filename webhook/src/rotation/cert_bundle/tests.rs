use super::*;
use proptest::prelude::*;
use std::time::Duration as Pause;
use time::Duration;

type Data = BTreeMap<String, Vec<u8>>;

fn start() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap()
}

fn recipe() -> CertSpec {
    let lifetimes = Lifetimes {
        authority: Duration::days(365),
        leaf: Duration::days(30),
        settle: Pause::from_secs(10),
    };
    CertSpec { names: vec!["hook.ns.svc".to_owned(), "127.0.0.1".to_owned()], lifetimes }
}

fn fresh() -> CertBundle {
    CertBundle::create(&recipe().at(start())).unwrap()
}

fn data(material: &CertBundle) -> Data {
    let data = material.data().into_iter();
    data.filter_map(|(key, text)| Some((key.to_owned(), text?.into_bytes()))).collect()
}

fn summary(material: &CertBundle) -> Held {
    material.summary(&recipe().names)
}

fn changed(stored: CertBundle, change: &Change, now: OffsetDateTime) -> CertBundle {
    CertBundle::changed(Some(stored), change, &Bundle::new(), &recipe().at(now)).unwrap()
}

fn put(data: &mut Data, key: &str, text: &str) {
    data.insert(key.to_owned(), text.into());
}

#[test]
fn what_is_written_is_what_is_read() {
    let mut now = start();
    let mut material = fresh();
    let road = [
        Change::Confirm,
        Change::IssueLeaf("test"),
        Change::Introduce,
        Change::Introduce,
        Change::Promote,
        Change::Introduce,
        Change::Promote,
        Change::Retire(Vec::new()),
    ];
    for mut change in road {
        now += Duration::DAY;
        if let Change::Retire(ids) = &mut change {
            ids.extend(summary(&material).old.iter().map(|old| old.id));
        }
        material = changed(material, &change, now);
        let read = CertBundle::read(&data(&material)).unwrap();
        assert_eq!(summary(&read), summary(&material), "after {change:?}");
        assert_eq!(read.bundle(), material.bundle(), "after {change:?}");
        assert!(summary(&material).leaf.is_ok(), "after {change:?}");
    }
    let keys: Vec<_> = data(&material).into_keys().collect();
    assert_eq!(keys, ["ca.crt", "ca.key", "tls.crt", "tls.key"], "in the end nothing else is left");
}

#[test]
fn the_bundle_has_the_one_that_signs_the_one_that_comes_and_those_that_did() {
    let first = fresh();
    let (one, leaf_end) =
        (summary(&first).current, summary(&first).leaf.unwrap().validity.not_after);
    let introduced = changed(first, &Change::Introduce, start());
    let two = summary(&introduced).next.unwrap();
    let ids = |text: &str| {
        let bundle = Bundle::parse(text).unwrap();
        bundle.iter().map(|pem| Id::of(&pem)).collect::<Vec<_>>()
    };
    assert_eq!(ids(&introduced.bundle()), [one.id, two.id]);
    assert_eq!(summary(&introduced).leaf.unwrap().issuer, one.id, "the old one signs on");

    let promoted = changed(introduced, &Change::Promote, start() + Duration::HOUR);
    let held = summary(&promoted);
    assert_eq!(ids(&promoted.bundle()), [two.id, one.id]);
    assert_eq!((held.current, held.next, held.old.as_slice()), (two, None, &[one][..]));
    assert_eq!(held.leaf.unwrap().issuer, two.id);
    assert_eq!(held.retire_at, Some(leaf_end + recipe().lifetimes.grace()));
}

#[test]
fn what_is_made_anew_goes_on_trusting_whom_it_is_told_to() {
    let (one, two, other) = (fresh(), fresh(), fresh());
    let published = [&one, &two, &other].map(|material| material.bundle()).concat();
    let found = Bundle::salvage(&published);
    let (one, two) = (summary(&one).current, summary(&two).current);
    let change = Change::Remake { keep: vec![one.id], why: "test".to_owned() };
    let new = CertBundle::changed(None, &change, &found, &recipe().at(start())).unwrap();
    let held = summary(&new);
    assert_eq!((held.old.as_slice(), held.inherits), (&[one][..], true));
    assert_eq!(held.retire_at, Some(recipe().lifetimes.retire_adopted(start())));

    let change = Change::Adopt(vec![two.id]);
    let more = CertBundle::changed(Some(new), &change, &found, &recipe().at(start())).unwrap();
    assert_eq!(summary(&more).old, [one, two]);
    assert!(!summary(&changed(more, &Change::Confirm, start())).inherits);
}

#[test]
fn an_authority_that_cannot_be_used_is_an_error() {
    let other = data(&fresh());
    for (key, text, wanted) in [
        (names::SECRET_CA_CERT, None, "ca.crt is missing"),
        (names::SECRET_CA_CERT, Some("rubbish"), "the authority cannot be used"),
        (names::SECRET_CA_KEY, None, "ca.key is missing"),
        (names::SECRET_CA_KEY, Some("rubbish"), "the authority cannot be used"),
        (names::SECRET_CA_KEY, Some("\u{fffd}"), "the authority cannot be used"),
    ] {
        let mut data = data(&fresh());
        match text {
            Some(text) => put(&mut data, key, text),
            None => drop(data.remove(key)),
        }
        let error = CertBundle::read(&data).unwrap_err().to_string();
        assert!(error.contains(wanted), "{error}");
    }
    let mut swapped = data(&fresh());
    swapped.insert(names::SECRET_CA_KEY.to_owned(), other[names::SECRET_CA_KEY].clone());
    CertBundle::read(&swapped).unwrap_err();
    CertBundle::read(&Data::new()).unwrap_err();
}

#[test]
fn a_spoilt_leaf_or_successor_spoils_nothing_else() {
    let other = data(&fresh());
    let whole = changed(fresh(), &Change::Introduce, start());
    let whole = data(&whole);
    let leaf = [names::SECRET_LEAF_CERT, names::SECRET_LEAF_KEY];
    for (keys, why) in
        [(&leaf[1..], "the leaf cannot be read"), (&leaf[..], "the leaf is another authority's")]
    {
        let mut data = whole.clone();
        for key in keys {
            data.insert((*key).to_owned(), other[*key].clone());
        }
        let material = CertBundle::read(&data).unwrap();
        assert_eq!(summary(&material).leaf, Err(why));
        // It can be written down and changed all the same.
        let material = CertBundle::read(&self::data(&material)).unwrap();
        let repaired = changed(material, &Change::IssueLeaf(why), start());
        assert!(summary(&repaired).leaf.is_ok());
    }
    for (key, text) in [
        (names::SECRET_NEXT_KEY, "rubbish"),
        (names::SECRET_RETIRE_AT, "yesterday"),
        (names::SECRET_RETIRE_AT, "99999999999999999"),
        (names::SECRET_INHERITS, "perhaps"),
    ] {
        let mut data = whole.clone();
        put(&mut data, key, text);
        let held = summary(&CertBundle::read(&data).unwrap());
        assert_eq!(held.next.is_none(), key == names::SECRET_NEXT_KEY);
        let inherits = key != names::SECRET_INHERITS;
        assert_eq!((held.retire_at, held.inherits), (None, inherits), "{key} {text}");
        assert_eq!(held.trusted().count(), 2, "who was published stays trusted");
    }
}

#[test]
fn a_name_that_is_missing_is_told() {
    let more = [recipe().names, vec!["other.example".to_owned()]].concat();
    assert_eq!(fresh().summary(&more).leaf, Err("the leaf lacks a name"));
    assert!(fresh().summary(&recipe().names[..1]).leaf.is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_is_in_a_secret_is_read_without_a_panic(
        values in prop::collection::btree_map(
            prop::sample::select(vec![
                names::SECRET_CA_CERT, names::SECRET_CA_KEY, names::SECRET_LEAF_CERT,
                names::SECRET_LEAF_KEY, names::SECRET_NEXT_CERT, names::SECRET_NEXT_KEY,
                names::SECRET_RETIRE_AT, names::SECRET_INHERITS,
            ]),
            (any::<prop::sample::Index>(), any::<u8>()), 0..4,
        )
    ) {
        let mut data = data(&changed(fresh(), &Change::Introduce, start()));
        for (key, (at, byte)) in values {
            let value = data.entry(key.to_owned()).or_default();
            match value.len() {
                0 => value.push(byte),
                len => value[at.index(len)] = byte,
            }
        }
        if let Ok(material) = CertBundle::read(&data) {
            prop_assert!(summary(&material).trusted().count() >= 1);
        }
    }
}
