use super::*;
use crate::fixtures::{
    SETTINGS, after, annotated, annotation, is_silent, snapshot, warned, with_labels,
    with_namespace,
};
use fastrak_api::names::inlets::{MANAGE, MANAGE_LEGACY, PROXY_PROTO};
use fastrak_api::names::{BALANCER, BALANCER_DECISION};
use proptest::prelude::*;
use serde_json::{Value, json};

mod address_pool;
mod auto;
mod class;
mod limits;
mod stripped;
mod taken;

fn plain() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"type": "LoadBalancer", "ports": [{"port": 80, "protocol": "TCP"}]},
    })
}

fn udp() -> Value {
    let mut service = plain();
    service["spec"]["ports"] = json!([{"port": 80}, {"port": 53, "protocol": "UDP"}]);
    service
}

/// Returns the Service with an address in its status that this field manager has written.
fn addressed(object: &Value, by: &str) -> Value {
    let mut object = object.clone();
    object["metadata"]["managedFields"] = json!([{
        "manager": by,
        "subresource": "status",
        "fieldsV1": {"f:status": {"f:loadBalancer": {"f:ingress": {}}}},
    }]);
    object["status"]["loadBalancer"]["ingress"] = json!([{"ip": "192.0.2.1"}]);
    object
}

fn view(object: &Value) -> ServiceView {
    ServiceView::of(&serde_json::from_str(&object.to_string()).unwrap())
}

fn request<'a>(service: &'a ServiceView, old: Option<&'a ServiceView>) -> ServiceRequest<'a> {
    let operation = if old.is_some() { Operation::Update } else { Operation::Create };
    ServiceRequest { service, old, operation }
}

fn decide(old: Option<&Value>, object: &Value, settings: Settings) -> Verdict {
    let (object, old) = (view(object), old.map(view));
    service(&request(&object, old.as_ref()), &snapshot(&[]), settings)
}

fn create(object: &Value) -> Verdict {
    decide(None, object, SETTINGS)
}

fn update(old: &Value, new: &Value) -> Verdict {
    decide(Some(old), new, SETTINGS)
}

fn created(object: &Value) -> Value {
    after(object, &create(object))
}

/// Returns the annotations of the operator, current and older, and the decision.
fn written(object: &Value) -> (Option<&str>, Option<&str>, Option<&str>) {
    let text = |key| annotation(object, key);
    (text(MANAGE), text(MANAGE_LEGACY), text(BALANCER_DECISION))
}

const INLETS: (Option<&str>, Option<&str>, Option<&str>) =
    (Some("1"), Some("true"), Some("inlets"));
const NONE: (Option<&str>, Option<&str>, Option<&str>) = (Some("0"), Some("false"), Some("none"));

#[test]
fn a_load_balancer_gets_the_default_mode_or_the_one_that_it_names() {
    assert_eq!(written(&created(&plain())), INLETS);
    for (choice, wanted) in [("inlets", INLETS), ("none", NONE)] {
        let object = annotated(&plain(), &[(BALANCER, choice)]);
        assert_eq!(written(&created(&object)), wanted, "{choice}");
    }
    let none = Settings { balancer: Mode::None, ..SETTINGS };
    assert_eq!(written(&after(&plain(), &decide(None, &plain(), none))), NONE);
}

#[test]
fn other_types_are_untouched() {
    for type_ in ["ClusterIP", "NodePort", "ExternalName"] {
        let mut object = annotated(&plain(), &[(BALANCER, "inlets"), (MANAGE, "1")]);
        object["spec"]["type"] = json!(type_);
        is_silent(&create(&object), Reason::NotLoadBalancer);
    }
}

#[test]
fn objects_out_of_scope_are_untouched() {
    let mut deleting = plain();
    deleting["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    let mut system = plain();
    system["metadata"]["namespace"] = json!("kube-system");
    let opted_out = with_labels(&plain(), &[(names::ADMISSION, names::ADMISSION_DISABLED)]);
    for (object, reason) in [
        (deleting, Reason::Deleting),
        (system, Reason::SystemNamespace),
        (opted_out, Reason::OptedOut),
    ] {
        is_silent(&create(&object), reason);
    }
}

#[test]
fn a_service_of_another_load_balancer_is_left_with_a_warning() {
    let spec = |field: &str, value: Value| {
        let mut object = plain();
        object["spec"][field] = value;
        object
    };
    let mut address = plain();
    address["status"]["loadBalancer"]["ingress"] = json!([{"ip": "192.0.2.1"}]);
    let label = with_labels(&plain(), &[("svccontroller.k3s.cattle.io/lbpool", "x")]);
    let mut finalizer = plain();
    finalizer["metadata"]["finalizers"] = json!(["service.kubernetes.io/load-balancer-cleanup"]);
    for (object, skip) in [
        (spec("clusterIP", json!("None")), "headless"),
        (spec("loadBalancerClass", json!("example.com/x")), "foreign-class"),
        (spec("externalIPs", json!(["192.0.2.1"])), "foreign-address"),
        (address, "foreign-address"),
        (finalizer, "foreign-mark"),
        (label, "foreign-mark"),
        (annotated(&plain(), &[("load-balancer.hetzner.cloud/location", "x")]), "foreign-mark"),
        (annotated(&plain(), &[("metallb.io/address-pool", "x")]), "foreign-mark"),
        (annotated(&plain(), &[(MANAGE, "1")]), "user-managed"),
        (annotated(&plain(), &[(MANAGE, "0")]), "user-managed"),
        (annotated(&plain(), &[(MANAGE_LEGACY, "true")]), "user-managed"),
    ] {
        let before = written(&object);
        let changed = created(&object);
        let decision = format!("skipped:{skip}");
        assert_eq!(written(&changed), (before.0, before.1, Some(decision.as_str())), "{object}");
        assert_eq!(changed["spec"], object["spec"]);
        let texts = warned(&create(&annotated(&object, &[(BALANCER, "inlets")])));
        assert!(texts.len() == 1 && texts[0].starts_with("fastrak: left it"), "{texts:?}");
        is_silent(&update(&changed, &changed), create(&object).reason);
    }
}

#[test]
fn a_users_proxy_protocol_passes_unchanged_and_stays_when_the_type_changes() {
    let changed = created(&annotated(&plain(), &[(PROXY_PROTO, "v2")]));
    assert_eq!((written(&changed), annotation(&changed, PROXY_PROTO)), (INLETS, Some("v2")));
    is_silent(&update(&changed, &changed), Reason::Inlets);
    let mut new = changed.clone();
    new["spec"]["type"] = json!("ClusterIP");
    let new = after(&new, &update(&changed, &new));
    assert_eq!(written(&new), (None, None, None));
    assert_eq!(annotation(&new, PROXY_PROTO), Some("v2"));
}

#[test]
fn a_skip_is_decided_again_when_its_reason_is_gone() {
    let marked = annotated(&plain(), &[("metallb.io/address-pool", "x")]);
    let old = created(&marked);
    let mut new = old.clone();
    new["metadata"]["annotations"].as_object_mut().unwrap().remove("metallb.io/address-pool");
    assert_eq!(written(&after(&new, &update(&old, &new))), INLETS);
}

#[test]
fn an_unsupported_mode_is_left_with_one_warning() {
    for choice in ["ip-alias", "class", "class=", "nonsense", "", "a\u{7}b"] {
        let object = annotated(&plain(), &[(BALANCER, choice)]);
        let verdict = create(&object);
        assert!(
            warned(&verdict)[0]
                .ends_with(" is not auto, inlets, address-pool, node-ip, class=NAME or none")
        );
        let changed = after(&object, &verdict);
        assert_eq!(written(&changed), (None, None, Some("skipped:unsupported-mode")), "{choice}");
        is_silent(&update(&changed, &changed), Reason::UnsupportedMode);
    }
}

#[test]
fn a_mode_that_is_not_installed_is_left_with_one_warning_that_names_the_component() {
    for choice in ["auto", "address-pool", "node-ip"] {
        let object = annotated(&plain(), &[(BALANCER, choice)]);
        let verdict = create(&object);
        let text = format!(
            "fastrak: left it unchanged: mode {choice} needs the component deploy/addresses"
        );
        assert_eq!(warned(&verdict), [text]);
        let changed = after(&object, &verdict);
        assert_eq!(written(&changed), (None, None, Some("skipped:unsupported-mode")), "{choice}");
        is_silent(&update(&changed, &changed), Reason::ModeNotInstalled);
    }
}

#[test]
fn a_service_that_inlets_cannot_carry_gets_the_alternative_and_one_warning() {
    for (port, protocol, problem) in
        [(53, "UDP", "port 53/UDP"), (9, "SCTP", "port 9/SCTP"), (8123, "TCP", "port 8123 itself")]
    {
        let mut object = plain();
        object["spec"]["ports"] = json!([{"port": port, "protocol": protocol}]);
        let verdict = create(&object);
        let texts = warned(&verdict);
        assert!(texts.len() == 1 && texts[0].contains(problem), "{texts:?}");
        let changed = after(&object, &verdict);
        assert_eq!(written(&changed), NONE, "{problem}");
        is_silent(&update(&changed, &changed), Reason::NoBalancer);
    }
}

#[test]
fn a_port_that_inlets_cannot_carry_does_not_take_the_tunnel_from_the_others() {
    let old = created(&plain());
    let mut new = old.clone();
    new["spec"]["ports"] = udp()["spec"]["ports"].clone();
    let verdict = update(&old, &new);
    assert_eq!(written(&after(&new, &verdict)), INLETS);
    assert_eq!(warned(&verdict), ["fastrak: inlets cannot carry all of it: port 53 is UDP"]);
    is_silent(&update(&new, &new), Reason::Inlets);
}

#[test]
fn when_the_port_that_inlets_could_not_carry_is_gone_inlets_serves() {
    let old = created(&udp());
    let mut new = old.clone();
    new["spec"]["ports"] = plain()["spec"]["ports"].clone();
    assert_eq!(written(&after(&new, &update(&old, &new))), INLETS);
}

#[test]
fn a_decision_is_kept_when_the_defaults_change() {
    let old = created(&plain());
    let none = Settings { balancer: Mode::None, ..SETTINGS };
    is_silent(&decide(Some(&old), &old, none), Reason::Inlets);
    is_silent(&decide(None, &old, none), Reason::Inlets);
}

fn decide_in(metadata: &Value, old: Option<&Value>, object: &Value) -> Verdict {
    let snapshot = with_namespace(&snapshot(&[]), metadata);
    let (object, old) = (view(object), old.map(view));
    service(&request(&object, old.as_ref()), &snapshot, SETTINGS)
}

fn of_namespace(choice: &str) -> Value {
    json!({"annotations": {BALANCER: choice}})
}

#[test]
fn a_namespaces_default_comes_after_the_services_choice_and_before_the_flag() {
    let none = of_namespace("none");
    assert_eq!(written(&after(&plain(), &decide_in(&none, None, &plain()))), NONE);
    let own = annotated(&plain(), &[(BALANCER, "inlets")]);
    assert_eq!(written(&after(&own, &decide_in(&none, None, &own))), INLETS);
    let inlets = created(&plain());
    is_silent(&decide_in(&none, Some(&inlets), &inlets), Reason::Inlets);
    is_silent(&decide_in(&of_namespace("node-ip"), Some(&inlets), &inlets), Reason::Inlets);
    // The default counts after the choice is removed.
    let chosen = after(&own, &decide_in(&none, None, &own));
    let mut unchosen = chosen.clone();
    unchosen["metadata"]["annotations"].as_object_mut().unwrap().remove(BALANCER);
    assert_eq!(written(&after(&unchosen, &decide_in(&none, Some(&chosen), &unchosen))), NONE);
}

#[test]
fn a_namespaces_default_that_is_not_served_is_recorded_as_such_until_it_is() {
    for (choice, named, reason) in [
        ("node-ip", "mode node-ip needs", Reason::ModeNotInstalled),
        ("ip-alias", "\"ip-alias\"", Reason::UnsupportedMode),
        ("class=", "\"class=\"", Reason::UnsupportedMode),
        ("", "\"\"", Reason::UnsupportedMode),
    ] {
        let verdict = decide_in(&of_namespace(choice), None, &plain());
        let changed = after(&plain(), &verdict);
        assert_eq!(written(&changed), (None, None, Some("skipped:unsupported-mode")), "{choice}");
        let texts = warned(&verdict);
        assert!(texts.len() == 1 && texts[0].contains(named), "{texts:?}");
        let again = decide_in(&of_namespace(choice), Some(&changed), &changed);
        is_silent(&again, reason);
        let repaired = decide_in(&of_namespace("none"), Some(&changed), &changed);
        assert_eq!(written(&after(&changed, &repaired)), NONE);
    }
    // A Service of another load balancer stays so with any namespace.
    let foreign = annotated(&plain(), &[("metallb.io/address-pool", "x")]);
    let verdict = decide_in(&of_namespace("class="), None, &foreign);
    assert_eq!(verdict.reason, Reason::ForeignMark);
}

#[test]
fn a_namespace_that_opts_out_keeps_its_services() {
    let out = json!({"labels": {names::ADMISSION: names::ADMISSION_DISABLED}});
    let enabled = with_labels(&plain(), &[(names::ADMISSION, "enabled")]);
    for object in [plain(), enabled] {
        is_silent(&decide_in(&out, None, &object), Reason::OptedOut);
    }
}

#[test]
fn every_decision_has_a_warning() {
    let to_none = annotated(&plain(), &[(BALANCER, "none")]);
    for (object, text) in [
        (plain(), "fastrak: delegated it to inlets-operator"),
        (
            to_none.clone(),
            "fastrak: left it without an address: its mode is none; to get one, change \
             fastrak.io/balancer",
        ),
        (
            udp(),
            "fastrak: left it without an address: inlets cannot carry port 53/UDP; set another mode",
        ),
        (
            annotated(&plain(), &[(MANAGE, "1")]),
            "fastrak: left it unchanged: its user has set operator.inlets.dev/manage",
        ),
    ] {
        assert_eq!(warned(&create(&object)), [text]);
    }
    let old = created(&plain());
    let mut new = old.clone();
    new["spec"]["type"] = json!("ClusterIP");
    let text = "fastrak: removed its annotations: the type is no longer LoadBalancer";
    assert_eq!(warned(&update(&old, &new)), [text]);
}

#[test]
fn a_decision_is_kept_when_an_address_comes_or_a_foreign_mark() {
    let mut new = annotated(&created(&plain()), &[("metallb.io/address-pool", "x")]);
    new["status"]["loadBalancer"]["ingress"] = json!([{"ip": "192.0.2.1"}]);
    new["spec"]["externalIPs"] = json!(["192.0.2.1"]);
    is_silent(&update(&new, &new), Reason::Inlets);
}

#[test]
fn a_changed_choice_is_followed() {
    let inlets = created(&plain());
    let none = annotated(&inlets, &[(BALANCER, "none")]);
    let none = after(&none, &update(&inlets, &none));
    assert_eq!(written(&none), NONE);
    let mut unchosen = none.clone();
    unchosen["metadata"]["annotations"].as_object_mut().unwrap().remove(BALANCER);
    assert_eq!(written(&after(&unchosen, &update(&none, &unchosen))), INLETS);
    // A change that no review saw is followed too.
    let unseen = annotated(&inlets, &[(BALANCER, "none")]);
    assert_eq!(written(&created(&unseen)), NONE);
    // An unserved choice removes the annotations for the operator.
    let unserved = annotated(&inlets, &[(BALANCER, "node-ip")]);
    assert_eq!(
        written(&after(&unserved, &update(&inlets, &unserved))),
        (None, None, Some("skipped:unsupported-mode"))
    );
}

#[test]
fn a_manage_value_that_a_user_changes_is_the_users_from_then_on() {
    let old = created(&plain());
    let new = annotated(&old, &[(MANAGE, "0")]);
    let changed = after(&new, &update(&old, &new));
    assert_eq!(written(&changed), (Some("0"), None, Some("skipped:user-managed")));
    is_silent(&update(&changed, &changed), Reason::UserManaged);
}

#[test]
fn removed_annotations_are_restored() {
    let old = created(&plain());
    let mut new = old.clone();
    new["metadata"]["annotations"].as_object_mut().unwrap().remove(MANAGE);
    assert_eq!(written(&after(&new, &update(&old, &new))), INLETS);
    assert_eq!(written(&after(&plain(), &update(&old, &plain()))), INLETS);
}

#[test]
fn a_service_that_gives_up_its_address_takes_its_annotations_along() {
    for choice in ["inlets", "none"] {
        let old = created(&annotated(&plain(), &[(BALANCER, choice)]));
        let mut new = old.clone();
        new["spec"]["type"] = json!("ClusterIP");
        let verdict = update(&old, &new);
        assert_eq!(verdict.reason, Reason::NoLongerLoadBalancer);
        let changed = after(&new, &verdict);
        assert_eq!(written(&changed), (None, None, None));
        assert_eq!(annotation(&changed, BALANCER), Some(choice), "the choice is the user's");
    }
    // The user's own value stays.
    let old = created(&annotated(&plain(), &[(MANAGE, "1")]));
    let mut new = old.clone();
    new["spec"]["type"] = json!("NodePort");
    assert_eq!(written(&after(&new, &update(&old, &new))), (Some("1"), None, None));
}

#[test]
fn a_service_that_becomes_a_load_balancer_is_decided() {
    let mut old = plain();
    old["spec"]["type"] = json!("ClusterIP");
    assert_eq!(written(&after(&plain(), &update(&old, &plain()))), INLETS);
}

fn any_service() -> impl Strategy<Value = Value> {
    let of =
        |values: &'static [&'static str]| proptest::option::of(proptest::sample::select(values));
    let type_ = proptest::sample::select(vec!["LoadBalancer", "LoadBalancer", "ClusterIP"]);
    (
        type_,
        of(&["inlets", "none", "auto", "node-ip", "rubbish"]),
        of(&[
            "inlets",
            "none",
            "auto",
            "node-ip",
            "skipped:foreign-address",
            "skipped:user-managed",
            "rubbish",
        ]),
        of(&["1", "0", "true"]),
        of(&["true", "false", "x"]),
        of(&["metallb.io/x"]),
        any::<[bool; 5]>(),
        of(&["inlets-operator", "controller", "fastrak-addresses"]),
    )
        .prop_map(|(type_, choice, decision, manage, legacy, foreign, flags, manager)| {
            let [beyond, ingress, bare, ranges, address] = flags;
            let mut object = if beyond { udp() } else { plain() };
            if ranges {
                object["spec"]["loadBalancerSourceRanges"] = json!(["10.0.0.0/8"]);
            }
            if address {
                object["spec"]["loadBalancerIP"] = json!("10.0.0.7");
            }
            if let Some(manager) = manager {
                object["metadata"]["managedFields"] = json!([{
                    "manager": manager,
                    "fieldsV1": {"f:status": {"f:loadBalancer": {"f:ingress": {}}}},
                }]);
            }
            object["spec"]["type"] = json!(type_);
            if ingress {
                object["status"]["loadBalancer"]["ingress"] = json!([{"ip": "192.0.2.1"}]);
            }
            if !bare {
                object["metadata"]["annotations"] = json!({"own.io/x": "kept"});
            }
            for (key, value) in [
                (BALANCER, choice),
                (BALANCER_DECISION, decision),
                (MANAGE, manage),
                (MANAGE_LEGACY, legacy),
            ] {
                object = value.map_or(object.clone(), |value| annotated(&object, &[(key, value)]));
            }
            foreign.map_or(object.clone(), |key| annotated(&object, &[(key, "x")]))
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_decision_over_its_own_result_changes_nothing(
        old in proptest::option::of(any_service()), object in any_service(),
    ) {
        let changed = after(&object, &decide(old.as_ref(), &object, SETTINGS));
        let second = decide(old.as_ref(), &changed, SETTINGS);
        prop_assert_eq!(second.outcome, Outcome::Untouched, "{}", changed);
    }

    #[test]
    fn nothing_but_three_annotations_is_ever_written(
        old in proptest::option::of(any_service()), object in any_service(),
    ) {
        let strip = |mut object: Value| {
            if let Some(Value::Object(map)) = object.pointer_mut("/metadata/annotations") {
                map.retain(|key, _| ![MANAGE, MANAGE_LEGACY, BALANCER_DECISION].contains(&key.as_str()));
                if map.is_empty() {
                    object["metadata"].as_object_mut().unwrap().remove("annotations");
                }
            }
            object
        };
        let changed = after(&object, &decide(old.as_ref(), &object, SETTINGS));
        prop_assert_eq!(strip(changed), strip(object));
    }

    #[test]
    fn warnings_are_short(object in any_service(), text in ".{0,300}") {
        let object = annotated(&object, &[(BALANCER, &text)]);
        let verdict = create(&object);
        for warning in verdict.warnings(false).chain(verdict.warnings(true)) {
            let warning = warning.to_string();
            prop_assert!(warning.chars().count() <= 120 && !warning.contains(char::is_control));
        }
    }
}
