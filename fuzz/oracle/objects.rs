//! Claims and Services, lawful and not, with all that decisions look at.

use super::cluster::NODES;
use super::picks::Picks;
use fastrak_api::names::{self, inlets, kubernetes};
use serde_json::{Value, json};

/// Texts that are no node, no choice and no class.
const ODD: [&str; 4] = ["", "-bad-", "é\n\u{7}\"\\", "nowhere"];

/// A claim.
pub(crate) fn claim(picks: &mut Picks<'_>) -> Value {
    let mut claim = json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": picks.one(&["data", "www-web-0", "www-web", ""]), "namespace": "shop"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    });
    let nodes = [None, Some(NODES[0]), Some(NODES[1]), Some(NODES[2])];
    let texts = [nodes.as_slice(), &ODD.map(Some)].concat();
    let by =
        [None, Some("user"), Some("only-node"), Some("policy"), Some("sibling"), Some("scheduler")];
    let provisioners = [None, Some(names::PROVISIONER), Some("example.com/other")];
    for (key, values) in [
        (names::NODE, texts.as_slice()),
        (names::PINNED_BY, &[by.as_slice(), &ODD.map(Some)].concat()),
        (kubernetes::SELECTED_NODE, &texts),
        (kubernetes::STORAGE_PROVISIONER, &provisioners),
        (kubernetes::STORAGE_PROVISIONER_BETA, &provisioners),
        (kubernetes::STORAGE_CLASS_BETA, &[None, None, None, Some(names::CLASS_DEFAULT)]),
        ("example.com/ti~lde", &[None, Some("mine")]),
    ] {
        put(&mut claim, "annotations", key, picks.one(values));
    }
    put(&mut claim, "labels", names::NODE, picks.one(&texts));
    put(
        &mut claim,
        "labels",
        names::ADMISSION,
        picks.one(&[None, None, Some("disabled"), Some("enabled")]),
    );
    let classes =
        [None, Some(names::CLASS_DEFAULT), Some("now"), Some("foreign"), Some(""), Some("gone")];
    set(&mut claim, "/spec", "storageClassName", picks.one(&classes));
    set(&mut claim, "/spec", "volumeName", picks.one(&[None, None, Some("v"), Some("")]));
    let pod =
        json!([{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u", "controller": true}]);
    set(&mut claim, "/metadata", "ownerReferences", picks.one(&[None, Some(pod)]));
    let owned = json!([{"manager": "m", "fieldsV1": {"f:spec": {"f:storageClassName": {}}}}]);
    let fields = [None, Some(owned), Some(json!([{"manager": "m", "fieldsV1": {"f:spec": {}}}]))];
    set(&mut claim, "/metadata", "managedFields", picks.one(&fields));
    bent(&mut claim, picks);
    claim
}

/// A Service.
pub(crate) fn service(picks: &mut Picks<'_>) -> Value {
    let mut service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"ports": [{
            "port": picks.one(&[80, 8123]),
            "protocol": picks.one(&["TCP", "UDP", "SCTP"]),
        }]},
    });
    let choices = [
        None,
        Some("inlets"),
        Some("none"),
        Some("node-ip"),
        Some("ip-alias"),
        Some("class=example.com/x"),
    ];
    let decisions = [
        None,
        Some("inlets"),
        Some("none"),
        Some("skipped:headless"),
        Some("skipped:user-managed"),
        Some("skipped:unsupported-mode"),
        Some("skipped:foreign-mark"),
    ];
    let manage = [None, Some("1"), Some("0"), Some("true"), Some("false"), Some("")];
    for (key, values) in [
        (names::BALANCER, [choices.as_slice(), &ODD.map(Some)].concat()),
        (names::BALANCER_DECISION, [decisions.as_slice(), &ODD.map(Some)].concat()),
        (inlets::MANAGE, manage.to_vec()),
        (inlets::MANAGE_LEGACY, manage.to_vec()),
        ("metallb.io/address-pool", vec![None, None, Some("p")]),
    ] {
        put(&mut service, "annotations", key, picks.one(&values));
    }
    put(&mut service, "labels", names::ADMISSION, picks.one(&[None, None, Some("disabled")]));
    let types =
        [Some("LoadBalancer"), Some("ClusterIP"), Some("NodePort"), Some("ExternalName"), None];
    set(&mut service, "/spec", "type", picks.one(&types));
    set(
        &mut service,
        "/spec",
        "loadBalancerClass",
        picks.one(&[None, None, Some("example.com/x")]),
    );
    set(
        &mut service,
        "/spec",
        "clusterIP",
        picks.one(&[None, None, Some("None"), Some("10.0.0.1")]),
    );
    set(&mut service, "/spec", "externalIPs", picks.one(&[None, None, Some(json!(["192.0.2.1"]))]));
    set_limits(&mut service, picks);
    let ingress = json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}});
    set(&mut service, "", "status", picks.one(&[None, None, Some(ingress)]));
    let cleanup = json!([kubernetes::SERVICE_FINALIZER]);
    set(&mut service, "/metadata", "finalizers", picks.one(&[None, None, Some(cleanup)]));
    bent(&mut service, picks);
    service
}

/// What inlets cannot do for a Service, and who wrote its status.
fn set_limits(service: &mut Value, picks: &mut Picks<'_>) {
    let ranges = [None, None, Some(json!(["10.0.0.0/8"])), Some(json!(["0.0.0.0/0"]))];
    set(service, "/spec", "loadBalancerSourceRanges", picks.one(&ranges));
    set(service, "/spec", "loadBalancerIP", picks.one(&[None, None, Some("10.0.0.7")]));
    let policies = [None, Some("Local"), Some("Cluster")];
    set(service, "/spec", "externalTrafficPolicy", picks.one(&policies));
    let by = |manager: &str| {
        json!([{"manager": manager, "fieldsV1": {
            "f:status": {"f:loadBalancer": {"f:ingress": {}}}}}])
    };
    let managers = [None, Some(by(inlets::OPERATOR)), Some(by("controller"))];
    set(service, "/metadata", "managedFields", picks.one(&managers));
}

/// What any object can be: on its way out, or with nothing where a map could be.
fn bent(object: &mut Value, picks: &mut Picks<'_>) {
    let deleted = picks.one(&[None, None, None, Some("2026-01-01T00:00:00Z")]);
    set(object, "/metadata", "deletionTimestamp", deleted);
    for (parent, name) in [("/metadata", "annotations"), ("/metadata", "labels"), ("", "spec")] {
        match picks.one(&[0, 0, 0, 0, 0, 0, 1, 2]) {
            1 => set(object, parent, name, Some(Value::Null)),
            2 if parent == "/metadata" => set(object, parent, name, Some(json!({}))),
            _ => {}
        }
    }
}

fn put(object: &mut Value, map: &str, key: &str, value: Option<&str>) {
    if let Some(value) = value {
        object["metadata"][map][key] = json!(value);
    }
}

fn set<T: Into<Value>>(object: &mut Value, parent: &str, name: &str, value: Option<T>) {
    if let (Some(value), Some(Value::Object(map))) = (value, object.pointer_mut(parent)) {
        map.insert(name.to_owned(), value.into());
    }
}
