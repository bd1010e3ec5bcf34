//! Tests of `class=<name>`: the load balancer of another class serves the Service.

use super::*;

const CLASS: &str = "example.com/internal";
const WRITTEN: (Option<&str>, Option<&str>, Option<&str>) =
    (Some("0"), Some("false"), Some("class"));

fn choosing(class: &str, object: &Value) -> Value {
    annotated(object, &[(BALANCER, &format!("class={class}"))])
}

fn with_class(class: &str, object: &Value) -> Value {
    let mut object = object.clone();
    object["spec"]["loadBalancerClass"] = json!(class);
    object
}

fn class(object: &Value) -> Option<&str> {
    object["spec"]["loadBalancerClass"].as_str()
}

fn remarks(verdict: &Verdict) -> bool {
    warned(verdict).iter().any(|text| text.contains("spec.loadBalancerClass is immutable"))
}

#[test]
fn a_new_service_gets_the_class() {
    let verdict = create(&choosing(CLASS, &plain()));
    let object = after(&choosing(CLASS, &plain()), &verdict);
    assert_eq!((written(&object), class(&object)), (WRITTEN, Some(CLASS)));
    assert_eq!(warned(&verdict), [format!("fastrak: delegated it to load balancer class {CLASS}")]);
    is_silent(&decide(Some(&object), &object, SETTINGS), Reason::BalancerClass);
    // The address of that load balancer is no reason to skip the Service.
    let addressed = addressed(&object, "other");
    is_silent(&decide(Some(&object), &addressed, SETTINGS), Reason::BalancerClass);
}

#[test]
fn a_namespace_can_choose_a_class() {
    let metadata = json!({"name": "shop", "annotations": {BALANCER: format!("class={CLASS}")}});
    let snapshot = with_namespace(&snapshot(&[]), &metadata);
    let view = view(&plain());
    let object = after(&plain(), &service(&request(&view, None), &snapshot, SETTINGS));
    assert_eq!((written(&object), class(&object)), (WRITTEN, Some(CLASS)));
}

#[test]
fn the_marks_of_the_load_balancer_that_a_namespace_chooses_are_its_own() {
    let metadata = json!({"name": "shop", "annotations": {BALANCER: format!("class={CLASS}")}});
    let snapshot = with_namespace(&snapshot(&[]), &metadata);
    let marked = annotated(&plain(), &[("metallb.io/address-pool", "lan")]);
    let view = view(&marked);
    let object = after(&marked, &service(&request(&view, None), &snapshot, SETTINGS));
    assert_eq!((written(&object), class(&object)), (WRITTEN, Some(CLASS)));
}

#[test]
fn a_service_with_an_address_of_another_load_balancer_hears_why_it_gets_no_class() {
    let old = after(&plain(), &create(&plain()));
    let old = addressed(&old, "k3s");
    let old = after(&old, &decide(Some(&old), &old, SETTINGS));
    let new = choosing(CLASS, &old);
    let verdict = decide(Some(&old), &new, SETTINGS);
    assert_eq!(verdict.reason, Reason::ForeignAddress);
    assert!(remarks(&verdict), "{:?}", warned(&verdict));
}

#[test]
fn the_marks_and_the_class_of_the_chosen_load_balancer_are_its_own() {
    let marked = annotated(&choosing(CLASS, &plain()), &[("metallb.io/address-pool", "lan")]);
    for object in [marked, with_class(CLASS, &choosing(CLASS, &plain()))] {
        let object = after(&object, &create(&object));
        assert_eq!((written(&object), class(&object)), (WRITTEN, Some(CLASS)));
    }
    let other = with_class("example.com/other", &choosing(CLASS, &plain()));
    assert_eq!(create(&other).reason, Reason::ForeignBalancer);
}

#[test]
fn a_service_that_cannot_get_the_class_keeps_what_it_has() {
    let new = choosing(CLASS, &plain());
    for (old, kept) in [(created(&plain()), INLETS), (plain(), NONE)] {
        let mut changed = old.clone();
        changed["metadata"]["annotations"][BALANCER] =
            new["metadata"]["annotations"][BALANCER].clone();
        let verdict = decide(Some(&old), &changed, SETTINGS);
        assert!(remarks(&verdict), "{:?}", warned(&verdict));
        let object = after(&changed, &verdict);
        assert_eq!((written(&object), class(&object)), (kept, None));
        assert!(!remarks(&decide(Some(&object), &object, SETTINGS)), "it was said before");
    }
    let view = view(&new);
    let request = ServiceRequest { service: &view, old: None, operation: Operation::Repair };
    let missed = after(&new, &service(&request, &snapshot(&[]), SETTINGS));
    assert_eq!((written(&missed), class(&missed)), (NONE, None));
}

#[test]
fn a_class_stays_with_any_later_choice() {
    let old = after(&choosing(CLASS, &plain()), &create(&choosing(CLASS, &plain())));
    for choice in ["class=example.com/other", "inlets", "none"] {
        let new = annotated(&old, &[(BALANCER, choice)]);
        let verdict = decide(Some(&old), &new, SETTINGS);
        let object = after(&new, &verdict);
        assert_eq!((written(&object), class(&object)), (WRITTEN, Some(CLASS)), "{choice}");
        assert!(remarks(&verdict), "{choice}: {:?}", warned(&verdict));
    }
    let mut removed = old.clone();
    removed["metadata"]["annotations"].as_object_mut().unwrap().remove(BALANCER);
    let verdict = decide(Some(&old), &removed, SETTINGS);
    assert_eq!(written(&after(&removed, &verdict)), WRITTEN);
}

#[test]
fn a_text_that_is_no_class_is_not_written() {
    for class in ["", "-x", "a b", "fastrak.io/address"] {
        let object = choosing(class, &plain());
        let verdict = create(&object);
        assert_eq!(verdict.reason, Reason::UnsupportedMode, "{class}");
        assert_eq!(self::class(&after(&object, &verdict)), None);
    }
}
