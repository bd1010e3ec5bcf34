//! Tests of updates by a client that does not know fastrak's annotations: the decision on the old
//! object stands.

use super::*;

/// The address that the inlets operator obtained, as it writes it.
fn tunnelled(object: &Value) -> Value {
    let mut object = object.clone();
    object["spec"]["externalIPs"] = json!(["192.0.2.1"]);
    object["status"]["loadBalancer"]["ingress"] = json!([{"ip": "192.0.2.1", "ipMode": "VIP"}]);
    object
}

/// Returns the object without annotations of fastrak's, with its status.
fn replaced(old: &Value) -> Value {
    let mut new = plain();
    new["status"] = old["status"].clone();
    new
}

fn without(object: &Value, keys: &[&str]) -> Value {
    let mut object = object.clone();
    object["metadata"]["annotations"]
        .as_object_mut()
        .unwrap()
        .retain(|key, _| !keys.contains(&&**key));
    object
}

#[test]
fn a_served_service_that_is_replaced_without_annotations_keeps_its_decision() {
    let old = tunnelled(&created(&plain()));
    for new in [replaced(&old), tunnelled(&replaced(&old))] {
        let changed = after(&new, &update(&old, &new));
        assert_eq!(written(&changed), INLETS, "{new}");
        is_silent(&update(&old, &changed), Reason::Inlets);
    }
    let old = created(&annotated(&plain(), &[(BALANCER, "none")]));
    let new = annotated(&replaced(&old), &[(BALANCER, "none")]);
    assert_eq!(written(&after(&new, &update(&old, &new))), NONE);
}

#[test]
fn a_removed_decision_stands_even_if_the_defaults_changed() {
    let old = tunnelled(&created(&plain()));
    let none = Settings { balancer: Mode::None, ..SETTINGS };
    let new = replaced(&old);
    assert_eq!(written(&after(&new, &decide(Some(&old), &new, none))), INLETS);
}

#[test]
fn any_removed_part_of_the_record_is_restored() {
    let old = tunnelled(&created(&plain()));
    for keys in [
        &[BALANCER_DECISION][..],
        &[MANAGE],
        &[MANAGE_LEGACY],
        &[MANAGE, MANAGE_LEGACY],
        &[BALANCER_DECISION, MANAGE_LEGACY],
        &[BALANCER_DECISION, MANAGE, MANAGE_LEGACY],
    ] {
        let new = without(&old, keys);
        assert_eq!(written(&after(&new, &update(&old, &new))), INLETS, "{keys:?}");
    }
    let unreadable = annotated(&old, &[(BALANCER_DECISION, "rubbish")]);
    assert_eq!(written(&after(&unreadable, &update(&old, &unreadable))), INLETS);
}

#[test]
fn a_users_choice_in_the_same_update_overrides_the_old_decision() {
    let old = tunnelled(&created(&plain()));
    let managed = annotated(&replaced(&old), &[(MANAGE, "0")]);
    let changed = after(&managed, &update(&old, &managed));
    assert_eq!(written(&changed), (Some("0"), None, Some("skipped:user-managed")));
    is_silent(&update(&old, &changed), Reason::UserManaged);
    let chosen = annotated(&replaced(&old), &[(BALANCER, "none")]);
    assert_eq!(written(&after(&chosen, &update(&old, &chosen))), NONE);
    let unserved = annotated(&without(&old, &[BALANCER_DECISION]), &[(BALANCER, "node-ip")]);
    assert_eq!(
        written(&after(&unserved, &update(&old, &unserved))),
        (None, None, Some("skipped:unsupported-mode"))
    );
}

#[test]
fn a_replacement_of_another_type_leaves_nothing_for_the_operator() {
    let old = tunnelled(&created(&plain()));
    let bare = replaced(&old);
    let marked = without(&old, &[BALANCER_DECISION]);
    for mut new in [bare, marked] {
        new["spec"]["type"] = json!("ClusterIP");
        assert_eq!(written(&after(&new, &update(&old, &new))), (None, None, None), "{new}");
    }
}

#[test]
fn a_service_that_is_being_deleted_or_opts_out_keeps_what_its_client_wrote() {
    let old = tunnelled(&created(&plain()));
    let mut deleting = replaced(&old);
    deleting["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    is_silent(&update(&old, &deleting), Reason::Deleting);
    let out = with_labels(&replaced(&old), &[(names::ADMISSION, names::ADMISSION_DISABLED)]);
    is_silent(&update(&old, &out), Reason::OptedOut);
}

#[test]
fn a_decision_to_skip_is_made_again_from_the_new_object() {
    let old = created(&annotated(&plain(), &[("metallb.io/address-pool", "x")]));
    let same = without(&old, &[BALANCER_DECISION]);
    assert_eq!(written(&after(&same, &update(&old, &same))).2, Some("skipped:foreign-mark"));
    assert_eq!(written(&after(&plain(), &update(&old, &plain()))), INLETS);
}

/// Returns the object with a status of this field manager.
fn status_by(object: &Value, manager: &str) -> Value {
    let mut object = object.clone();
    object["metadata"]["managedFields"] = json!([
        {"manager": "kubectl", "operation": "Update", "fieldsV1": {"f:spec": {"f:type": {}}}},
        {"manager": manager, "operation": "Update", "subresource": "status",
         "fieldsV1": {"f:status": {"f:loadBalancer": {"f:ingress": {}}}}},
    ]);
    object
}

#[test]
fn without_the_old_object_the_writer_of_the_status_shows_the_operators_address() {
    let none = Settings { balancer: Mode::None, ..SETTINGS };
    let stripped = replaced(&tunnelled(&plain()));
    let ours = status_by(&stripped, "inlets-operator");
    assert_eq!(written(&after(&ours, &decide(None, &ours, none))), INLETS);
    for other in [stripped.clone(), status_by(&stripped, "controller")] {
        assert_eq!(written(&created(&other)), (None, None, Some("skipped:foreign-address")));
    }
    // A user's own value and choice override it.
    let managed = annotated(&ours, &[(MANAGE, "1")]);
    assert_eq!(written(&created(&managed)), (Some("1"), None, Some("skipped:user-managed")));
    let chosen = annotated(&ours, &[(BALANCER, "none")]);
    assert_eq!(written(&created(&chosen)), NONE);
}
