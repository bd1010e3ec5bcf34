use super::*;
use fastrak_api::names as keys;
use proptest::prelude::*;
use std::collections::BTreeMap;
use time::Duration;

fn start() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap()
}

fn names() -> Vec<String> {
    vec!["hook.ns.svc".to_owned(), "127.0.0.1".to_owned()]
}

type Data = BTreeMap<String, Vec<u8>>;

fn data(material: &Material) -> Data {
    let data = material.data().unwrap();
    data.into_iter().map(|(key, text)| (key.to_owned(), text.into_bytes())).collect()
}

fn stored(data: &Data) -> Stored {
    match Material::read(data) {
        Ok(material) => Stored::Usable(Box::new(material)),
        Err(error) => Stored::Unusable(error),
    }
}

fn step(data: &Data, now: OffsetDateTime) -> Step {
    plan(&stored(data), now, &names())
}

fn fresh() -> Data {
    data(&Material::create(start(), &names()).unwrap())
}

#[test]
fn without_a_secret_one_is_made() {
    assert_eq!(plan(&Stored::Absent, start(), &names()), Step::Create);
}

#[test]
fn what_was_made_is_kept_until_two_thirds_of_the_leafs_time_are_over() {
    let data = fresh();
    for (days, wanted) in [
        (-1, Step::Keep),
        (0, Step::Keep),
        (19, Step::Keep),
        (20, Step::IssueLeaf("two thirds of the leaf's time are over")),
        (31, Step::IssueLeaf("the leaf has expired")),
        (244, Step::Renew),
        (366, Step::Remake("the authority has expired".to_owned())),
    ] {
        assert_eq!(step(&data, start() + Duration::days(days)), wanted, "{days}");
    }
}

#[test]
fn garbage_is_made_anew() {
    for (key, text, wanted) in [
        (keys::SECRET_CA_CERT, None, "ca.crt is missing"),
        (keys::SECRET_CA_CERT, Some("rubbish"), "no PEM block found"),
        (keys::SECRET_CA_KEY, None, "ca.key is missing"),
        (keys::SECRET_CA_KEY, Some("rubbish"), "the authority cannot be used"),
    ] {
        let mut data = fresh();
        match text {
            Some(text) => data.insert(key.to_owned(), text.into()),
            None => data.remove(key),
        };
        let Step::Remake(why) = step(&data, start()) else { panic!("{key} {text:?} is kept") };
        assert!(why.contains(wanted), "{why}");
    }
    assert!(matches!(step(&Data::new(), start()), Step::Remake(_)));
    let mut binary = fresh();
    binary.insert(keys::SECRET_CA_KEY.to_owned(), vec![0xff; 40]);
    assert!(matches!(step(&binary, start()), Step::Remake(_)));
}

#[test]
fn the_key_of_another_authority_is_garbage() {
    let (mut mine, other) = (fresh(), fresh());
    mine.insert(keys::SECRET_CA_KEY.to_owned(), other[keys::SECRET_CA_KEY].clone());
    assert!(matches!(step(&mine, start()), Step::Remake(_)));
}

#[test]
fn a_leaf_that_cannot_be_served_is_issued_again_by_the_same_authority() {
    let other = fresh();
    let swapped = |keys: &[&str]| {
        let mut data = fresh();
        for key in keys {
            data.insert((*key).to_owned(), other[*key].clone());
        }
        data
    };
    for (data, why) in [
        (swapped(&[keys::SECRET_LEAF_KEY]), "the leaf cannot be read"),
        (
            swapped(&[keys::SECRET_LEAF_KEY, keys::SECRET_LEAF_CERT]),
            "the leaf is another authority's",
        ),
    ] {
        assert_eq!(step(&data, start()), Step::IssueLeaf(why));
        let Stored::Usable(material) = stored(&data) else { panic!("the authority is sound") };
        let authority = material.authority.cert_pem().to_owned();
        let mended = material.with_new_leaf(start(), &names()).unwrap();
        assert_eq!(mended.authority.cert_pem(), authority);
        assert_eq!(step(&self::data(&mended), start()), Step::Keep);
    }
}

#[test]
fn a_name_that_is_missing_is_a_reason_for_a_new_leaf() {
    let more = [names(), vec!["other.example".to_owned()]].concat();
    assert_eq!(plan(&stored(&fresh()), start(), &more), Step::IssueLeaf("the leaf lacks a name"));
    assert_eq!(plan(&stored(&fresh()), start(), &names()[..1]), Step::Keep);
}

#[test]
fn after_a_renewal_the_old_leaf_is_still_trusted_and_the_new_authority_signs() {
    let now = start() + Duration::days(250);
    let old = Material::create(start(), &names()).unwrap();
    let old = old.with_new_leaf(now, &names()).unwrap();
    let new = old.renewed(now, &names()).unwrap();
    let leaf = |material: &Material| material.served.as_ref().unwrap().pem.cert_pem.clone();
    assert!(new.bundle.trusts(&leaf(&old), now) && new.bundle.trusts(&leaf(&new), now));
    assert!(!old.bundle.trusts(&leaf(&new), now));
    assert_eq!(step(&data(&new), now), Step::Keep);
    let later = now + Duration::days(240);
    let next = new.renewed(later, &names()).unwrap();
    assert_eq!(next.bundle.len(), 2, "the first authority has expired and is forgotten");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    /// Whatever time passes between two looks, each look ends with a leaf that is trusted, and
    /// the one before it is trusted beside it as long as it lasts.
    #[test]
    fn a_sequence_of_looks_never_leaves_a_gap(pauses in proptest::collection::vec(1i64..150, 1..8)) {
        let mut now = start();
        let mut data = fresh();
        for days in pauses {
            now += Duration::days(days);
            let step = step(&data, now);
            let before = match stored(&data) {
                Stored::Usable(material) => *material,
                other => panic!("{other:?}"),
            };
            let old_leaf = before.served.as_ref().unwrap().pem.cert_pem.clone();
            let was_good = before.bundle.trusts(&old_leaf, now);
            let next = match step {
                Step::Keep => before,
                Step::IssueLeaf(_) => before.with_new_leaf(now, &names()).unwrap(),
                Step::Renew => before.renewed(now, &names()).unwrap(),
                Step::Create | Step::Remake(_) => Material::create(now, &names()).unwrap(),
            };
            let leaf = &next.served.as_ref().unwrap().pem.cert_pem;
            prop_assert!(next.bundle.trusts(leaf, now));
            prop_assert!(!was_good || next.bundle.trusts(&old_leaf, now));
            data = self::data(&next);
            prop_assert_eq!(plan(&stored(&data), now, &names()), Step::Keep);
        }
    }
}
