use super::{claim, node, pod, service};

#[test]
fn a_claim_has_the_built_fields() {
    let built = claim("data").class("fast").asks("2Gi").annotate("a", "b").build("here");
    let json = serde_json::to_value(&built).expect("serialises");
    assert_eq!(json["metadata"]["namespace"], "here");
    assert_eq!(json["metadata"]["annotations"]["a"], "b");
    assert_eq!(json["spec"]["storageClassName"], "fast");
    assert_eq!(json["spec"]["resources"]["requests"]["storage"], "2Gi");
}

#[test]
fn a_claim_without_a_class_has_no_class_field() {
    let json = serde_json::to_value(claim("data").build("here")).expect("serialises");
    assert!(json["spec"].get("storageClassName").is_none());
}

#[test]
fn a_service_gets_its_ports_in_order() {
    let built = service("web").load_balancer().port(80).target(8080).protocol_port("UDP", 53);
    let json = serde_json::to_value(built.build("here")).expect("serialises");
    assert_eq!(json["spec"]["ports"][0]["targetPort"], 8080);
    assert_eq!(json["spec"]["ports"][1]["protocol"], "UDP");
    assert!(json["spec"]["ports"][1].get("targetPort").is_none());
}

#[test]
fn a_node_is_ready_by_default() {
    let status = |built: k8s_openapi::api::core::v1::Node| {
        let conditions = built.status.and_then(|status| status.conditions);
        conditions.into_iter().flatten().map(|condition| condition.status).collect::<Vec<_>>()
    };
    assert_eq!(status(node("a").build()), ["True"]);
    assert_eq!(status(node("a").ready(false).build()), ["False"]);
}

#[test]
fn a_pod_mounts_each_claim_under_its_name() {
    let json = serde_json::to_value(pod("p").mounts("one").mounts("two").build("here"));
    let json = json.expect("serialises");
    assert_eq!(json["spec"]["volumes"][1]["persistentVolumeClaim"]["claimName"], "two");
    assert_eq!(json["spec"]["containers"][0]["volumeMounts"][0]["mountPath"], "/one");
}
