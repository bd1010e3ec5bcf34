use super::*;
use crate::selector::{Operator, Requirement};

fn claim(json: &serde_json::Value) -> Claim {
    Claim::parse(&json.to_string()).unwrap()
}

#[test]
fn a_claim_is_read_as_it_was_written() {
    let read = claim(&serde_json::json!({
        "metadata": {
            "namespace": "shop", "name": "data", "uid": "u-1", "resourceVersion": "7",
            "annotations": {
                "fastrak.io/node": "node-a", "fastrak.io/pinned-by": "user",
                "volume.kubernetes.io/selected-node": "node-a",
                "volume.kubernetes.io/storage-provisioner": "local.fastrak.io"},
            "labels": {
                "fastrak.io/node": "node-a", "fastrak.io/admission": "disabled", "fastrak.io/probe": "true"},
            "finalizers": ["kubernetes.io/pvc-protection", "example.com/populates"],
            "ownerReferences": [
                {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "pod-1", "controller": true}]},
        "spec": {
            "storageClassName": "local-storage", "accessModes": ["ReadWriteOnce"], "volumeMode": "Block",
            "volumeName": "pvc-u-1", "selector": {"matchLabels": {"a": "b"}}, "volumeAttributesClassName": "gold",
            "dataSource": {"kind": "VolumeSnapshot", "name": "snap"},
            "resources": {"requests": {"storage": "1Gi"}}},
        "status": {"phase": "Pending"}}));
    assert_eq!(
        read,
        Claim {
            namespace: "shop".into(),
            name: "data".into(),
            generate_name: String::new(),
            uid: Some("u-1".into()),
            resource_version: Some("7".into()),
            deleting: false,
            owner_pod: Some("pod-1".into()),
            pin: Some("node-a".into()),
            pinned_by: Some("user".into()),
            node_label: Some("node-a".into()),
            selected_node: Some("node-a".into()),
            storage_provisioner: (Some("local.fastrak.io".into()), None),
            opted_out: true,
            class_unowned: false,
            class: ClassChoice::Named("local-storage".into()),
            volume_name: Some("pvc-u-1".into()),
            phase: Some("Pending".into()),
            access_modes: vec!["ReadWriteOnce".into()],
            block: true,
            has_selector: true,
            selector: Some([Requirement::equals("a", "b")].into()),
            has_foreign_finalizer: true,
            data_source: Some("VolumeSnapshot/snap".into()),
            attributes_class: Some("gold".into()),
            storage: Some("1Gi".into()),
            probes: true,
            probe_answer: None,
            created: None,
            restore_request: None,
        }
    );
}

#[test]
fn an_empty_selector_counts_as_none() {
    let selects =
        |selector| claim(&serde_json::json!({"spec": {"selector": selector}})).has_selector;
    let exists = serde_json::json!({"key": "disk", "operator": "Exists"});
    for (selector, wanted) in [
        (serde_json::json!(null), false),
        (serde_json::json!({}), false),
        (serde_json::json!({"matchLabels": {}}), false),
        (serde_json::json!({"matchExpressions": []}), false),
        (serde_json::json!({"matchLabels": {}, "matchExpressions": []}), false),
        (serde_json::json!({"matchLabels": {"disk": ""}}), true),
        (serde_json::json!({"matchLabels": {}, "matchExpressions": [exists]}), true),
    ] {
        assert_eq!(selects(selector.clone()), wanted, "{selector}");
    }
}

#[test]
fn a_selector_is_kept_unless_it_is_large_and_a_size_may_be_a_number() {
    let expression =
        serde_json::json!({"key": "disk", "operator": "NotIn", "values": ["hdd", "tape"]});
    let read = claim(&serde_json::json!({"spec": {
        "selector": {"matchLabels": {"tier": "db"}, "matchExpressions": [expression]}}}));
    let kept = read.selector.unwrap();
    assert_eq!(*kept[0].key, *"tier");
    assert_eq!((kept[1].operator, kept[1].values.len()), (Operator::NotIn, 2));
    for selector in [
        serde_json::json!({"matchLabels": {"tier": "x".repeat(3000)}}),
        serde_json::json!({"matchExpressions": [{"key": "disk", "operator": "Near"}]}),
    ] {
        let read = claim(&serde_json::json!({"spec": {"selector": selector}}));
        assert_eq!((read.has_selector, read.selector), (true, None), "{selector}");
    }
    for (size, read) in [(r#""1Gi""#, "1Gi"), ("1073741824", "1073741824"), ("1.5e9", "1500000000")]
    {
        let text = format!(r#"{{"spec": {{"resources": {{"requests": {{"storage": {size}}}}}}}}}"#);
        let claim = Claim::of(&serde_json::from_str(&text).unwrap());
        assert_eq!(claim.storage.as_deref(), Some(read));
    }
}

#[test]
fn a_claim_that_cannot_be_served_is_explained_in_one_line() {
    let check = |spec| claim(&serde_json::json!({"spec": spec})).check();
    let source = serde_json::json!({"kind": "VolumeSnapshot", "name": "n".repeat(16)});
    for (spec, words) in [
        (serde_json::json!({"volumeMode": "Block"}), "volumeMode Block"),
        (serde_json::json!({"accessModes": ["ReadWriteOnce", "ReadWriteMany"]}), "ReadWriteMany"),
        (serde_json::json!({"accessModes": ["ReadOnlyMany"]}), "ReadOnlyMany"),
        (serde_json::json!({"dataSource": source}), "dataSource VolumeSnapshot/nnn"),
        (serde_json::json!({"dataSourceRef": source}), "dataSource VolumeSnapshot/nnn"),
        (serde_json::json!({"selector": {"matchLabels": {"a": "b"}}}), "spec.selector"),
        (serde_json::json!({"volumeAttributesClassName": "gold"}), "volumeAttributesClassName"),
    ] {
        let text = check(spec.clone()).unwrap_err().to_string();
        assert!(text.contains(words) && text.contains("; "), "{text}");
        assert!(text.len() <= 111, "{} characters: {text}", text.len());
    }
    for spec in [
        serde_json::json!({}),
        serde_json::json!({"volumeMode": "Filesystem", "volumeAttributesClassName": ""}),
        serde_json::json!({"accessModes": ["ReadWriteOnce", "ReadWriteOncePod"], "selector": {}}),
    ] {
        assert_eq!(check(spec), Ok(()));
    }
}

#[test]
fn an_empty_claim_is_read_as_nothing() {
    assert_eq!(claim(&serde_json::json!({})), Claim::default());
}

#[test]
fn an_unset_class_an_empty_one_and_an_old_annotation_are_distinguished() {
    let class = |json| claim(&json).class;
    assert_eq!(class(serde_json::json!({"spec": {}})), ClassChoice::Unset);
    assert_eq!(class(serde_json::json!({"spec": {"storageClassName": ""}})), ClassChoice::Empty);
    assert_eq!(
        class(serde_json::json!({
            "metadata": {"annotations": {"volume.beta.kubernetes.io/storage-class": "old"}},
            "spec": {"storageClassName": "new"}})),
        ClassChoice::Beta("old".into())
    );
}

#[test]
fn a_pin_that_is_not_a_node_name_is_an_error() {
    let read = Claim { pin: Some("../etc".into()), ..Claim::default() };
    let error = read.pin().unwrap_err().to_string();
    assert!(error.starts_with("annotation fastrak.io/node is \"../etc\": a node name"), "{error}");
    assert_eq!(Claim::default().pin(), Ok(None));
}

#[test]
fn a_size_that_cannot_be_served_is_an_error_with_what_to_write() {
    for (storage, words) in [
        (None, "requests no size"),
        (Some("0"), "size of 0"),
        (Some("-1Gi"), "below zero"),
        (Some("1e400"), "more than the maximum of 16Ei"),
        (Some("lots"), "is not a size"),
    ] {
        let read = Claim { storage: storage.map(str::to_owned), ..Claim::default() };
        let error = read.request().unwrap_err().to_string();
        assert!(error.contains(words), "{storage:?}: {error}");
    }
    let read = Claim { storage: Some("1Ei".into()), ..Claim::default() };
    assert_eq!(read.request(), Ok(Bytes(1 << 60)));
}

#[test]
fn every_reason_for_a_pin_is_read_back() {
    for by in PinnedBy::ALL {
        assert_eq!(PinnedBy::parse(by.as_str()), Some(by));
    }
    assert_eq!(PinnedBy::parse("root"), None);
}

#[test]
fn a_class_without_an_owner_was_filled_in_if_there_is_a_record_of_owners() {
    let owner = |fields: serde_json::Value| serde_json::json!({"manager": "m", "operation": "Update", "fieldsType": "FieldsV1", "fieldsV1": fields});
    let silent = owner(serde_json::json!({"f:spec": {"f:accessModes": {}}}));
    let bare = owner(serde_json::json!({"f:metadata": {}}));
    let owning = owner(serde_json::json!({"f:spec": {"f:storageClassName": {}}}));
    let odd = owner(serde_json::json!([]));
    let mute = serde_json::json!({"manager": "m"});
    for (owners, unowned) in [
        (vec![], false),
        (vec![&silent], true),
        (vec![&bare], true),
        (vec![&owning], false),
        (vec![&silent, &owning], false),
        (vec![&silent, &mute], false),
        (vec![&odd], false),
    ] {
        let read = claim(&serde_json::json!({"metadata": {"managedFields": owners}}));
        assert_eq!(read.class_unowned, unowned, "{owners:?}");
    }
}

#[test]
fn the_creation_and_the_restore_request_of_a_claim_are_read() {
    let read = claim(&serde_json::json!({ "metadata": {
        "creationTimestamp": "1970-01-02T00:00:00Z", "annotations": { "fastrak.io/import": "old" },
    } }));
    assert_eq!(read.created, Some(86_400));
    assert_eq!(read.restore_request, Some(Ok(RestoreRequest::Import("old".to_owned()))));
}
