//! Tests of the modes auto and node-ip.

use super::*;
use fastrak_api::names::ADDRESS_CLASS;

const AUTO: Settings = Settings { balancer: Mode::Auto, addresses: true, ..SETTINGS };
const WRITTEN: (Option<&str>, Option<&str>, Option<&str>) =
    (Some("0"), Some("false"), Some("auto"));

fn verdict(old: Option<&Value>, object: &Value, operator: Option<bool>) -> Verdict {
    let snapshot = Snapshot { inlets_operator: operator, ..snapshot(&[]) };
    let (object, old) = (view(object), old.map(view));
    service(&request(&object, old.as_ref()), &snapshot, AUTO)
}

fn given(old: Option<&Value>, object: &Value, operator: bool) -> Value {
    after(object, &verdict(old, object, Some(operator)))
}

#[test]
fn auto_is_inlets_where_its_operator_is_installed_and_can_carry_the_service() {
    assert_eq!(written(&given(None, &plain(), true)), INLETS);
    for (object, operator) in [(plain(), false), (udp(), true)] {
        let object = given(None, &object, operator);
        assert_eq!(written(&object), WRITTEN);
        assert_eq!(object["spec"]["loadBalancerClass"], ADDRESS_CLASS);
    }
    let unknown = after(&plain(), &verdict(None, &plain(), None));
    assert_eq!(written(&unknown), WRITTEN, "the list of definitions is not complete yet");
}

#[test]
fn auto_is_kept_when_the_inlets_operator_comes_or_goes() {
    for chosen in [plain(), annotated(&plain(), &[(BALANCER, "auto")])] {
        let auto = given(None, &chosen, false);
        is_silent(&verdict(Some(&auto), &auto, Some(true)), Reason::Auto);
        let tunnel = addressed(&given(None, &chosen, true), "inlets-operator");
        is_silent(&verdict(Some(&tunnel), &tunnel, Some(false)), Reason::Inlets);
    }
}

#[test]
fn a_tunnel_is_kept_when_the_service_requests_an_address_or_a_port_that_it_cannot_carry() {
    for chosen in [plain(), annotated(&plain(), &[(BALANCER, "auto")])] {
        let old = addressed(&given(None, &chosen, true), "inlets-operator");
        let asks = annotated(&old, &[(names::LOAD_BALANCER_IPS, "192.0.2.7")]);
        let mut forwards = old.clone();
        forwards["spec"]["ports"] = json!([{"port": 53, "protocol": "UDP"}]);
        for new in [asks, forwards] {
            let verdict = verdict(Some(&old), &new, Some(true));
            assert_eq!(written(&after(&new, &verdict)), INLETS);
            assert_eq!(warned(&verdict).len(), 1, "{:?}", warned(&verdict));
        }
    }
}

#[test]
fn what_inlets_can_no_longer_carry_gets_an_address_of_the_cluster() {
    let old = given(None, &plain(), true);
    let mut new = old.clone();
    new["spec"]["loadBalancerSourceRanges"] = json!(["10.0.0.0/8"]);
    assert_eq!(written(&given(Some(&old), &new, true)), WRITTEN);
}

#[test]
fn a_default_that_has_obtained_nothing_is_replaced_by_auto() {
    let inlets = created(&plain());
    assert_eq!(written(&given(Some(&inlets), &inlets, false)), WRITTEN);
    is_silent(&verdict(Some(&inlets), &inlets, Some(true)), Reason::Inlets);
    is_silent(&verdict(Some(&inlets), &inlets, None), Reason::Inlets);
    let none = created(&udp());
    assert_eq!(written(&none), NONE);
    let replaced = given(Some(&none), &none, false);
    assert_eq!(
        (written(&replaced), replaced["spec"]["loadBalancerClass"].as_str()),
        (WRITTEN, None)
    );
}

#[test]
fn a_choice_an_address_and_another_load_balancer_are_not_replaced_by_auto() {
    let chosen = created(&annotated(&plain(), &[(BALANCER, "inlets")]));
    assert_eq!(written(&given(Some(&chosen), &chosen, false)), INLETS);
    let none = created(&annotated(&plain(), &[(BALANCER, "none")]));
    assert_eq!(written(&given(Some(&none), &none, false)), NONE);
    let has_address = addressed(&created(&plain()), "inlets-operator");
    assert_eq!(written(&given(Some(&has_address), &has_address, false)), INLETS);
    let marked = annotated(&created(&udp()), &[("metallb.io/address-pool", "x")]);
    assert_eq!(written(&given(Some(&marked), &marked, false)), NONE);
}

#[test]
fn the_class_alone_requests_auto() {
    let mut object = plain();
    object["spec"]["loadBalancerClass"] = json!(ADDRESS_CLASS);
    let inlets = Settings { balancer: Mode::Inlets, ..AUTO };
    assert_eq!(written(&after(&object, &decide(None, &object, inlets))), WRITTEN);
    assert_eq!(written(&given(None, &object, true)), WRITTEN, "inlets has no class");
    let nodes = Settings { balancer: Mode::NodeIp, ..AUTO };
    let decision = after(&object, &decide(None, &object, nodes));
    assert_eq!(annotation(&decision, BALANCER_DECISION), Some("node-ip"));
}

#[test]
fn node_addresses_are_given_on_request_and_not_without_the_component() {
    let chosen = annotated(&plain(), &[(BALANCER, "node-ip")]);
    let object = given(None, &chosen, true);
    assert_eq!(annotation(&object, BALANCER_DECISION), Some("node-ip"));
    assert_eq!(object["spec"]["loadBalancerClass"], ADDRESS_CLASS);
    assert_eq!(create(&chosen).reason, Reason::ModeNotInstalled);
}

#[test]
fn a_service_that_lost_its_record_keeps_its_address_by_auto() {
    let replaced = addressed(&plain(), names::MANAGER_ADDRESSES);
    assert_eq!(written(&given(None, &replaced, true)), WRITTEN);
}

proptest! {
    #[test]
    fn with_auto_too_a_decision_over_its_own_result_changes_nothing(
        old in proptest::option::of(any_service()), object in any_service(),
        operator in proptest::option::of(any::<bool>()),
    ) {
        let changed = after(&object, &verdict(old.as_ref(), &object, operator));
        let second = verdict(old.as_ref(), &changed, operator);
        prop_assert_eq!(second.outcome, Outcome::Untouched, "{}", changed);
    }
}
