use super::*;
use crate::snapshot::volume::{Phase, Volume};
use fastrak_api::claim_ref::ClaimRef;
use fastrak_api::class::ReclaimPolicy;

const MADE: i64 = 1_800_000_000;

fn source() -> Source {
    let claim = ClaimRef {
        namespace: "shop".to_owned(),
        name: "old".to_owned(),
        uid: Some("1".to_owned()),
    };
    let volume = Volume {
        provisioned_by: Some("rancher.io/local-path".to_owned()),
        phase: Phase::Released,
        policy: ReclaimPolicy::Retain,
        claim: Some(claim),
        ..Volume::default()
    };
    Source {
        volume,
        path: Some("/opt/old/pvc-1_shop_old".into()),
        hostname: Some("host-a".to_owned()),
        created: Some(MADE),
    }
}

fn evidence() -> Evidence {
    Evidence {
        source: Some(source()),
        claim: ClaimState::Gone,
        namespace_created: Some(MADE),
        mounted: Some(false),
    }
}

fn decide_on(evidence: &Evidence) -> Result<Place, Refusal> {
    decide_with(Quota::Preferred, evidence)
}

fn decide_with(quota: Quota, evidence: &Evidence) -> Result<Place, Refusal> {
    let claim = Claim { namespace: "shop".to_owned(), ..Claim::default() };
    let directories = ["/opt/other".into(), "/opt/old".into()];
    decide((&claim, quota), "pvc-1", ("node-a", "host-a", &directories), evidence)
}

fn with(source: Source) -> Evidence {
    Evidence { source: Some(source), ..evidence() }
}

fn of(volume: Volume) -> Evidence {
    with(Source { volume, ..source() })
}

#[test]
fn a_class_that_requires_a_quota_imports_no_data() {
    let refused = decide_with(Quota::Required, &evidence());
    assert_eq!(refused, Err(Refusal::NoQuota("pvc-1".to_owned())));
    assert!(decide_with(Quota::Off, &evidence()).is_ok());
}

#[test]
fn a_retained_volume_of_this_namespace_on_this_node_is_imported() {
    let place = Place { from: "/opt/old".into(), name: "pvc-1_shop_old".into() };
    assert_eq!(decide_on(&evidence()), Ok(place.clone()));
    let openebs = Some("openebs.io/local".to_owned());
    let openebs = Volume { provisioned_by: openebs, ..source().volume };
    assert_eq!(decide_on(&of(openebs)), Ok(place));
}

#[test]
fn a_volume_of_another_or_unproven_namespace_gets_the_same_message() {
    let refused = decide_on(&Evidence { source: None, ..evidence() });
    assert!(matches!(refused, Err(Refusal::NotHere { .. })));
    let volume = || source().volume;
    let claim = |namespace: &str, uid: Option<&str>| ClaimRef {
        namespace: namespace.to_owned(),
        name: "old".to_owned(),
        uid: uid.map(str::to_owned),
    };
    for evidence in [
        of(Volume { provisioned_by: None, ..volume() }),
        of(Volume { provisioned_by: Some("local.fastrak.io".to_owned()), ..volume() }),
        of(Volume { phase: Phase::Bound, ..volume() }),
        of(Volume { policy: ReclaimPolicy::Delete, ..volume() }),
        of(Volume { deleting: true, ..volume() }),
        of(Volume { claim: None, ..volume() }),
        of(Volume { claim: Some(claim("shop", None)), ..volume() }),
        of(Volume { claim: Some(claim("other", Some("1"))), ..volume() }),
        with(Source { hostname: None, ..source() }),
        with(Source { hostname: Some("host-b".to_owned()), ..source() }),
        with(Source { created: None, ..source() }),
        Evidence { namespace_created: Some(MADE + 1), ..evidence() },
        Evidence { namespace_created: None, ..evidence() },
    ] {
        assert_eq!(decide_on(&evidence), refused, "{evidence:?}");
    }
}

#[test]
fn only_a_name_in_one_of_the_directories_is_a_place() {
    for path in [
        "/opt/old",
        "/opt/old/",
        "/opt/old/a/b",
        "/opt/old/..",
        "/opt/old/.",
        "/opt/old/../etc",
        "/opt//old/a",
        "/opt/old/a/",
        "/opt/older/a",
        "/etc/passwd",
        "opt/old/a",
        "",
    ] {
        let evidence = with(Source { path: Some(path.into()), ..source() });
        assert!(matches!(decide_on(&evidence), Err(Refusal::OtherDirectory(_))), "{path}");
    }
    assert!(decide_on(&with(Source { path: None, ..source() })).is_err());
}

#[test]
fn no_data_is_imported_while_any_condition_forbids_it() {
    for evidence in [
        Evidence { claim: ClaimState::Waiting, ..evidence() },
        Evidence { claim: ClaimState::HasVolume(String::new()), ..evidence() },
        Evidence { mounted: Some(true), ..evidence() },
        Evidence { mounted: None, ..evidence() },
    ] {
        assert!(decide_on(&evidence).is_err(), "{evidence:?}");
    }
    let claim = Claim { namespace: "shop".to_owned(), ..Claim::default() };
    let nothing = decide((&claim, Quota::Off), "pvc-1", ("node-a", "host-a", &[]), &evidence());
    assert_eq!(nothing, Err(Refusal::Nothing("node-a".to_owned())));
}
