use super::*;
use proptest::prelude::*;
use std::time::Duration as Pause;
use time::Duration;

type Data = BTreeMap<String, Vec<u8>>;

fn start() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap()
}

fn spec() -> CertSpec {
    let lifetimes = Lifetimes {
        ca: Duration::days(365),
        leaf: Duration::days(30),
        settle: Pause::from_secs(10),
    };
    CertSpec { names: vec!["hook.ns.svc".to_owned(), "127.0.0.1".to_owned()], lifetimes }
}

fn fresh() -> CertBundle {
    CertBundle::create(&spec().at(start())).unwrap()
}

fn data(certs: &CertBundle) -> Data {
    let data = certs.data().into_iter();
    data.filter_map(|(key, text)| Some((key.to_owned(), text?.into_bytes()))).collect()
}

fn summary(certs: &CertBundle) -> StoredCerts {
    certs.summary(&spec().names)
}

fn changed(stored: CertBundle, change: &Change, now: OffsetDateTime) -> CertBundle {
    CertBundle::changed(Some(stored), change, &Bundle::new(), &spec().at(now)).unwrap()
}

fn put(data: &mut Data, key: &str, text: &str) {
    data.insert(key.to_owned(), text.into());
}

#[test]
fn serialised_content_parses_to_the_same() {
    let mut now = start();
    let mut certs = fresh();
    let changes = [
        Change::Confirm,
        Change::IssueLeaf("test"),
        Change::Introduce,
        Change::Introduce,
        Change::Promote,
        Change::Introduce,
        Change::Promote,
        Change::Retire(Vec::new()),
    ];
    for mut change in changes {
        now += Duration::DAY;
        if let Change::Retire(ids) = &mut change {
            ids.extend(summary(&certs).old.iter().map(|old| old.id));
        }
        certs = changed(certs, &change, now);
        let read = CertBundle::read(&data(&certs)).unwrap();
        assert_eq!(summary(&read), summary(&certs), "after {change:?}");
        assert_eq!(read.bundle(), certs.bundle(), "after {change:?}");
        assert!(summary(&certs).leaf.is_ok(), "after {change:?}");
    }
    let keys: Vec<_> = data(&certs).into_keys().collect();
    assert_eq!(keys, ["ca.crt", "ca.key", "tls.crt", "tls.key"], "no other key is left");
}

#[test]
fn the_bundle_has_the_current_the_next_and_the_previous_cas() {
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
    assert_eq!(summary(&introduced).leaf.unwrap().issuer, one.id, "the current CA still issues");

    let promoted = changed(introduced, &Change::Promote, start() + Duration::HOUR);
    let stored = summary(&promoted);
    assert_eq!(ids(&promoted.bundle()), [two.id, one.id]);
    assert_eq!((stored.current, stored.next, stored.old.as_slice()), (two, None, &[one][..]));
    assert_eq!(stored.leaf.unwrap().issuer, two.id);
    assert_eq!(stored.retire_at, Some(leaf_end + spec().lifetimes.grace()));
}

#[test]
fn recreated_content_keeps_the_given_cas() {
    let (one, two, other) = (fresh(), fresh(), fresh());
    let published = [&one, &two, &other].map(|certs| certs.bundle()).concat();
    let found = Bundle::salvage(&published);
    let (one, two) = (summary(&one).current, summary(&two).current);
    let change = Change::Recreate { keep: vec![one.id], why: "test".to_owned() };
    let new = CertBundle::changed(None, &change, &found, &spec().at(start())).unwrap();
    let stored = summary(&new);
    assert_eq!((stored.old.as_slice(), stored.inherits), (&[one][..], true));
    assert_eq!(stored.retire_at, Some(spec().lifetimes.retire_adopted(start())));

    let change = Change::Adopt(vec![two.id]);
    let more = CertBundle::changed(Some(new), &change, &found, &spec().at(start())).unwrap();
    assert_eq!(summary(&more).old, [one, two]);
    assert!(!summary(&changed(more, &Change::Confirm, start())).inherits);
}

#[test]
fn an_invalid_ca_is_an_error() {
    let other = data(&fresh());
    for (key, text, wanted) in [
        (names::SECRET_CA_CERT, None, "ca.crt is missing"),
        (names::SECRET_CA_CERT, Some("garbage"), "the CA is not usable"),
        (names::SECRET_CA_KEY, None, "ca.key is missing"),
        (names::SECRET_CA_KEY, Some("garbage"), "the CA is not usable"),
        (names::SECRET_CA_KEY, Some("\u{fffd}"), "the CA is not usable"),
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
fn an_invalid_leaf_or_next_ca_does_not_invalidate_the_rest() {
    let other = data(&fresh());
    let whole = changed(fresh(), &Change::Introduce, start());
    let whole = data(&whole);
    let leaf = [names::SECRET_LEAF_CERT, names::SECRET_LEAF_KEY];
    for (keys, why) in
        [(&leaf[1..], "the leaf is malformed"), (&leaf[..], "the leaf was issued by another CA")]
    {
        let mut data = whole.clone();
        for key in keys {
            data.insert((*key).to_owned(), other[*key].clone());
        }
        let certs = CertBundle::read(&data).unwrap();
        assert_eq!(summary(&certs).leaf, Err(why));
        // It can still be serialised and changed.
        let certs = CertBundle::read(&self::data(&certs)).unwrap();
        let repaired = changed(certs, &Change::IssueLeaf(why), start());
        assert!(summary(&repaired).leaf.is_ok());
    }
    for (key, text) in [
        (names::SECRET_NEXT_KEY, "garbage"),
        (names::SECRET_RETIRE_AT, "yesterday"),
        (names::SECRET_RETIRE_AT, "99999999999999999"),
        (names::SECRET_INHERITS, "perhaps"),
    ] {
        let mut data = whole.clone();
        put(&mut data, key, text);
        let stored = summary(&CertBundle::read(&data).unwrap());
        assert_eq!(stored.next.is_none(), key == names::SECRET_NEXT_KEY);
        let inherits = key != names::SECRET_INHERITS;
        assert_eq!((stored.retire_at, stored.inherits), (None, inherits), "{key} {text}");
        assert_eq!(stored.trusted().count(), 2, "published CAs stay trusted");
    }
}

#[test]
fn a_missing_name_is_reported() {
    let more = [spec().names, vec!["other.example".to_owned()]].concat();
    assert_eq!(fresh().summary(&more).leaf, Err("the leaf lacks a name"));
    assert!(fresh().summary(&spec().names[..1]).leaf.is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_content_of_a_secret_is_parsed_without_a_panic(
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
        if let Ok(certs) = CertBundle::read(&data) {
            prop_assert!(summary(&certs).trusted().count() >= 1);
        }
    }
}
