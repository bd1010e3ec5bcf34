//! Tests of the mode address-pool.

use super::*;
use fastrak_api::names::ADDRESS_CLASS;

const POOLS: Settings = Settings { balancer: Mode::AddressPool, addresses: true, ..SETTINGS };
const WRITTEN: (Option<&str>, Option<&str>, Option<&str>) =
    (Some("0"), Some("false"), Some("address-pool"));

fn class(object: &Value) -> Option<&str> {
    object["spec"]["loadBalancerClass"].as_str()
}

fn given(old: Option<&Value>, object: &Value) -> Value {
    after(object, &decide(old, object, POOLS))
}

fn of_type(kind: &str) -> Value {
    let mut object = plain();
    object["spec"]["type"] = json!(kind);
    object
}

fn named(key: &str) -> Value {
    let mut object = plain();
    object["spec"]["loadBalancerClass"] = json!(key);
    object
}

#[test]
fn a_new_service_gets_the_class_and_keeps_the_inlets_operator_away() {
    let object = given(None, &plain());
    assert_eq!((written(&object), class(&object)), (WRITTEN, Some(ADDRESS_CLASS)));
    is_silent(&decide(Some(&object), &object, POOLS), Reason::AddressPool);
}

#[test]
fn the_class_is_written_only_while_the_api_server_allows_it() {
    let object = given(Some(&plain()), &plain());
    assert_eq!((written(&object), class(&object)), (WRITTEN, None));
    let object = given(Some(&of_type("ClusterIP")), &plain());
    assert_eq!((written(&object), class(&object)), (WRITTEN, Some(ADDRESS_CLASS)));
    let view = view(&plain());
    let request = ServiceRequest { service: &view, old: None, operation: Operation::Repair };
    let object = after(&plain(), &service(&request, &snapshot(&[]), POOLS));
    assert_eq!((written(&object), class(&object)), (WRITTEN, None));
}

#[test]
fn the_class_requests_an_address() {
    let inlets = Settings { balancer: Mode::Inlets, ..POOLS };
    let object = named(ADDRESS_CLASS);
    let decision = after(&object, &decide(None, &object, inlets));
    assert_eq!(annotation(&decision, BALANCER_DECISION), Some("auto"));
    // A choice has priority; the class cannot be removed.
    let chosen = annotated(&object, &[(BALANCER, "none")]);
    assert_eq!(written(&after(&chosen, &decide(None, &chosen, inlets))), NONE);
    let verdict = decide(None, &named("example.com/x"), POOLS);
    assert_eq!(verdict.reason, Reason::ForeignBalancer);
}

#[test]
fn it_serves_what_inlets_cannot_carry() {
    let settings = Settings { balancer: Mode::Inlets, alternative: Mode::AddressPool, ..POOLS };
    let verdict = decide(None, &udp(), settings);
    let object = after(&udp(), &verdict);
    assert_eq!((written(&object), class(&object)), (WRITTEN, Some(ADDRESS_CLASS)));
    let texts = warned(&verdict);
    assert!(texts.iter().any(|text| text.contains("inlets cannot carry port 53/UDP")), "{texts:?}");
    assert_eq!(written(&after(&plain(), &decide(None, &plain(), settings))), INLETS);
}

#[test]
fn its_address_is_no_foreign_address() {
    let object = addressed(&given(None, &plain()), names::MANAGER_ADDRESSES);
    is_silent(&decide(Some(&object), &object, POOLS), Reason::AddressPool);
    // A client that replaces the Service removes the record; the address shows the decision.
    let replaced = addressed(&named(ADDRESS_CLASS), names::MANAGER_ADDRESSES);
    assert_eq!(annotation(&given(None, &replaced), BALANCER_DECISION), Some("auto"));
    let foreign = addressed(&given(None, &plain()), "metallb");
    assert_eq!(decide(Some(&foreign), &foreign, POOLS).reason, Reason::ForeignAddress);
}

#[test]
fn without_the_component_neither_its_name_its_record_nor_its_class_counts() {
    let chosen = annotated(&plain(), &[(BALANCER, "address-pool")]);
    assert_eq!(create(&chosen).reason, Reason::ModeNotInstalled);
    assert_eq!(create(&named(ADDRESS_CLASS)).reason, Reason::ForeignBalancer);
    let recorded = annotated(&plain(), &[(BALANCER_DECISION, "address-pool")]);
    assert_eq!(written(&created(&recorded)), INLETS);
    let kept = addressed(&plain(), names::MANAGER_ADDRESSES);
    assert_eq!(create(&kept).reason, Reason::ForeignAddress);
}

#[test]
fn a_default_that_is_not_installed_is_recorded_as_unsupported() {
    let settings = Settings { addresses: false, alternative: Mode::AddressPool, ..POOLS };
    let verdict = decide(None, &plain(), settings);
    assert_eq!(verdict.reason, Reason::ModeNotInstalled);
    let object = after(&plain(), &verdict);
    is_silent(&decide(Some(&object), &object, settings), Reason::ModeNotInstalled);
    let inlets = Settings { balancer: Mode::Inlets, ..settings };
    assert_eq!(written(&after(&udp(), &decide(None, &udp(), inlets))), NONE);
}

proptest! {
    #[test]
    fn with_pools_too_a_decision_over_its_own_result_changes_nothing(
        old in proptest::option::of(any_service()), object in any_service(),
    ) {
        let changed = given(old.as_ref(), &object);
        let second = decide(old.as_ref(), &changed, POOLS);
        prop_assert_eq!(second.outcome, Outcome::Untouched, "{}", changed);
    }
}
