use super::*;
use crate::role::VolumeState;
use fastrak_api::claim_ref::ClaimRef;
use fastrak_api::class::ReclaimPolicy;
use fastrak_api::names;
use fastrak_api::node::NodeName;
use fastrak_testkit::fixtures;
use proptest::prelude::*;

const UID: &str = "0b0a3a2e-0d6c-4f5f-9e57-3c2f1d2b4a59";

fn id() -> VolumeId {
    VolumeId::parse(UID).unwrap()
}

fn node() -> NodeName {
    NodeName::parse("node-a").unwrap()
}

fn volume() -> Volume {
    Volume {
        name: id().volume_name(),
        uid: "u".to_owned(),
        node_label: Some("node-a".to_owned()),
        provisioned_by: Some(names::PROVISIONER.to_owned()),
        finalizers: vec![names::VOLUME_FINALIZER.to_owned()],
        phase: Phase::Released,
        policy: ReclaimPolicy::Delete,
        claim: Some(ClaimRef { uid: Some(UID.to_owned()), ..ClaimRef::default() }),
        path: Some(format!("/pool/{UID}/data")),
        ..Volume::default()
    }
}

fn here() -> Location {
    let identity = fixtures::identity(id());
    Location::InPool(PoolName::default(), Box::new(identity))
}

fn evidence() -> Evidence {
    Evidence {
        claim: ClaimState::Gone,
        is_empty: false,
        recorded: None,
        mounted: Some(false),
        data: here(),
    }
}

fn has(volume: &str) -> ClaimState {
    ClaimState::HasVolume(volume.to_owned())
}

fn bound(volume: &str) -> ClaimState {
    ClaimState::Bound(volume.to_owned())
}

#[test]
fn an_empty_volume_that_its_claim_never_used_is_trashed() {
    let elsewhere = Evidence { claim: bound("other"), is_empty: true, ..evidence() };
    assert_eq!(decide(&volume(), &id(), &elsewhere), Step::Trash(PoolName::default()));
    let missing = Evidence { data: Location::Absent, is_empty: false, ..elsewhere.clone() };
    assert_eq!(decide(&volume(), &id(), &missing), Step::FinishMissing);
    let kept = Volume { policy: ReclaimPolicy::Retain, deleting: true, ..volume() };
    assert_eq!(decide(&kept, &id(), &elsewhere), Step::Keep(PoolName::default()));
    let of = |uid: Option<&str>| ClaimRef { uid: uid.map(str::to_owned), ..ClaimRef::default() };
    let used = Reason::UsedElsewhere { volume: "other".to_owned() };
    for (volume, evidence, reason) in [
        (volume(), Evidence { is_empty: false, ..elsewhere.clone() }, used.clone()),
        (Volume { claim: Some(of(Some("u"))), ..volume() }, elsewhere.clone(), used.clone()),
        (Volume { claim: Some(of(None)), ..volume() }, elsewhere.clone(), used),
        (volume(), Evidence { mounted: Some(true), ..elsewhere.clone() }, Reason::Mounted),
        (
            Volume { phase: Phase::Bound, deleting: true, ..volume() },
            elsewhere.clone(),
            Reason::ClaimExists,
        ),
        (
            volume(),
            Evidence { recorded: Some("shop/data".to_owned()), ..elsewhere },
            Reason::RecordedClaimExists { claim: "shop/data".to_owned() },
        ),
    ] {
        assert_eq!(decide(&volume, &id(), &evidence), Step::Wait(reason), "{volume:?}");
    }
}

#[test]
fn a_released_volume_without_a_claim_is_trashed() {
    assert_eq!(decide(&volume(), &id(), &evidence()), Step::Trash(PoolName::default()));
}

#[test]
fn each_unclear_fact_is_a_reason_to_wait() {
    let doubtful = Location::Unverified(PoolName::default(), "no record".to_owned());
    let unknown = Location::Unknown("not mounted".to_owned());
    let pool = PoolName::default();
    let table = [
        (Evidence { claim: has(&id().volume_name()), ..evidence() }, Reason::ClaimExists),
        (Evidence { claim: has("other"), ..evidence() }, Reason::ClaimExists),
        (Evidence { claim: bound(&id().volume_name()), ..evidence() }, Reason::ClaimExists),
        (Evidence { claim: ClaimState::Waiting, ..evidence() }, Reason::ClaimExists),
        (
            Evidence { recorded: Some("shop/data".to_owned()), ..evidence() },
            Reason::RecordedClaimExists { claim: "shop/data".to_owned() },
        ),
        (Evidence { mounted: Some(true), ..evidence() }, Reason::Mounted),
        (Evidence { mounted: None, ..evidence() }, Reason::MountsUnknown),
        (
            Evidence { data: doubtful, ..evidence() },
            Reason::Unverified { pool, why: "no record".to_owned() },
        ),
        (
            Evidence { data: unknown, ..evidence() },
            Reason::PoolUnusable { why: "not mounted".to_owned() },
        ),
    ];
    for (evidence, reason) in table {
        assert_eq!(decide(&volume(), &id(), &evidence), Step::Wait(reason));
    }
}

#[test]
fn a_foreign_path_is_never_acted_upon() {
    for path in [Some("/etc"), Some("/pool/other/data"), Some("/x/data"), None] {
        let volume = Volume { path: path.map(str::to_owned), ..volume() };
        let step = decide(&volume, &id(), &evidence());
        assert!(matches!(step, Step::Wait(Reason::ForeignPath { .. })), "{path:?}: {step:?}");
    }
}

#[test]
fn an_object_without_data_is_deleted_and_missing_data_is_reported() {
    let without = |data| decide(&volume(), &id(), &Evidence { data, ..evidence() });
    assert_eq!(without(Location::Trashed), Step::Finish);
    assert_eq!(without(Location::Absent), Step::FinishMissing);
}

#[test]
fn a_deleted_retained_volume_keeps_its_data_and_records_it() {
    let kept = Volume { policy: ReclaimPolicy::Retain, deleting: true, ..volume() };
    let mounted = Evidence { mounted: Some(true), ..evidence() };
    assert_eq!(decide(&kept, &id(), &mounted), Step::Keep(PoolName::default()));
    let unknown = Evidence { data: Location::Unknown("x".to_owned()), ..evidence() };
    assert!(matches!(decide(&kept, &id(), &unknown), Step::Wait(Reason::PoolUnusable { .. })));
}

#[test]
fn a_volume_deleted_before_it_was_bound_is_released_for_another_object() {
    let waiting = Evidence { claim: ClaimState::Waiting, ..evidence() };
    let available = Volume { deleting: true, phase: Phase::Available, ..volume() };
    assert_eq!(decide(&available, &id(), &waiting), Step::Release);
    let bound = Volume { phase: Phase::Bound, ..available };
    assert_eq!(decide(&bound, &id(), &waiting), Step::Wait(Reason::ClaimExists));
}

proptest! {
    #[test]
    fn no_volume_is_trashed_while_any_condition_forbids_it(
        phase in prop::sample::select(vec![Phase::Unknown, Phase::Available, Phase::Bound, Phase::Released, Phase::Failed]),
        keep: bool, deleting: bool, ours: bool, right_path: bool,
        claim in prop::sample::select(vec![
            ClaimState::Gone, ClaimState::Waiting, has("other"), has(&id().volume_name()),
            bound("other"), bound(&id().volume_name()),
        ]),
        mounted in prop::option::of(any::<bool>()), data in 0usize..5, recorded: bool, is_empty: bool,
    ) {
        let data = [
            here(), Location::Trashed, Location::Absent,
            Location::Unknown(String::new()), Location::Unverified(PoolName::default(), String::new()),
        ][data].clone();
        let volume = Volume {
            phase, deleting,
            policy: if keep { ReclaimPolicy::Retain } else { ReclaimPolicy::Delete },
            provisioned_by: ours.then(|| names::PROVISIONER.to_owned()),
            path: Some(if right_path { format!("/pool/{UID}/data") } else { "/etc".to_owned() }),
            ..volume()
        };
        let recorded = recorded.then(|| "shop/data".to_owned());
        let evidence = Evidence { claim, is_empty, recorded, mounted, data };
        let is_trashed = VolumeState::of(&volume, &node()) == Some(VolumeState::Ending)
            && matches!(decide(&volume, &id(), &evidence), Step::Trash(_));
        let is_unused = evidence.claim == bound("other") && is_empty && phase != Phase::Bound;
        let may = ours && right_path && !keep && (evidence.claim == ClaimState::Gone || is_unused)
            && (deleting || matches!(phase, Phase::Released | Phase::Failed))
            && evidence.recorded.is_none() && mounted == Some(false) && evidence.data == here();
        prop_assert_eq!(is_trashed, may);
    }
}
