//! The Services that are sent. The policies do everything that the webhook does for them.

use super::cases::{Case, STATUS_BY, product, some};
use super::cluster::Space;
use fastrak_api::names::inlets::{self, MANAGE, MANAGE_LEGACY};
use fastrak_api::names::{self, BALANCER, BALANCER_DECISION, kubernetes};
use k8s_openapi::api::core::v1::Service;
use kube::api::ApiResource;
use serde_json::{Value, json};

pub(crate) fn resource() -> ApiResource {
    ApiResource::erase::<Service>(&())
}

fn plain(type_: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web"},
        "spec": {"type": type_, "ports": [{"name": "a", "port": 80, "protocol": "TCP"}]},
    })
}

fn balancer() -> Value {
    plain("LoadBalancer")
}

fn annotated(mut object: Value, entries: &[(&str, &str)]) -> Value {
    for (key, value) in entries {
        object["metadata"]["annotations"][*key] = json!(value);
    }
    object
}

fn with(mut object: Value, field: &str, value: Value) -> Value {
    object["spec"][field] = value;
    object
}

fn labelled(mut object: Value, key: &str) -> Value {
    object["metadata"]["labels"][key] = json!("x");
    object
}

fn opted(mut object: Value) -> Value {
    object["metadata"]["labels"][names::ADMISSION] = json!(names::ADMISSION_DISABLED);
    object
}

fn beyond(object: Value) -> Value {
    with(
        object,
        "ports",
        json!([{"name": "a", "port": 80}, {"name": "b", "port": 53, "protocol": "UDP"}]),
    )
}

/// Returns Services with all combinations of the relevant annotations.
fn mixes(type_: &str) -> Vec<Value> {
    let mut all = vec![plain(type_), beyond(plain(type_))];
    let marks: [(&str, &[&str]); 6] = [
        (BALANCER, &["inlets", "none", "node-ip", "class=", "", "nonsense"]),
        (BALANCER_DECISION, &["inlets", "none", "skipped:headless", "skipped:user-managed", "x"]),
        (MANAGE, &["1", "0", "true"]),
        (MANAGE_LEGACY, &["true", "false", ""]),
        ("metallb.io/x", &["v"]),
        ("own.io/x", &["v"]),
    ];
    for (key, values) in marks {
        all = product(all, values, |object, value| annotated(object, &[(key, value)]));
    }
    all
}

fn creates() -> Vec<Case> {
    let mut empty = balancer();
    empty["metadata"]["annotations"] = json!({});
    empty["metadata"]["labels"] = json!({});
    let mut finalizer = balancer();
    finalizer["metadata"]["finalizers"] = json!([kubernetes::SERVICE_FINALIZER]);
    let mut other = balancer();
    other["metadata"]["finalizers"] = json!(["own.io/finalizer"]);
    let port = |port: u16, protocol: &str| {
        with(balancer(), "ports", json!([{"port": port, "protocol": protocol}]))
    };
    let external = with(plain("ExternalName"), "externalName", json!("x.example.com"));
    let mut cases: Vec<_> = [
        balancer(),
        empty,
        finalizer,
        other,
        labelled(balancer(), "svccontroller.k3s.cattle.io/lbpool"),
        labelled(balancer(), "service.kubernetes.io/headless"),
        annotated(balancer(), &[("load-balancer.hetzner.cloud/location", "x")]),
        annotated(balancer(), &[("io.cilium/global-service", "true")]),
        plain("ClusterIP"),
        plain("NodePort"),
        external,
        with(plain("ClusterIP"), "clusterIP", json!("None")),
        with(balancer(), "loadBalancerClass", json!("example.com/other")),
        with(balancer(), "externalIPs", json!(["192.0.2.1"])),
        with(balancer(), "externalIPs", json!([])),
        with(balancer(), "loadBalancerIP", json!("192.0.2.1")),
        ranged(balancer()),
        annotated(ranged(balancer()), &[(BALANCER, "inlets")]),
        with(balancer(), "loadBalancerSourceRanges", json!(["10.0.0.0/8", "0.0.0.0/0"])),
        with(balancer(), "externalTrafficPolicy", json!("Local")),
        annotated(balancer(), &[(kubernetes::SOURCE_RANGES, "10.0.0.0/8")]),
        port(8123, "TCP"),
        port(8123, "UDP"),
        port(9, "SCTP"),
        opted(balancer()),
        annotated(balancer(), &[("own.io/x~y", "kept")]),
        annotated(with(balancer(), "loadBalancerClass", json!("a/b")), &[(BALANCER, "inlets")]),
    ]
    .map(Case::create)
    .into();
    for space in [Space::OptedOut, Space::Mute, Space::Odd] {
        let choose = |choice| annotated(balancer(), &[(BALANCER, choice)]);
        let decided = annotated(balancer(), &[(BALANCER_DECISION, "inlets")]);
        let foreign = with(balancer(), "externalIPs", json!(["192.0.2.1"]));
        let objects = [
            balancer(),
            choose("inlets"),
            choose("none"),
            choose("x"),
            decided,
            foreign,
            beyond(balancer()),
        ];
        cases.extend(objects.map(|object| Case::create(object).within(space)));
    }
    cases.extend(some(mixes("LoadBalancer"), 250).into_iter().map(Case::create));
    cases.extend(some(mixes("ClusterIP"), 40).into_iter().map(Case::create));
    cases
}

/// The annotations of a Service with the decision inlets.
const INLETS: [(&str, &str); 3] =
    [(MANAGE, "1"), (MANAGE_LEGACY, "true"), (BALANCER_DECISION, "inlets")];
/// The annotations of a Service with the decision none.
const NONE: [(&str, &str); 3] =
    [(MANAGE, "0"), (MANAGE_LEGACY, "false"), (BALANCER_DECISION, "none")];

/// Returns a new Service that chooses this mode.
pub(crate) fn choosing(mode: &str) -> Value {
    annotated(balancer(), &[(BALANCER, mode)])
}

fn served() -> Value {
    annotated(balancer(), &INLETS)
}

fn mute() -> Value {
    annotated(balancer(), &NONE)
}

/// Returns a Service that is delegated to a load balancer class.
fn of_class() -> Value {
    let record =
        annotated(mute(), &[(BALANCER_DECISION, "class"), (BALANCER, "class=example.com/x")]);
    with(record, "loadBalancerClass", json!("example.com/x"))
}

/// Returns a Service with the address of another load balancer, which ended the decision.
fn withheld() -> Value {
    addressed(annotated(mute(), &[(BALANCER_DECISION, "skipped:foreign-address")]))
}

fn given_up(object: Value) -> Value {
    with(object, "type", json!("ClusterIP"))
}

fn touched(object: Value) -> Value {
    annotated(object, &[("own.io/x", "y")])
}

fn addressed(mut object: Value) -> Value {
    object["status"] = json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}});
    object
}

/// Returns the Service with an address as the inlets operator writes it.
fn tunnelled(object: Value) -> Value {
    let mut object = with(addressed(object), "externalIPs", json!(["192.0.2.1"]));
    object[STATUS_BY] = json!(inlets::OPERATOR);
    object
}

/// Returns a Service as a client replaces it that drops the fields of others.
fn replaced(old: &Value, annotations: &[(&str, &str)]) -> Value {
    let mut new = annotated(balancer(), annotations);
    for key in ["status", STATUS_BY] {
        old.get(key).into_iter().for_each(|value| new[key] = value.clone());
    }
    new
}

fn replacements() -> Vec<Case> {
    let olds = [
        tunnelled(served()),
        tunnelled(balancer()),
        addressed(served()),
        addressed(mute()),
        withheld(),
        annotated(tunnelled(served()), &[(BALANCER, "inlets")]),
        annotated(balancer(), &[(BALANCER_DECISION, "skipped:user-managed"), (MANAGE, "1")]),
    ];
    let news: [&[(&str, &str)]; 9] = [
        &[],
        &[("own.io/x", "y")],
        &[(BALANCER, "inlets")],
        &[(BALANCER, "none")],
        &[(BALANCER, "node-ip")],
        &[(MANAGE, "1"), (MANAGE_LEGACY, "true")],
        &[(MANAGE, "0")],
        &[(MANAGE, "0"), (BALANCER_DECISION, "none")],
        &[(BALANCER_DECISION, "x")],
    ];
    let mut cases = Vec::new();
    for old in olds {
        for annotations in news {
            let new = replaced(&old, annotations);
            cases.push(Case::update(old.clone(), new.clone()));
            cases.push(Case::update(old.clone(), given_up(new)));
        }
    }
    cases
}

fn ranged(object: Value) -> Value {
    with(object, "loadBalancerSourceRanges", json!(["10.0.0.0/8"]))
}

/// Returns cases in which requirements that inlets cannot meet are added and removed.
fn limits() -> Vec<Case> {
    let noted = |ranges| annotated(served(), &[(kubernetes::SOURCE_RANGES, ranges)]);
    let address = |object| with(object, "loadBalancerIP", json!("192.0.2.1"));
    let requested = |object| annotated(object, &[(names::LOAD_BALANCER_IPS, "192.0.2.1")]);
    vec![
        Case::update(served(), ranged(served())),
        Case::update(served(), ranged(balancer())),
        Case::update(served(), annotated(ranged(served()), &[(BALANCER, "inlets")])),
        Case::update(served(), beyond(ranged(served()))),
        Case::update(ranged(mute()), mute()),
        Case::update(ranged(mute()), touched(ranged(mute()))),
        Case::update(ranged(served()), touched(ranged(served()))),
        Case::update(served(), noted("10.0.0.0/8,172.16.0.0/12")),
        Case::update(served(), noted("10.0.0.0/8,0.0.0.0/0")),
        Case::update(served(), noted(",")),
        Case::update(noted("10.0.0.0/8"), touched(noted("10.0.0.0/8"))),
        Case::update(served(), address(served())),
        Case::update(address(mute()), mute()),
        Case::create(requested(balancer())),
        Case::create(annotated(balancer(), &[(names::LOAD_BALANCER_IPS, "")])),
        Case::update(requested(mute()), mute()),
        Case::update(served(), requested(served())),
        Case::update(address(mute()), beyond(mute())),
    ]
}

fn updates() -> Vec<Case> {
    let managed = || annotated(balancer(), &[(MANAGE, "1")]);
    let mut cases = vec![
        Case::update(balancer(), touched(balancer())),
        Case::update(served(), touched(served())),
        Case::update(addressed(served()), touched(addressed(served()))),
        Case::update(addressed(balancer()), touched(addressed(balancer()))),
        Case::update(of_class(), touched(of_class())),
        Case::update(addressed(of_class()), touched(addressed(of_class()))),
        Case::update(withheld(), touched(withheld())),
        Case::update(withheld(), given_up(withheld())),
        Case::update(withheld(), annotated(withheld(), &[(MANAGE, "1")])),
        Case::update(addressed(mute()), annotated(addressed(mute()), &[(BALANCER, "inlets")])),
        Case::update(annotated(addressed(mute()), &[(BALANCER, "none")]), addressed(mute())),
        Case::update(
            addressed(served()),
            with(addressed(served()), "externalIPs", json!(["192.0.2.1"])),
        ),
        Case::update(served(), balancer()),
        Case::update(served(), given_up(served())),
        Case::update(mute(), given_up(mute())),
        Case::update(served(), given_up(balancer())),
        Case::update(addressed(served()), given_up(addressed(served()))),
        Case::update(given_up(served()), touched(given_up(served()))),
        Case::update(given_up(balancer()), balancer()),
        Case::update(given_up(balancer()), touched(given_up(balancer()))),
        Case::update(managed(), given_up(managed())),
        // A port that inlets does not support is added and removed.
        Case::update(served(), beyond(served())),
        Case::update(beyond(mute()), mute()),
        Case::update(beyond(mute()), touched(beyond(mute()))),
        // A choice of the user is added and removed.
        Case::update(served(), annotated(served(), &[(BALANCER, "none")])),
        Case::update(annotated(mute(), &[(BALANCER, "none")]), mute()),
        Case::update(served(), annotated(served(), &[(BALANCER, "node-ip")])),
        Case::update(served(), annotated(served(), &[(MANAGE, "0")])),
        // It opts out or in.
        Case::update(balancer(), opted(touched(balancer()))),
        Case::update(opted(balancer()), balancer()),
        Case::update(opted(served()), opted(given_up(served()))),
    ];
    for space in [Space::OptedOut, Space::Mute, Space::Odd] {
        let chosen = || annotated(served(), &[(BALANCER, "inlets")]);
        cases.extend([
            Case::update(balancer(), touched(balancer())).within(space),
            Case::update(served(), touched(served())).within(space),
            Case::update(chosen(), served()).within(space),
            Case::update(served(), given_up(served())).within(space),
        ]);
    }
    cases
}

/// Returns changes of each kind of existing Service into many others.
fn mixed_updates() -> Vec<Case> {
    let befores = [
        balancer(),
        served(),
        beyond(mute()),
        annotated(mute(), &[(BALANCER, "none")]),
        addressed(served()),
        withheld(),
        given_up(served()),
        annotated(
            balancer(),
            &[(BALANCER_DECISION, "skipped:foreign-mark"), ("metallb.io/x", "v")],
        ),
    ];
    let mut cases = Vec::new();
    for old in befores {
        let status = old.get("status").cloned();
        let same = |mut new: Value| {
            status.iter().for_each(|status| new["status"] = status.clone());
            Case::update(old.clone(), new)
        };
        cases.extend(some(mixes("LoadBalancer"), 50).into_iter().map(same));
        cases.extend(some(mixes("ClusterIP"), 15).into_iter().map(same));
    }
    cases
}

pub(crate) fn all() -> Vec<Case> {
    [creates(), updates(), replacements(), limits(), mixed_updates()].concat()
}
