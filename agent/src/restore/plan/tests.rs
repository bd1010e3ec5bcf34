use super::*;
use fastrak_api::class::Mode;
use fastrak_api::class::ReclaimPolicy;
use fastrak_api::names;
use fastrak_api::node::NodeName;
use fastrak_api::volume::Identity;
use fastrak_store::volumes::VolumeSpec;
use fastrak_testkit::fixtures;
use k8s_openapi::api::core::v1::ObjectReference;
use proptest::prelude::*;

const OLD: &str = "0b0a3a2e-0d6c-4f5f-9e57-3c2f1d2b4a59";
const NEW: &str = "1b0a3a2e-0d6c-4f5f-9e57-3c2f1d2b4a59";
const MADE: i64 = 1_800_000_000;

fn id(text: &str) -> VolumeId {
    VolumeId::parse(text).unwrap()
}

fn identity(uid: &str, claim: &str) -> Identity {
    Identity {
        claim: claim.to_owned(),
        class: "bin".to_owned(),
        trash_seconds: Some(60),
        claim_created: Some(MADE),
        ..fixtures::identity(id(uid))
    }
}

fn claim() -> Claim {
    Claim {
        namespace: "shop".to_owned(),
        name: "new".to_owned(),
        uid: Some(NEW.to_owned()),
        ..Claim::default()
    }
}

fn plan() -> Plan {
    Plan {
        spec: VolumeSpec {
            identity: identity(NEW, "new"),
            pools: vec![PoolName::default()],
            policy: fastrak_api::class::PoolPolicy::default(),
            mode: Mode::default(),
            quota: Quota::default(),
        },
        claim: ObjectReference::default(),
        size: "1Gi".to_owned(),
        access_modes: Vec::new(),
        mount_options: Vec::new(),
        hostname: "host-a".to_owned(),
        node: NodeName::parse("node-a").unwrap(),
    }
}

fn known() -> FoundVolume {
    let identity = identity(OLD, "old");
    let owner = ClaimRef::original(&identity);
    FoundVolume { pool: PoolName::default(), identity, owner, namespace_uid: None, trashed: true }
}

fn volume(phase: Phase, policy: ReclaimPolicy) -> Volume {
    Volume {
        name: format!("pvc-{OLD}"),
        node_label: Some("node-a".to_owned()),
        provisioned_by: Some(names::PROVISIONER.to_owned()),
        finalizers: vec![names::VOLUME_FINALIZER.to_owned()],
        claim: Some(ClaimRef::original(&identity(OLD, "old"))),
        path: Some(format!("/var/lib/fastrak/{OLD}/data")),
        phase,
        policy,
        ..Volume::default()
    }
}

fn namespace(created: Option<i64>) -> NamespaceView {
    NamespaceView { uid: "namespace-1".to_owned(), created, inherits: false }
}

fn evidence() -> Evidence {
    Evidence {
        data: SearchResult::Found(Box::new(known())),
        volume: None,
        claims: ClaimState::Gone,
        namespace: Some(namespace(Some(MADE))),
        mounted: Some(false),
    }
}

fn with(known: FoundVolume) -> Evidence {
    Evidence { data: SearchResult::Found(Box::new(known)), ..evidence() }
}

fn on(method: Method, evidence: &Evidence) -> Step {
    let (claim, plan, id) = (claim(), plan(), id(OLD));
    decide(&Request { claim: &claim, plan: &plan, id: &id, method }, evidence)
}

fn kept(phase: Phase) -> Evidence {
    let data = FoundVolume { trashed: false, ..known() };
    Evidence { volume: Some(volume(phase, ReclaimPolicy::Retain)), ..with(data) }
}

fn grants(step: &Step) -> bool {
    matches!(step, Step::Publish(_) | Step::Repoint(..))
}

#[test]
fn a_class_that_requires_a_quota_gets_no_volume_without_one() {
    let mut plan = plan();
    let limited = |limit| {
        let identity = Identity { limit, ..known().identity };
        Evidence {
            data: SearchResult::Found(Box::new(FoundVolume { identity, ..known() })),
            ..evidence()
        }
    };
    let decided = |plan: &Plan, limit| {
        let (claim, id) = (claim(), id(OLD));
        let request = Request { claim: &claim, plan, id: &id, method: Method::Undelete };
        decide(&request, &limited(limit))
    };
    assert!(matches!(decided(&plan, None), Step::Publish(_)));
    plan.spec.quota = Quota::Required;
    let refused = Refusal::NoQuota { volume: format!("pvc-{OLD}"), class: "bin".to_owned() };
    assert_eq!(decided(&plan, None), Step::Refuse(refused));
    assert!(matches!(
        decided(&plan, Some(fastrak_api::volume::QuotaGroup::Subvolume)),
        Step::Publish(_)
    ));
}

#[test]
fn a_volume_is_restored_for_its_own_namespace() {
    assert_eq!(on(Method::Undelete, &evidence()), Step::Publish(Box::new(known())));
    // An earlier attempt was interrupted between the directory and the object.
    let halfway = FoundVolume { trashed: false, ..known() };
    let step = on(Method::Undelete, &with(halfway.clone()));
    assert_eq!(step, Step::Publish(Box::new(halfway)));
}

#[test]
fn a_retained_volume_is_repointed_or_published_without_an_object() {
    for phase in [Phase::Released, Phase::Failed, Phase::Available] {
        let evidence = kept(phase);
        assert!(matches!(on(Method::Adopt, &evidence), Step::Repoint(..)), "{phase:?}");
    }
    let bare = Evidence { volume: None, ..kept(Phase::Released) };
    assert!(matches!(on(Method::Adopt, &bare), Step::Publish(_)));
}

#[test]
fn a_completed_restore_is_not_repeated() {
    let mine = volume(Phase::Pending, ReclaimPolicy::Delete);
    let claim = ClaimRef { namespace: "shop".into(), name: "new".into(), uid: Some(NEW.into()) };
    let mine = Volume { claim: Some(claim), ..mine };
    for method in [Method::Undelete, Method::Adopt] {
        let evidence = Evidence { volume: Some(mine.clone()), ..evidence() };
        assert_eq!(on(method, &evidence), Step::Done);
        // The object alone proves nothing: it must be fastrak's.
        let forged = Volume { provisioned_by: None, ..mine.clone() };
        let evidence = Evidence { volume: Some(forged), ..evidence };
        assert!(matches!(on(method, &evidence), Step::Refuse(_)));
    }
}

#[test]
fn all_former_claims_must_be_gone_except_the_requester() {
    let (claim, plan, id) = (claim(), plan(), id(OLD));
    let request = Request { claim: &claim, plan: &plan, id: &id, method: Method::Undelete };
    let had = |claim: &str, uid: &str| ClaimRef {
        namespace: "shop".into(),
        name: claim.into(),
        uid: Some(uid.into()),
    };
    let others = |owner| others(&request, &FoundVolume { owner, ..known() });
    let (first, second) = (had("old", OLD), had("second", "2"));
    assert_eq!(others(first.clone()), vec![first.clone()]);
    assert_eq!(others(second.clone()), [first.clone(), second]);
    let known_by_now = [had("new", NEW), ClaimRef::default()];
    assert!(known_by_now.map(others).iter().all(|others| *others == vec![first.clone()]));
}

#[test]
fn no_other_namespace_gets_the_volume_and_all_get_the_same_message() {
    let refused = on(Method::Undelete, &Evidence { data: SearchResult::Absent, ..evidence() });
    assert!(matches!(refused, Step::Refuse(Refusal::NotHere { .. })));
    let theirs = |namespace: &str| ClaimRef { namespace: namespace.into(), ..known().owner };
    let elsewhere = Identity { namespace: "other".into(), ..known().identity };
    for evidence in [
        // It was created in another namespace.
        with(FoundVolume { identity: elsewhere.clone(), owner: theirs("other"), ..known() }),
        // It was given to another namespace since.
        with(FoundVolume { owner: theirs("other"), ..known() }),
        with(FoundVolume { identity: elsewhere, ..known() }),
        with(FoundVolume { owner: ClaimRef::default(), ..known() }),
        // The namespace is another one of the same name, or unknown.
        Evidence { namespace: Some(namespace(Some(MADE + 1))), ..evidence() },
        Evidence { namespace: None, ..evidence() },
        with(FoundVolume {
            identity: Identity { claim_created: None, ..known().identity },
            ..known()
        }),
        // Its UID is known and differs, independently of the clocks of the API servers.
        with(FoundVolume { namespace_uid: Some("namespace-0".to_owned()), ..known() }),
    ] {
        for method in [Method::Undelete, Method::Adopt] {
            assert_eq!(on(method, &evidence), refused, "{evidence:?}");
        }
    }
}

#[test]
fn a_volume_in_use_or_being_deleted_is_not_restored() {
    let step =
        |method, volume| on(method, &Evidence { volume: Some(volume), ..kept(Phase::Released) });
    let name = format!("pvc-{OLD}");
    for method in [Method::Undelete, Method::Adopt] {
        let bound = volume(Phase::Bound, ReclaimPolicy::Retain);
        assert_eq!(step(method, bound.clone()), Step::Refuse(Refusal::InUse(name.clone())));
        let leaving = Step::Wait(Wait::Deleting(name.clone()));
        assert_eq!(step(method, Volume { deleting: true, ..bound.clone() }), leaving);
        assert_eq!(step(method, volume(Phase::Released, ReclaimPolicy::Delete)), leaving);
        let foreign = Volume { node_label: Some("node-b".into()), ..bound };
        assert!(matches!(step(method, foreign), Step::Refuse(_)));
    }
    let free = volume(Phase::Released, ReclaimPolicy::Retain);
    assert_eq!(step(Method::Undelete, free.clone()), Step::Refuse(Refusal::Kept(name.clone())));
    let elsewhere = Volume { path: Some("/etc".into()), ..free };
    assert!(matches!(step(Method::Adopt, elsewhere), Step::Refuse(Refusal::Unverified(_))));
    assert_eq!(on(Method::Adopt, &evidence()), Step::Refuse(Refusal::Trashed(name)));
}

#[test]
fn no_volume_is_restored_while_any_condition_forbids_it() {
    let cases = [
        Evidence { claims: ClaimState::Waiting, ..evidence() },
        Evidence { claims: ClaimState::HasVolume(String::new()), ..evidence() },
        Evidence { mounted: Some(true), ..evidence() },
        Evidence { mounted: None, ..evidence() },
        Evidence { data: SearchResult::Unverified("why".into()), ..evidence() },
        Evidence { data: SearchResult::Unknown("why".into()), ..evidence() },
        with(FoundVolume { pool: PoolName::parse("far").unwrap(), ..known() }),
        with(FoundVolume {
            identity: Identity { bytes: (1 << 30) - 1, ..known().identity },
            ..known()
        }),
    ];
    for evidence in cases {
        assert!(!grants(&on(Method::Undelete, &evidence)), "{evidence:?}");
    }
    let (claim, plan) = (claim(), plan());
    let own = Request { claim: &claim, plan: &plan, id: &id(NEW), method: Method::Undelete };
    assert_eq!(decide(&own, &evidence()), Step::Refuse(Refusal::Itself));
}

#[test]
fn a_recorded_uid_proves_the_namespace_against_any_clock() {
    let recorded = FoundVolume { namespace_uid: Some("namespace-1".to_owned()), ..known() };
    for created in [Some(MADE + 1), Some(MADE), None] {
        let evidence = Evidence { namespace: Some(namespace(created)), ..with(recorded.clone()) };
        assert!(grants(&on(Method::Undelete, &evidence)), "{created:?}");
    }
}

#[test]
fn a_namespace_with_the_annotation_inherits_the_volumes_of_an_earlier_one() {
    let heir = NamespaceView { inherits: true, ..namespace(Some(MADE + 1)) };
    let evidence = Evidence { namespace: Some(heir), ..evidence() };
    assert!(grants(&on(Method::Undelete, &evidence)));
    // And no others.
    let elsewhere = Identity { namespace: "other".into(), ..known().identity };
    let theirs = ClaimRef { namespace: "other".into(), ..known().owner };
    let known = FoundVolume { identity: elsewhere, owner: theirs, ..known() };
    let evidence = Evidence { data: SearchResult::Found(Box::new(known)), ..evidence };
    assert!(!grants(&on(Method::Undelete, &evidence)));
}

proptest! {
    #[test]
    fn nothing_is_restored_unless_everything_is_proven(
        namespaces in proptest::array::uniform2(prop_oneof![Just("shop"), Just("other"), Just("")]),
        created in proptest::option::of(MADE - 1..MADE + 2),
        claims in prop_oneof![Just(ClaimState::Gone), Just(ClaimState::Waiting), Just(ClaimState::HasVolume(String::new()))],
        mounted: Option<bool>,
        trashed: bool,
        object in proptest::option::of((0..6u8, any::<bool>(), any::<bool>())),
        adopt: bool,
    ) {
        let [first, last] = namespaces.map(str::to_owned);
        let identity = Identity { namespace: first.clone(), ..known().identity };
        let owner = ClaimRef { namespace: last.clone(), ..known().owner };
        let phases = [Phase::Unknown, Phase::Pending, Phase::Available, Phase::Bound, Phase::Released, Phase::Failed];
        let volume = object.map(|(phase, keep, deleting)| {
            let policy = if keep { ReclaimPolicy::Retain } else { ReclaimPolicy::Delete };
            Volume { deleting, ..volume(phases[usize::from(phase)], policy) }
        });
        let evidence = Evidence {
            volume: volume.clone(), claims: claims.clone(), namespace: Some(namespace(created)), mounted,
            ..with(FoundVolume { identity, owner, trashed, ..known() })
        };
        let step = on(if adopt { Method::Adopt } else { Method::Undelete }, &evidence);
        if grants(&step) {
            prop_assert!(first == "shop" && last == "shop" && created.is_some_and(|at| at <= MADE));
            prop_assert!(claims == ClaimState::Gone && mounted == Some(false));
            prop_assert!(volume.is_none_or(|v| v.policy == ReclaimPolicy::Retain && !v.deleting && v.phase != Phase::Bound));
        }
    }
}
