use super::*;
use fastrak_admission::fixtures::{
    SETTINGS, annotated, annotation, claim as claim_of, labelled, node, snapshot, volume,
    with_volumes,
};
use fastrak_admission::patch::Received;
use fastrak_api::balancer::Mode;
use fastrak_api::names::inlets::{MANAGE, MANAGE_LEGACY};
use fastrak_api::names::kubernetes::SELECTED_NODE;
use fastrak_api::names::{
    ADMISSION, ADMISSION_DISABLED, BALANCER, BALANCER_DECISION, CLASS_DEFAULT, NODE,
};
use proptest::prelude::*;
use serde::Deserialize as _;
use serde_json::{Value, json};

fn view(object: &Value) -> Claim {
    Claim::parse(&object.to_string()).unwrap()
}

/// The object after a repair.
fn applied(object: &Value, repair: &Repair) -> Value {
    let mut object = object.clone();
    if let Repair::Change(edits, _) = repair {
        let operations = Received::deserialize(&object).unwrap().patch(edits).unwrap();
        json_patch::patch(&mut object, &operations).unwrap();
    }
    object
}

fn repaired(object: &Value, snapshot: &Snapshot) -> Value {
    applied(object, &super::claim(&view(object), snapshot))
}

#[test]
fn a_missed_claim_is_repaired() {
    let one = snapshot(&[node("a")]);
    let object = repaired(&claim_of(None), &one);
    assert_eq!(object["spec"]["storageClassName"], CLASS_DEFAULT);
    assert_eq!(annotation(&object, NODE), Some("a"));
    assert_eq!(super::claim(&view(&object), &one), Repair::Nothing);

    let two = snapshot(&[node("a"), node("b")]);
    let scheduled = annotated(&claim_of(Some("waits")), &[(SELECTED_NODE, "b")]);
    assert_eq!(annotation(&repaired(&scheduled, &two), NODE), Some("b"));
}

#[test]
fn a_claim_is_pinned_once_it_is_known_that_no_volume_fits() {
    let one = snapshot(&[node("a")]);
    let unknown = Snapshot { volumes: None, ..one.clone() };
    let object = claim_of(Some("waits"));
    assert_eq!(super::claim(&view(&object), &unknown), Repair::Nothing);
    assert_eq!(annotation(&repaired(&object, &one), SELECTED_NODE), Some("a"));
    let fits = volume("pv-x", "waits", "a");
    let elsewhere = with_volumes(&one, std::slice::from_ref(&fits));
    assert_eq!(annotation(&repaired(&object, &elsewhere), SELECTED_NODE), Some("a"));
    let here = snapshot(&[labelled("a", kubernetes::HOSTNAME, "a")]);
    let here = with_volumes(&here, std::slice::from_ref(&fits));
    assert_eq!(super::claim(&view(&object), &here), Repair::Nothing);
    // What the scheduler has chosen needs no volume to be known.
    let scheduled = annotated(&object, &[(SELECTED_NODE, "a")]);
    assert_eq!(annotation(&repaired(&scheduled, &unknown), NODE), Some("a"));
}

#[test]
fn a_claim_with_a_volume_or_being_deleted_needs_no_repair() {
    let one = snapshot(&[node("a")]);
    let mut bound = claim_of(Some("waits"));
    bound["status"]["phase"] = json!("Bound");
    let mut named = claim_of(Some("waits"));
    named["spec"]["volumeName"] = json!("pv");
    let mut deleting = claim_of(Some("waits"));
    deleting["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    for object in [bound, named, deleting] {
        assert_eq!(super::claim(&view(&object), &one), Repair::Nothing, "{object}");
    }
}

#[test]
fn a_claim_that_admission_would_have_denied_is_reported_and_not_changed() {
    let object = annotated(&claim_of(Some("waits")), &[(NODE, "A B")]);
    let repair = super::claim(&view(&object), &snapshot(&[node("a")]));
    assert!(matches!(repair, Repair::Report(_)), "{repair:?}");
}

fn service_of(kind: &str, annotations: &[(&str, &str)]) -> Value {
    let service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"type": kind, "ports": [{"port": 80, "protocol": "TCP"}]},
    });
    annotated(&service, annotations)
}

fn service_view(object: &Value) -> ServiceView {
    ServiceView::of(&serde_json::from_str(&object.to_string()).unwrap())
}

fn decided(object: &Value, settings: Settings) -> Repair {
    super::service(&service_view(object), &snapshot(&[]), settings)
}

fn repaired_service(object: &Value) -> Value {
    applied(object, &decided(object, SETTINGS))
}

const INLETS: [(&str, &str); 3] =
    [(MANAGE, "1"), (MANAGE_LEGACY, "true"), (BALANCER_DECISION, "inlets")];

#[test]
fn a_service_without_a_decision_gets_one_and_one_that_is_no_load_balancer_loses_it() {
    let missed = repaired_service(&service_of("LoadBalancer", &[]));
    assert_eq!(annotation(&missed, BALANCER_DECISION), Some("inlets"));
    assert_eq!(annotation(&missed, MANAGE), Some("1"));

    let flipped = repaired_service(&service_of("ClusterIP", &INLETS));
    for key in [MANAGE, MANAGE_LEGACY, BALANCER_DECISION] {
        assert_eq!(annotation(&flipped, key), None, "{key}");
    }
    // A changed choice is followed as well.
    let stale = service_of("LoadBalancer", &[&INLETS[..], &[(BALANCER, "none")]].concat());
    assert_eq!(annotation(&repaired_service(&stale), BALANCER_DECISION), Some("none"));
}

#[test]
fn a_service_without_need_of_an_address_is_not_changed() {
    let plain = service_of("LoadBalancer", &[]);
    let with = |path: &str, value: Value| {
        let mut object = plain.clone();
        object["metadata"][path] = value;
        object
    };
    for object in [
        service_of("ClusterIP", &[]),
        service_of("ClusterIP", &[(MANAGE, "1")]),
        with("labels", json!({ADMISSION: ADMISSION_DISABLED})),
        with("namespace", json!("kube-system")),
        with("namespace", json!(fastrak_api::names::NAMESPACE)),
        with("deletionTimestamp", json!("2026-01-01T00:00:00Z")),
    ] {
        assert_eq!(decided(&object, SETTINGS), Repair::Nothing, "{object}");
    }
}

#[test]
fn a_recorded_decision_stands_after_a_change_of_configuration() {
    let other = Settings {
        balancer: Mode::None,
        alternative: Mode::None,
        addresses: false,
        dry_run: false,
    };
    assert_eq!(decided(&service_of("LoadBalancer", &INLETS), other), Repair::Nothing);
}

fn any_service() -> impl Strategy<Value = Value> {
    let kinds = prop::sample::select(vec!["LoadBalancer", "ClusterIP", "NodePort"]);
    let text = |values: &[&'static str]| prop::option::of(prop::sample::select(values.to_vec()));
    let decisions = ["inlets", "none", "skipped:headless", "skipped:user-managed", "unknown"];
    let parts = (
        kinds,
        text(&["inlets", "none", "node-ip", "unknown"]),
        text(&decisions),
        text(&["0", "1", "x"]),
        text(&["true", "false"]),
        any::<(bool, bool)>(),
    );
    parts.prop_map(|(kind, choice, decision, manage, legacy, (udp, address))| {
        let pairs = [
            (BALANCER, choice),
            (BALANCER_DECISION, decision),
            (MANAGE, manage),
            (MANAGE_LEGACY, legacy),
        ];
        let there: Vec<_> =
            pairs.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
        let mut service = service_of(kind, &there);
        if udp {
            service["spec"]["ports"] = json!([{"port": 53, "protocol": "UDP"}]);
        }
        if address {
            service["status"] = json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}});
        }
        service
    })
}

proptest! {
    /// For such a Service, the webhook would see an update without changes.
    #[test]
    fn a_repair_of_a_service_equals_the_decision_at_admission(object in any_service()) {
        let view = service_view(&object);
        let ask = ServiceRequest { service: &view, old: Some(&view), operation: Operation::Update };
        let live = mutate::service::service(&ask, &snapshot(&[]), SETTINGS);
        let wanted = match live.outcome {
            Outcome::Patched(edits) => Repair::Change(edits, live.reason),
            Outcome::Untouched | Outcome::Denied(_) => Repair::Nothing,
        };
        prop_assert_eq!(decided(&object, SETTINGS), wanted);
        let once = repaired_service(&object);
        prop_assert_eq!(decided(&once, SETTINGS), Repair::Nothing, "it is repaired once");
    }
}
