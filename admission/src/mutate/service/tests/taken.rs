//! Tests of an address of another load balancer on a decided Service.

use super::*;

const WITHHELD: (Option<&str>, Option<&str>, Option<&str>) =
    (Some("0"), Some("false"), Some("skipped:foreign-address"));

fn without_annotations(object: &Value) -> Value {
    let mut object = object.clone();
    object["metadata"].as_object_mut().unwrap().remove("annotations");
    object
}

fn withheld() -> Value {
    let object = addressed(&created(&plain()), "k3s");
    after(&object, &update(&object, &object))
}

#[test]
fn an_address_of_another_load_balancer_ends_the_record_and_keeps_the_operator_away() {
    for choice in [None, Some("inlets")] {
        let object = choice.map_or(plain(), |choice| annotated(&plain(), &[(BALANCER, choice)]));
        let object = addressed(&created(&object), "k3s");
        for verdict in [update(&object, &object), create(&object)] {
            assert_eq!(verdict.reason, Reason::ForeignAddress);
            let text = "fastrak: left it unchanged: status.loadBalancer has an address that \
                        fastrak has not written";
            assert_eq!(warned(&verdict), [text]);
            let changed = after(&object, &verdict);
            assert_eq!(written(&changed), WITHHELD, "{choice:?}");
            is_silent(&create(&changed), Reason::ForeignAddress);
            is_silent(&update(&object, &changed), Reason::ForeignAddress);
            is_silent(&update(&changed, &changed), Reason::ForeignAddress);
        }
    }
}

#[test]
fn an_address_that_may_be_the_operators_ends_no_record() {
    let inlets = created(&plain());
    let mut by_hand = addressed(&inlets, "controller");
    by_hand["spec"]["externalIPs"] = json!(["192.0.2.1"]);
    let mut unknown = addressed(&inlets, "k3s");
    unknown["metadata"].as_object_mut().unwrap().remove("managedFields");
    for object in [addressed(&inlets, "inlets-operator"), by_hand, unknown] {
        is_silent(&update(&object, &object), Reason::Inlets);
        is_silent(&create(&object), Reason::Inlets);
    }
}

#[test]
fn a_record_of_none_stands_beside_an_address_until_inlets_is_chosen() {
    let none = addressed(&created(&annotated(&plain(), &[(BALANCER, "none")])), "k3s");
    is_silent(&update(&none, &none), Reason::NoBalancer);
    for asking in [annotated(&none, &[(BALANCER, "inlets")]), {
        let mut unchosen = none.clone();
        unchosen["metadata"]["annotations"].as_object_mut().unwrap().remove(BALANCER);
        unchosen
    }] {
        let changed = after(&asking, &update(&none, &asking));
        assert_eq!(written(&changed), WITHHELD, "{asking}");
        is_silent(&create(&changed), Reason::ForeignAddress);
    }
}

#[test]
fn an_update_without_annotations_leaves_the_operator_away() {
    let old = withheld();
    let new = without_annotations(&old);
    assert_eq!(written(&after(&new, &update(&old, &new))), WITHHELD);
    let inlets = addressed(&created(&plain()), "k3s");
    let new = without_annotations(&inlets);
    assert_eq!(written(&after(&new, &update(&inlets, &new))), WITHHELD);
    // If it is no longer a LoadBalancer, no annotation of fastrak's is left.
    let mut inner = annotated(&without_annotations(&old), &[(MANAGE, "0")]);
    inner["spec"]["type"] = json!("ClusterIP");
    assert_eq!(written(&after(&inner, &update(&old, &inner))), (None, None, None));
}

#[test]
fn when_the_address_is_gone_the_service_is_decided_again() {
    let old = withheld();
    let mut new = old.clone();
    new["status"]["loadBalancer"] = json!({});
    assert_eq!(written(&after(&new, &update(&old, &new))), INLETS);
    new["spec"]["type"] = json!("ClusterIP");
    assert_eq!(written(&after(&new, &update(&old, &new))), (None, None, None));
}

#[test]
fn annotations_that_a_user_sets_for_the_operator_override_the_address() {
    let inlets = addressed(&created(&plain()), "k3s");
    let new = annotated(&inlets, &[(MANAGE, "0")]);
    let changed = after(&new, &update(&inlets, &new));
    assert_eq!(written(&changed), (Some("0"), None, Some("skipped:user-managed")));
    let old = withheld();
    let new = annotated(&old, &[(MANAGE, "1")]);
    let changed = after(&new, &update(&old, &new));
    assert_eq!(written(&changed), (Some("1"), None, Some("skipped:user-managed")));
    // One annotation alone is the user's.
    let fresh = addressed(&plain(), "k3s");
    let skipped = after(&fresh, &create(&fresh));
    assert_eq!(written(&skipped), (None, None, Some("skipped:foreign-address")));
    let new = annotated(&skipped, &[(MANAGE, "0")]);
    let changed = after(&new, &update(&skipped, &new));
    assert_eq!(written(&changed), (Some("0"), None, Some("skipped:user-managed")));
}

#[test]
fn a_skip_stands_when_the_webhook_is_called_again_with_its_result() {
    for (old, now) in [("none", "inlets"), ("inlets", "inlets"), ("inlets", "none")] {
        let old = annotated(&plain(), &[(BALANCER_DECISION, old)]);
        let object = annotated(&plain(), &[(BALANCER_DECISION, now), (MANAGE, "1")]);
        let object = addressed(&annotated(&object, &[(MANAGE_LEGACY, "true")]), "other");
        let once = after(&object, &decide(Some(&old), &object, SETTINGS));
        assert_eq!(after(&once, &decide(Some(&old), &once, SETTINGS)), once);
    }
}
