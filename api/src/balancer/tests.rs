use super::*;
use crate::names::{inlets, kubernetes};

fn view(json: &serde_json::Value) -> ServiceView {
    ServiceView::of(&serde_json::from_str(&json.to_string()).unwrap())
}

#[test]
fn a_service_is_read_as_it_was_written() {
    let read = view(&serde_json::json!({
        "metadata": {
            "namespace": "shop", "name": "web", "finalizers": ["service.kubernetes.io/load-balancer-cleanup"],
            "labels": {"fastrak.io/admission": "disabled"},
            "annotations": {
                "fastrak.io/balancer": "none", "fastrak.io/balancer-decision": "inlets",
                "operator.inlets.dev/manage": "1", "metallb.io/address-pool": "p"}},
        "spec": {
            "type": "LoadBalancer", "externalTrafficPolicy": "Local", "clusterIP": "None", "loadBalancerClass": "x/y", "externalIPs": ["192.0.2.1"],
            "ports": [{"port": 80}, {"port": 53, "protocol": "UDP"}, {"port": 9, "protocol": "SCTP"}]},
        "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}}));
    assert_eq!(
        read,
        ServiceView {
            namespace: "shop".into(),
            name: "web".into(),
            is_load_balancer: true,
            deleting: false,
            opted_out: true,
            headless: true,
            class: Some("x/y".into()),
            unsupported: Mode::ALL.map(|mode| {
                (mode == Mode::Inlets).then_some(Unsupported::Protocol(53, Protocol::Udp))
            }),
            is_local: true,
            ingress: Ingress::Unknown,
            has_external_ips: true,
            foreign_mark: Some("metallb.io/address-pool".into()),
            choice: Some("none".into()),
            decision: Some("inlets".into()),
            managed: [Some("1".into()), None],
        }
    );
}

#[test]
fn the_load_balancer_of_an_address_is_known_by_the_writer_of_the_status() {
    let by = |manager: &str, ip: &str, external: &str| {
        let status = serde_json::json!({"f:status": {"f:loadBalancer": {"f:ingress": {}}}});
        let read = view(&serde_json::json!({
            "metadata": {"managedFields": [
                {"manager": "inlets-operator", "fieldsV1": {"f:spec": {"f:externalIPs": {}}}},
                {"manager": manager, "subresource": "status", "fieldsV1": status}]},
            "spec": {"externalIPs": [external]},
            "status": {"loadBalancer": {"ingress": [{"ip": ip, "ipMode": "VIP"}]}}}));
        read.ingress
    };
    assert_eq!(by("inlets-operator", "192.0.2.1", "192.0.2.1"), Ingress::By(Mode::Inlets));
    assert_eq!(by("inlets-operator", "192.0.2.1", ""), Ingress::By(Mode::Inlets), "stripped since");
    assert_eq!(by("controller", "192.0.2.1", "192.0.2.1"), Ingress::Unknown, "written by hand");
    assert_eq!(by("inlets-operator-2", "192.0.2.1", ""), Ingress::Foreign, "another program");
    assert_eq!(by("controller", "192.0.2.1", "192.0.2.2"), Ingress::Foreign);
    let address = |entry: serde_json::Value, entries: serde_json::Value| {
        let balancer = serde_json::json!({"ingress": entry});
        view(&serde_json::json!({
            "metadata": {"managedFields": entries}, "status": {"loadBalancer": balancer}}))
        .ingress
    };
    let host = serde_json::json!([{"hostname": "a.example"}]);
    let other = serde_json::json!([{"manager": "k3s", "fieldsV1": {
        "f:status": {"f:loadBalancer": {"f:ingress": {}}}}}]);
    assert_eq!(address(host.clone(), other.clone()), Ingress::Foreign);
    assert_eq!(address(host, serde_json::json!([])), Ingress::Unknown);
    assert_eq!(address(serde_json::json!([]), other), Ingress::Absent);
}

#[test]
fn an_empty_service_is_read_as_nothing() {
    assert_eq!(view(&serde_json::json!({})), ServiceView::default());
}

#[test]
fn every_mode_has_a_name_of_its_own_and_is_read_back() {
    for mode in Mode::ALL {
        assert_eq!(Mode::parse(mode.as_str()), Some(mode));
        assert!(!mode.as_str().starts_with("skipped:"), "{mode}");
        assert_eq!(Mode::ALL[mode as usize], mode, "the table is in the order of the modes");
    }
    for text in ["", "class=metallb", "Inlets", "metallb", "Node-IP", "ip-alias"] {
        assert_eq!(Mode::parse(text), None, "{text}");
    }
}

#[test]
fn modes_that_write_the_same_fields_are_served_by_the_same_program() {
    for (at, mode) in Mode::ALL.iter().enumerate() {
        for other in &Mode::ALL[at + 1..] {
            let (row, other_row) = (mode.row(), other.row());
            let writes = |row: Row| (row.annotations, row.class);
            let is_same = writes(row) == writes(other_row);
            assert_eq!(is_same, row.manager == other_row.manager, "{mode} {other}");
        }
    }
}

#[test]
fn every_decision_is_read_back() {
    let skips = SkipReason::ALL.map(Decision::Skipped);
    for decision in Mode::ALL.map(Decision::Served).into_iter().chain(skips) {
        assert_eq!(Decision::parse(&decision.to_string()), Some(decision));
    }
    for text in ["", "skipped:", "skipped:because", "perhaps"] {
        assert_eq!(Decision::parse(text), None);
    }
}

#[test]
fn inlets_carries_tcp_alone_and_not_on_its_own_port() {
    let with = |ports: &[(i32, &str)]| {
        let ports: Vec<_> = ports
            .iter()
            .map(|(port, protocol)| serde_json::json!({"port": port, "protocol": protocol}))
            .collect();
        let read = view(&serde_json::json!({"spec": {"ports": ports}})).unsupported(Mode::Inlets);
        read.map(|beyond| beyond.to_string())
    };
    assert_eq!(with(&[(80, "TCP"), (443, "TCP")]), None);
    assert_eq!(with(&[(80, "TCP"), (53, "UDP")]).unwrap(), "port 53 is UDP");
    assert_eq!(with(&[(9, "SCTP")]).unwrap(), "port 9 is SCTP");
    assert_eq!(with(&[(8123, "TCP")]).unwrap(), "port 8123 is the tunnel's own");
}

#[test]
fn inlets_carries_neither_source_ranges_nor_a_requested_address() {
    let of = |spec: serde_json::Value| {
        view(&serde_json::json!({"spec": spec})).unsupported(Mode::Inlets)
    };
    let ranges = |ranges: &[&str]| of(serde_json::json!({"loadBalancerSourceRanges": ranges}));
    assert_eq!(ranges(&["10.0.0.0/8"]), Some(Unsupported::SourceRanges));
    assert_eq!(ranges(&["::/0"]), Some(Unsupported::SourceRanges));
    assert_eq!(ranges(&["10.0.0.0/8", "0.0.0.0/0"]), None);
    assert_eq!(ranges(&[]), None);
    let udp = serde_json::json!([{"port": 53, "protocol": "UDP"}]);
    let address = |ip: &str| serde_json::json!({"loadBalancerIP": ip, "ports": udp.clone()});
    assert_eq!(of(address("192.0.2.1")), Some(Unsupported::RequestedAddress));
    assert_eq!(of(address("")), Some(Unsupported::Protocol(53, Protocol::Udp)));
    let annotated = |ranges: &str| {
        let annotations = serde_json::json!({kubernetes::SOURCE_RANGES: ranges});
        view(&serde_json::json!({
            "metadata": {"annotations": annotations}, "spec": {"loadBalancerIP": "192.0.2.1"}}))
        .unsupported(Mode::Inlets)
    };
    assert_eq!(annotated("10.0.0.0/8,172.16.0.0/12"), Some(Unsupported::SourceRanges));
    assert_eq!(annotated("10.0.0.0/8,0.0.0.0/0"), Some(Unsupported::RequestedAddress));
    assert_eq!(annotated(""), Some(Unsupported::RequestedAddress));
    let requests = |addresses: &str| {
        let annotations = serde_json::json!({names::LOAD_BALANCER_IPS: addresses});
        view(&serde_json::json!({"metadata": {"annotations": annotations}}))
            .unsupported(Mode::Inlets)
    };
    assert_eq!(requests("192.0.2.1,2001:db8::1"), Some(Unsupported::RequestedAddress));
    assert_eq!(requests(""), None);
}

#[test]
fn the_marks_of_other_load_balancers_are_known() {
    let marked = |place: &str, key: &str| {
        let entry = match place {
            "finalizers" => serde_json::json!([key]),
            _ => serde_json::json!({key: "x"}),
        };
        view(&serde_json::json!({"metadata": {place: entry}})).foreign_mark
    };
    for (place, key) in [
        ("annotations", "metallb.io/loadBalancerIPs"),
        ("annotations", "load-balancer.hetzner.cloud/location"),
        ("annotations", "loadbalancer.openstack.org/floating-network-id"),
        ("annotations", "oci.oraclecloud.com/load-balancer-type"),
        ("annotations", "lb.kubesphere.io/v1alpha1"),
        ("annotations", "projectcalico.org/loadBalancerIPs"),
        ("annotations", "loxilb.io/lbmode"),
        ("annotations", "io.cilium/lb-ipam-ips"),
        ("annotations", "service.beta.kubernetes.io/scw-loadbalancer-type"),
        ("annotations", "service.kubernetes.io/ibm-load-balancer-cloud-provider-ip-type"),
        ("annotations", "service.kubernetes.io/qcloud-loadbalancer-internal-subnetid"),
        ("annotations", "kubernetes.io/elb.class"),
        ("annotations", "kubernetes.civo.com/loadbalancer-algorithm"),
        ("annotations", "networking.gke.io/load-balancer-type"),
        ("labels", "svccontroller.k3s.cattle.io/lbpool"),
        ("finalizers", kubernetes::SERVICE_FINALIZER),
        ("finalizers", "service.k8s.aws/resources"),
        ("finalizers", "gke.networking.io/l4-netlb-v2"),
        ("finalizers", "finalizer.lb.kubesphere.io/v1alpha1"),
    ] {
        assert_eq!(marked(place, key).as_deref(), Some(key), "{place}");
    }
    for (place, key) in [
        ("annotations", "io.cilium/global-service"),
        ("annotations", "projectcalico.org/metadata"),
        ("annotations", "kubernetes.io/description"),
        ("annotations", "service.kubernetes.io/topology-mode"),
        ("labels", "service.kubernetes.io/headless"),
        ("labels", "app.kubernetes.io/name"),
        ("finalizers", "foregroundDeletion"),
    ] {
        assert_eq!(marked(place, key), None, "{key}");
    }
}

#[test]
fn no_prefix_of_a_mark_is_covered_by_another_and_none_is_fastraks_or_the_operators() {
    for prefix in FOREIGN_PREFIXES {
        let others = FOREIGN_PREFIXES.iter().filter(|other| **other != prefix);
        assert!(others.copied().all(|other| !prefix.starts_with(other)), "{prefix}");
        for own in [names::DOMAIN, inlets::MANAGE, inlets::MANAGE_LEGACY] {
            assert!(!own.starts_with(prefix) && !prefix.starts_with(own), "{prefix}");
        }
    }
}
