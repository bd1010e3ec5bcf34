use super::*;
use serde_json::{Value, json};

fn class(name: &str, created: &str, default: bool) -> (String, ClassInfo) {
    let object: StorageClass = serde_json::from_value(json!({
        "metadata": {
            "name": name,
            "uid": format!("uid-{name}"),
            "creationTimestamp": created,
            "annotations": {"storageclass.kubernetes.io/is-default-class": default.to_string()},
        },
        "provisioner": "example.com/other",
    }))
    .unwrap();
    (name.to_owned(), ClassInfo::read(&object))
}

fn node(object: &Value) -> NodeInfo {
    NodeInfo::read(&serde_json::from_value(object.clone()).unwrap())
}

#[test]
fn the_newest_of_several_defaults_wins_then_the_first_name() {
    let classes = [
        class("old", "2026-01-01T00:00:00Z", true),
        class("b-new", "2026-02-01T00:00:00Z", true),
        class("a-new", "2026-02-01T00:00:00Z", true),
        class("none", "2026-03-01T00:00:00Z", false),
    ];
    let snapshot = Snapshot { classes: Arc::new(classes.into()), ..Snapshot::default() };
    let order: Vec<_> = snapshot.defaults().iter().map(|f| f.class.name.as_str()).collect();
    assert_eq!(order, ["a-new", "b-new", "old"]);
}

#[test]
fn the_clusters_own_namespaces_and_ours_are_system() {
    let snapshot = Snapshot { namespace: "mine".to_owned(), ..Snapshot::default() };
    for (namespace, system) in
        [("kube-system", true), ("kube-node-lease", true), ("mine", true), ("default", false)]
    {
        assert_eq!(snapshot.is_system(namespace), system, "{namespace}");
    }
}

#[test]
fn an_unknown_namespace_has_no_settings() {
    let out = NamespaceInfo { opted_out: true, ..NamespaceInfo::default() };
    let namespaces = Arc::new([("quiet".to_owned(), out.clone())].into());
    let snapshot = Snapshot { namespaces, ..Snapshot::default() };
    assert!(snapshot.is_opted_out("quiet") && !snapshot.is_opted_out("other"));
    assert_eq!(
        (snapshot.of_namespace("quiet"), snapshot.of_namespace("other")),
        (Some(&out), None)
    );
}

#[test]
fn a_node_is_read() {
    let ready = json!({"conditions": [{"type": "Ready", "status": "True"}]});
    let info = node(&json!({
        "metadata": {"name": "a", "labels": {"kubernetes.io/os": "linux", "zone": "x"}},
        "status": ready,
    }));
    assert_eq!((info.ineligible, info.availability), (None, Availability::Open));
    assert_eq!(info.labels["zone"], "x");

    let bare = node(&json!({"metadata": {"name": "a"}}));
    assert_eq!((bare.ineligible, bare.availability), (None, Availability::Unavailable));
}

#[test]
fn a_node_that_is_leaving_or_runs_another_system_is_ineligible() {
    let windows = node(&json!({"metadata": {"labels": {"kubernetes.io/os": "windows"}}}));
    assert_eq!(windows.ineligible, Some(Ineligible::NotLinux));
    let leaving = node(&json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}));
    assert_eq!(leaving.ineligible, Some(Ineligible::Deleting));
}

#[test]
fn a_node_is_open_to_all_pods_to_those_that_tolerate_a_taint_or_to_none() {
    let of = |spec: Value, ready: &str| {
        let conditions = json!([{"type": "Ready", "status": ready}]);
        let object = json!({"metadata": {}, "spec": spec, "status": {"conditions": conditions}});
        node(&object).availability
    };
    let taint = |key: &str, effect: &str| json!({"taints": [{"key": key, "effect": effect}]});
    for (spec, ready, availability) in [
        (json!({}), "True", Availability::Open),
        (taint("k", "PreferNoSchedule"), "True", Availability::Open),
        (
            taint("node-role.kubernetes.io/control-plane", "NoSchedule"),
            "True",
            Availability::Tainted,
        ),
        (taint("dedicated", "NoExecute"), "True", Availability::Tainted),
        (taint("dedicated", "NoExecute"), "Unknown", Availability::Unavailable),
        (
            taint("node.kubernetes.io/disk-pressure", "NoSchedule"),
            "True",
            Availability::Unavailable,
        ),
        (
            taint("node.kubernetes.io/unschedulable", "NoSchedule"),
            "True",
            Availability::Unavailable,
        ),
        (json!({"unschedulable": true}), "True", Availability::Unavailable),
        (json!({}), "False", Availability::Unavailable),
    ] {
        assert_eq!(of(spec.clone(), ready), availability, "{spec} {ready}");
    }
}

#[test]
fn an_eligible_node_may_have_no_ready_agent() {
    let classes = Arc::new([class("ours", "2026-01-01T00:00:00Z", true)].into());
    let name = |text: &str| NodeName::parse(text).unwrap();
    let nodes = ["a", "b", "c"].map(|text| (name(text), node(&json!({"metadata": {}}))));
    let snapshot = Snapshot { classes, nodes: Arc::new(nodes.into()), ..Snapshot::default() };
    let with_agent = |snapshot: &Snapshot| -> Vec<String> {
        let class = snapshot.class("ours").unwrap();
        assert_eq!(snapshot.eligible(class).count(), 3);
        snapshot.with_agent(class).map(|(name, _)| name.to_string()).collect()
    };
    assert_eq!(with_agent(&snapshot), ["a", "b", "c"], "as long as nothing is known of agents");
    let agents = [
        (name("a"), Agent::Ready),
        (name("b"), Agent::Starting),
        (name("c"), Agent::Down { pod: None }),
    ];
    let snapshot = Snapshot { agents: Some(Arc::new(agents.into())), ..snapshot };
    assert_eq!(with_agent(&snapshot), ["a", "b"]);
}
