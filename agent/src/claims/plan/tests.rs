use super::*;
use fastrak_api::claim::ClassChoice;
use fastrak_api::class::{Binding, ReclaimPolicy};
use fastrak_api::names;
use proptest::prelude::*;
use std::collections::BTreeMap;

const UID: &str = "0b0a3a2e-0d6c-4f5f-9e57-3c2f1d2b4a59";

fn node() -> NodeName {
    NodeName::parse("node-a").unwrap()
}

fn claim() -> Claim {
    Claim {
        namespace: "shop".to_owned(),
        name: "data".to_owned(),
        uid: Some(UID.to_owned()),
        resource_version: Some("7".into()),
        node_label: Some("node-a".to_owned()),
        selected_node: Some("node-a".to_owned()),
        class: ClassChoice::Named("fast".to_owned()),
        access_modes: vec!["ReadWriteOnce".to_owned()],
        storage: Some("1Gi".to_owned()),
        phase: Some("Pending".into()),
        ..Claim::default()
    }
}

fn class() -> Class {
    Class {
        name: "fast".to_owned(),
        provisioner: names::PROVISIONER.to_owned(),
        is_default: false,
        binding: Binding::WaitForFirstConsumer,
        reclaim: ReclaimPolicy::Delete,
        mount_options: Vec::new(),
        parameters: BTreeMap::new(),
        topologies: Vec::new(),
    }
}

fn decide(claim: &Claim, class: Option<&Class>) -> Decision {
    let (node, pools) = (node(), [PoolName::default()]);
    plan(claim, class, &ThisNode { node: &node, hostname: Some("host-a"), pools: &pools })
}

fn created(claim: &Claim, class: &Class) -> Plan {
    match decide(claim, Some(class)) {
        Decision::Create(plan) => *plan,
        other => panic!("not created: {other:?}"),
    }
}

#[test]
fn a_claim_for_this_node_gets_the_volume_that_it_requests() {
    let plan = created(&claim(), &class());
    assert_eq!(plan.spec.identity.volume.as_str(), UID);
    assert_eq!(plan.spec.identity.bytes, 1 << 30);
    assert_eq!((plan.size.as_str(), plan.hostname.as_str()), ("1Gi", "host-a"));
    let pod = Claim { access_modes: vec!["ReadWriteOncePod".to_owned()], ..claim() };
    assert_eq!(created(&pod, &class()).access_modes, ["ReadWriteOncePod"]);
}

#[test]
fn the_pin_counts_only_until_the_scheduler_has_chosen() {
    let pinned = Claim { selected_node: None, pin: Some("node-a".to_owned()), ..claim() };
    created(&pinned, &class());
    let overruled = Claim { selected_node: Some("node-b".to_owned()), ..pinned };
    assert_eq!(decide(&overruled, Some(&class())), Decision::Ignore(Ignored::OtherNode));
}

#[test]
fn claims_of_other_agents_and_provisioners_are_ignored() {
    let some = |text: &str| Some(text.to_owned());
    let foreign = Class { provisioner: "rancher.io/local-path".to_owned(), ..class() };
    let table = [
        (Claim { deleting: true, ..claim() }, Some(class()), Ignored::Deleting),
        (Claim { volume_name: some("pvc-x"), ..claim() }, Some(class()), Ignored::HasVolume),
        (Claim { phase: Some("Bound".into()), ..claim() }, Some(class()), Ignored::HasVolume),
        (Claim { class: ClassChoice::Unset, ..claim() }, None, Ignored::NoClass),
        (Claim { class: ClassChoice::Empty, ..claim() }, None, Ignored::NoClass),
        (claim(), None, Ignored::UnknownClass),
        (claim(), Some(foreign), Ignored::ForeignClass),
        (Claim { node_label: some("node-b"), ..claim() }, Some(class()), Ignored::OtherNode),
        (Claim { node_label: None, ..claim() }, Some(class()), Ignored::OtherNode),
        (Claim { selected_node: some("node-b"), ..claim() }, Some(class()), Ignored::OtherNode),
        (
            Claim { selected_node: some("../a"), pin: some("node-a"), ..claim() },
            Some(class()),
            Ignored::OtherNode,
        ),
        (
            Claim { selected_node: some(""), pin: some("node-a"), ..claim() },
            Some(class()),
            Ignored::OtherNode,
        ),
        (Claim { selected_node: None, ..claim() }, Some(class()), Ignored::OtherNode),
        (
            Claim { selected_node: None, pin: some("Node A"), ..claim() },
            Some(class()),
            Ignored::OtherNode,
        ),
        (Claim { uid: some("../../etc"), ..claim() }, Some(class()), Ignored::Malformed),
        (
            Claim { data_source: some("Hello/world"), has_foreign_finalizer: true, ..claim() },
            Some(class()),
            Ignored::Populated,
        ),
    ];
    for (claim, class, ignored) in table {
        assert_eq!(decide(&claim, class.as_ref()), Decision::Ignore(ignored), "{claim:?}");
    }
}

fn rejection(claim: &Claim, class: &Class) -> String {
    match decide(claim, Some(class)) {
        Decision::Reject(rejection) => rejection.to_string(),
        other => panic!("not rejected: {other:?}"),
    }
}

#[test]
fn a_populator_has_time_and_a_copy_is_refused_at_once() {
    let filled_from = |source: &str| Claim { data_source: Some(source.to_owned()), ..claim() };
    let patience = |claim: &Claim| match decide(claim, Some(&class())) {
        Decision::Reject(rejection) => rejection.patience(),
        other => panic!("not rejected: {other:?}"),
    };
    assert!(patience(&filled_from("Hello/world")) >= Duration::from_secs(30));
    let text = rejection(&filled_from("Hello/world"), &class());
    assert!(text.contains("Hello/world is for a volume populator"), "{text}");
    // A finalizer proves nothing on a claim with a data source: no controller can copy it.
    for source in ["PersistentVolumeClaim/old", "VolumeSnapshot/snap"] {
        let copy = Claim { has_foreign_finalizer: true, ..filled_from(source) };
        assert_eq!(patience(&copy), Duration::ZERO, "{source}");
    }
}

#[test]
fn an_unservable_claim_is_rejected_with_an_alternative() {
    let modes = |mode: &str| vec!["ReadWriteOnce".to_owned(), mode.to_owned()];
    let size = |text: &str| Claim { storage: Some(text.to_owned()), ..claim() };
    let table = [
        (Claim { block: true, ..claim() }, "volumeMode Block is not served"),
        (Claim { access_modes: modes("ReadWriteMany"), ..claim() }, "use ReadWriteOnce"),
        (Claim { access_modes: modes("ReadOnlyMany"), ..claim() }, "ReadOnlyMany is not served"),
        (
            Claim { data_source: Some("PersistentVolumeClaim/old".to_owned()), ..claim() },
            "PersistentVolumeClaim/old",
        ),
        (Claim { has_selector: true, ..claim() }, "spec.selector"),
        (
            Claim { attributes_class: Some("gold".to_owned()), ..claim() },
            "volumeAttributesClassName",
        ),
        (Claim { storage: None, ..claim() }, "no size"),
        (size("0"), "size of 0"),
        (size("-1Gi"), "below zero"),
        (size("1e400"), "more than the maximum of 16Ei"),
        (size("much"), "not a size"),
    ];
    for (claim, words) in table {
        let text = rejection(&claim, &class());
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn an_invalid_class_is_rejected_and_its_parameter_named() {
    let with = |key: &str, value: &str| Class {
        parameters: BTreeMap::from([(key.to_owned(), value.to_owned())]),
        ..class()
    };
    for (class, words) in [
        (with("pool", "../etc"), "pool: \"../etc\""),
        (with("mode", "rwx"), "mode: \"rwx\""),
        (with("moed", "0700"), "\"moed\""),
        (with("pool", "nvme"), "which node node-a does not have (it has: default)"),
    ] {
        let text = rejection(&claim(), &class);
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn a_node_without_a_hostname_label_creates_no_volume() {
    let (node, pools) = (node(), [PoolName::default()]);
    let this_node = ThisNode { node: &node, hostname: None, pools: &pools };
    let decision = plan(&claim(), Some(&class()), &this_node);
    assert_eq!(decision, Decision::Reject(Rejection::NoHostname { node: node.clone() }));
}

#[test]
fn the_policy_and_the_options_of_the_class_are_used() {
    let class = Class {
        reclaim: ReclaimPolicy::Retain,
        mount_options: vec!["noatime".to_owned()],
        parameters: BTreeMap::from([("mode".to_owned(), "0700".to_owned())]),
        ..class()
    };
    let plan = created(&claim(), &class);
    assert_eq!(plan.spec.identity.reclaim_policy, fastrak_api::class::ReclaimPolicy::Retain);
    assert_eq!(plan.spec.mode.0, 0o700);
    assert_eq!(plan.mount_options, ["noatime"]);
}

proptest! {
    #[test]
    fn a_volume_is_named_by_uid_alone_for_every_claim(
        selected in ".{0,30}", pin in ".{0,30}", label in ".{0,30}", uid in ".{0,40}",
        size in ".{0,12}", modes in proptest::collection::vec(".{0,20}", 0..3),
    ) {
        let claim = Claim {
            selected_node: Some(selected), pin: Some(pin), node_label: Some(label),
            uid: Some(uid.clone()), storage: Some(size), access_modes: modes, ..claim()
        };
        if let Decision::Create(plan) = decide(&claim, Some(&class())) {
            prop_assert_eq!(plan.spec.identity.volume.as_str(), uid.as_str());
        }
    }

    #[test]
    fn no_other_node_is_ever_served(name in "[a-z0-9]([a-z0-9.-]{0,20}[a-z0-9])?") {
        prop_assume!(name != "node-a");
        let claim = Claim { selected_node: Some(name), ..claim() };
        prop_assert_eq!(decide(&claim, Some(&class())), Decision::Ignore(Ignored::OtherNode));
    }
}
