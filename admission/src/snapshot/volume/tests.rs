use super::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const UID: &str = "0b0a3a2e-0d6c-4f5f-9e57-3c2f1d2b4a59";

fn read(object: &Value) -> Option<VolumeInfo> {
    serde_json::from_str::<PartialVolume<'_>>(&object.to_string()).unwrap().info()
}

/// Returns a volume of fastrak's that is free again.
fn freed() -> Value {
    json!({
        "metadata": {
            "name": format!("pvc-{UID}"),
            "labels": {"fastrak.io/node": "node-a", "fastrak.io/pool": "default"},
            "annotations": {"fastrak.io/node": "node-a"},
        },
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "capacity": {"storage": "1Gi"},
            "local": {"path": format!("/var/lib/fastrak/{UID}/data")},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                {"key": "kubernetes.io/hostname", "operator": "In", "values": ["node-a"]}]}]}},
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": "local-storage-retain",
            "volumeMode": "Filesystem",
        },
        "status": {"phase": "Available"},
    })
}

fn with_claim(phase: &str, uid: Option<&str>) -> Value {
    let mut object = freed();
    object["spec"]["claimRef"] = json!({"namespace": "shop", "name": "data", "uid": uid});
    object["status"]["phase"] = json!(phase);
    object
}

fn allows(affinity: &Value, labels: &[(&str, &str)]) -> bool {
    let mut object = freed();
    object["spec"]["nodeAffinity"] = affinity.clone();
    let labels: BTreeMap<_, _> =
        labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    read(&object).unwrap().allows(&labels)
}

#[test]
fn a_free_volume_is_kept_with_what_claims_compare() {
    let info = read(&freed()).unwrap();
    assert_eq!((info.class.as_str(), info.capacity), ("local-storage-retain", Bytes(1 << 30)));
    assert_eq!(
        (info.block, info.attributes_class.clone(), info.reservation.clone()),
        (false, None, None)
    );
    assert_eq!(info.modes.count(), 1);
    let mut old = freed();
    old["metadata"]["annotations"][kubernetes::STORAGE_CLASS_BETA] = json!("old");
    old["spec"]["volumeMode"] = json!("Block");
    old["spec"]["volumeAttributesClassName"] = json!("gold");
    old["spec"]["accessModes"] = json!(["ReadWriteOnce", "ReadWriteMany", "Novel"]);
    let info = read(&old).unwrap();
    assert_eq!((info.class.as_str(), info.block, info.modes.count()), ("old", true, 2));
    assert_eq!(info.attributes_class.as_deref(), Some("gold"));
}

#[test]
fn a_volume_that_no_waiting_claim_can_get_is_dropped() {
    let mut leaving = freed();
    leaving["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    assert_eq!(read(&leaving), None);
    for (phase, uid, is_kept) in [
        ("Bound", Some("u-2"), false),
        ("Released", Some("u-2"), false),
        ("Failed", Some("u-2"), false),
        // A provisioner has just created it for the claim that it names.
        ("Pending", Some(UID), false),
        ("Available", Some("u-2"), true),
        ("Pending", Some("u-2"), true),
        ("Available", None, true),
        ("Released", None, true),
        ("Released", Some(""), true),
    ] {
        assert_eq!(read(&with_claim(phase, uid)).is_some(), is_kept, "{phase} {uid:?}");
    }
    // The controller manager has not yet seen that its claimRef was removed.
    for phase in ["Released", "Pending"] {
        let mut object = freed();
        object["status"]["phase"] = json!(phase);
        assert!(read(&object).is_some(), "{phase}");
    }
}

#[test]
fn a_volume_is_reserved_for_a_claim_by_name_and_by_uid_if_it_has_one() {
    let claim = |name: &str, uid: Option<&str>| Claim {
        namespace: "shop".to_owned(),
        name: name.to_owned(),
        uid: uid.map(str::to_owned),
        ..Claim::default()
    };
    for (reserved, claim, is_for) in [
        (None, claim("data", None), true),
        (Some(""), claim("data", Some("u-1")), true),
        (Some("u-1"), claim("data", Some("u-1")), true),
        (Some("u-1"), claim("data", Some("u-2")), false),
        (Some("u-1"), claim("data", None), false),
        (None, claim("other", None), false),
        (None, Claim { namespace: "else".to_owned(), ..claim("data", None) }, false),
    ] {
        let info = read(&with_claim("Available", reserved)).unwrap();
        let reservation = info.reservation.unwrap();
        assert_eq!(reservation.is_for(&claim), is_for, "{reserved:?} {claim:?}");
    }
}

#[test]
fn node_affinity_is_read_as_kubernetes_reads_it() {
    let terms = |terms: Value| json!({"required": {"nodeSelectorTerms": terms}});
    let on = |node: &str| {
        json!({"matchExpressions": [
            {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]})
    };
    let host = [("kubernetes.io/hostname", "a")];
    let novel = json!({"matchExpressions": [{"key": "x", "operator": "Near", "values": ["a"]}]});
    let fields = json!({"matchFields": [
        {"key": "metadata.name", "operator": "In", "values": ["other"]}]});
    for (affinity, allowed) in [
        (json!(null), true),
        (json!({}), true),
        (terms(json!([on("a")])), true),
        (terms(json!([on("b")])), false),
        (terms(json!([on("b"), on("a")])), true),
        (terms(json!([])), false),
        (terms(json!([{}])), false),
        (terms(json!([novel.clone()])), false),
        (terms(json!([novel, on("a")])), true),
        (terms(json!([fields])), true),
    ] {
        assert_eq!(allows(&affinity, &host), allowed, "{affinity}");
    }
    assert!(!allows(&terms(json!([on("a")])), &[]), "a node without the label");
}

#[test]
fn labels_that_are_too_large_to_be_kept_count_as_selected() {
    let wants: Claim = Claim {
        has_selector: true,
        selector: Some([Requirement::equals("tier", "db")].into()),
        ..Claim::default()
    };
    let mut object = freed();
    assert!(!read(&object).unwrap().is_selected_by(&wants));
    assert!(read(&object).unwrap().is_selected_by(&Claim::default()));
    object["metadata"]["labels"]["tier"] = json!("db");
    assert!(read(&object).unwrap().is_selected_by(&wants));
    object["metadata"]["labels"]["tier"] = json!("x".repeat(5000));
    assert!(read(&object).unwrap().is_selected_by(&wants));
    let unread = Claim { selector: None, ..wants };
    assert!(read(&freed()).unwrap().is_selected_by(&unread));
}

/// Returns how many bytes of memory this process has.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[test]
fn a_hundred_thousand_bound_volumes_take_nothing_and_a_free_one_less_than_a_kibibyte() {
    const COUNT: usize = 100_000;
    let keep = |object: &Value| {
        let text = object.to_string();
        let shape: PartialVolume<'_> = serde_json::from_str(&text).unwrap();
        (0..COUNT)
            .filter_map(|number| Some((format!("pvc-{UID}-{number}"), shape.info()?)))
            .collect::<BTreeMap<_, _>>()
    };
    assert!(keep(&with_claim("Bound", Some(UID))).is_empty());
    let before = resident();
    let kept = keep(&freed());
    let each = resident().saturating_sub(before) / kept.len();
    println!("{each} bytes for each volume that is kept");
    assert!((200..1024).contains(&each), "{each}");
}
