//! The writes for which a real API server calls the webhook.
//!
//! The webhook configuration of `deploy/base` is created with `Fail` instead of `Ignore` and a URL
//! at which nothing listens. Then a write that the webhook would see is refused, any other write is
//! stored, and an expression that cannot be evaluated is an error.

use anyhow::{Context, Result, bail};
use fastrak_api::names::{self, inlets, kubernetes};
use fastrak_testkit::webhook_configuration::strict_manifest;
use fastrak_testkit::{Component, ControlPlane, Options, eventually, or_skip};
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use kube::Api;
use kube::api::PostParams;
use serde_json::{Value, json};
use std::time::Duration;

const PLAIN: &str = "default";
const OPTED_OUT: &str = "opted-out";

/// Returns whether the API server called the webhook for a write.
async fn seen(plane: &ControlPlane, args: &[&str], object: Option<&Value>) -> Result<bool> {
    let mut command = plane.kubectl_command().args(args);
    if let Some(object) = object {
        command = command.stdin(object.to_string());
    }
    match command.run().await {
        Ok(_) => Ok(false),
        Err(error) if format!("{error:#}").contains("failed calling webhook") => Ok(true),
        Err(error) => Err(error),
    }
}

async fn store(plane: &ControlPlane, object: &Value) {
    let stored = seen(plane, &["create", "-f", "-"], Some(object)).await;
    assert!(!stored.unwrap(), "the webhook configuration is used too early");
}

/// Creates the webhook configuration with URLs at which nothing listens, and waits until the API
/// server uses it.
async fn configure(plane: &ControlPlane) -> Result<()> {
    // Nothing listens on port 1, and the refusal comes at once.
    let configuration = strict_manifest(([127, 0, 0, 1], 1).into())?;
    let configurations: Api<MutatingWebhookConfiguration> = Api::all(plane.client().await?);
    configurations.create(&PostParams::default(), &configuration).await?;
    let claim = claim(PLAIN, "probe", json!({}), json!({}));
    let service = service(PLAIN, "probe", json!({}), json!({"type": "LoadBalancer"}));
    for object in [claim, service] {
        let create = ["create", "--dry-run=server", "-f", "-"];
        eventually(Duration::from_secs(20), "the webhook configuration is used", || async {
            matches!(seen(plane, &create, Some(&object)).await, Ok(true))
        })
        .await?;
    }
    Ok(())
}

fn object(kind: &str, (namespace, name): (&str, &str), mut metadata: Value, spec: &Value) -> Value {
    metadata["namespace"] = json!(namespace);
    metadata["name"] = json!(name);
    json!({"apiVersion": "v1", "kind": kind, "metadata": metadata, "spec": spec})
}

/// Returns the probe's claim in this namespace.
fn probe(namespace: &str) -> Value {
    let label = labelled(names::PROBE, names::PROBE_REQUESTED);
    claim(namespace, "probe", label, json!({"storageClassName": ""}))
}

fn claim(namespace: &str, name: &str, metadata: Value, spec: Value) -> Value {
    let mut whole = json!({
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}},
    });
    merge(&mut whole, spec);
    object("PersistentVolumeClaim", (namespace, name), metadata, &whole)
}

fn service(namespace: &str, name: &str, metadata: Value, spec: Value) -> Value {
    let mut whole = json!({"ports": [{"port": 80}]});
    merge(&mut whole, spec);
    object("Service", (namespace, name), metadata, &whole)
}

fn merge(into: &mut Value, from: Value) {
    let Value::Object(from) = from else { panic!("{from} is no object") };
    for (key, value) in from {
        into[key] = value;
    }
}

fn annotated(key: &str, value: &str) -> Value {
    json!({"annotations": {key: value}})
}

fn labelled(key: &str, value: &str) -> Value {
    json!({"labels": {key: value}})
}

async fn start() -> Result<ControlPlane> {
    // The plugin would set a class on every claim, and claims without one must be tested too.
    let flag = "--disable-admission-plugins=DefaultStorageClass";
    let plane = ControlPlane::start(Options::api_only().flag(Component::ApiServer, flag)).await?;
    let opted_out = json!({names::ADMISSION: names::ADMISSION_DISABLED});
    for (name, labels) in
        [(names::NAMESPACE, json!({})), (names::PROBE_NAMESPACE, json!({})), (OPTED_OUT, opted_out)]
    {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}});
        store(&plane, &namespace).await;
    }
    for name in kubernetes::SYSTEM_NAMESPACES.iter().copied().chain([PLAIN]) {
        let look = || async { plane.kubectl(&["get", "namespace", name]).await };
        eventually(Duration::from_secs(20), format!("namespace {name}"), look).await?;
    }
    Ok(plane)
}

/// A description, metadata and spec of a new object, and whether the webhook is called.
type Made = (&'static str, Value, Value, bool);

fn claims_made() -> Vec<Made> {
    let no = || json!({});
    let of_class = |class: &str| json!({"storageClassName": class});
    let marked = json!({"annotations": {"a/b": "c"}, "labels": {"a/b": "c"}});
    let beta = annotated(kubernetes::STORAGE_CLASS_BETA, "x");
    vec![
        ("a claim that says nothing", no(), no(), true),
        ("of a class", no(), of_class("fast"), true),
        ("annotated and labelled", marked, no(), true),
        ("pinned by hand", annotated(names::NODE, "a"), no(), true),
        ("selected by hand", annotated(kubernetes::SELECTED_NODE, "a"), no(), true),
        ("of no class", no(), of_class(""), false),
        ("for a volume by name", no(), json!({"volumeName": "v"}), false),
        ("of a beta class", beta, no(), false),
        ("a claim opted out", labelled(names::ADMISSION, names::ADMISSION_DISABLED), no(), false),
    ]
}

fn services_made() -> Vec<Made> {
    let no = || json!({});
    let of_type = |name: &str| json!({"type": name});
    let elsewhere = json!({"type": "ExternalName", "externalName": "a.b"});
    let out = labelled(names::ADMISSION, names::ADMISSION_DISABLED);
    vec![
        ("a Service for an address", no(), of_type("LoadBalancer"), true),
        (
            "by another's class",
            no(),
            json!({"type": "LoadBalancer", "loadBalancerClass": "a/b"}),
            true,
        ),
        ("a Service that says nothing", no(), no(), false),
        ("a headless one", no(), json!({"clusterIP": "None"}), false),
        ("on ports of nodes", no(), of_type("NodePort"), false),
        ("a name elsewhere", no(), elsewhere, false),
        ("a Service opted out", out, of_type("LoadBalancer"), false),
    ]
}

/// Returns all new objects, with a description and whether the webhook is called.
fn made() -> Vec<(String, Value, bool)> {
    let claims = claims_made().into_iter();
    let claims = claims
        .map(|(what, metadata, spec, seen)| (what, claim(PLAIN, "new", metadata, spec), seen));
    let services = services_made().into_iter();
    let services = services
        .map(|(what, metadata, spec, seen)| (what, service(PLAIN, "new", metadata, spec), seen));
    let mut cases: Vec<_> = claims
        .chain(services)
        .map(|(what, object, seen)| (what.to_owned(), object, seen))
        .collect();
    for namespace in kubernetes::SYSTEM_NAMESPACES.into_iter().chain([names::NAMESPACE, OPTED_OUT])
    {
        let outer = service(namespace, "new", json!({}), json!({"type": "LoadBalancer"}));
        for object in [claim(namespace, "new", json!({}), json!({})), outer] {
            cases.push((format!("{} in {namespace}", object["kind"]), object, false));
        }
    }
    cases
}

struct Update {
    what: &'static str,
    before: Value,
    patch: Value,
    subresource: Option<&'static str>,
    delete_first: bool,
    seen: bool,
}

fn update(what: &'static str, before: Value, patch: Value, seen: bool) -> Update {
    Update { what, before, patch, subresource: None, delete_first: false, seen }
}

fn old_claim(metadata: Value) -> Value {
    claim(PLAIN, "old", metadata, json!({}))
}

/// Returns the metadata of a claim after webhook and scheduler have written it.
fn settled() -> Value {
    json!({
        "annotations": {kubernetes::SELECTED_NODE: "a", names::NODE: "a"},
        "labels": {names::NODE: "a"},
    })
}

fn annotate(key: &str, value: &str) -> Value {
    json!({"metadata": annotated(key, value)})
}

fn claims_that_move() -> Vec<Update> {
    let plain = || old_claim(json!({}));
    let unlabelled = || old_claim(annotated(kubernetes::SELECTED_NODE, "a"));
    let settled = || old_claim(settled());
    let label = |value: Value| json!({"metadata": {"labels": {names::NODE: value}}});
    let taken_back = json!({"metadata": {"annotations": {kubernetes::SELECTED_NODE: null}}});
    let class = json!({"spec": {"storageClassName": "fast"}});
    let changes = [
        ("the scheduler chooses", plain(), annotate(kubernetes::SELECTED_NODE, "a")),
        ("the scheduler chooses again", settled(), annotate(kubernetes::SELECTED_NODE, "b")),
        ("the choice is taken back", settled(), taken_back),
        ("a pin is written", plain(), annotate(names::NODE, "a")),
        ("the reason is written", plain(), annotate(names::PINNED_BY, "user")),
        ("the label is written", plain(), label(json!("a"))),
        ("the label is taken off", settled(), label(Value::Null)),
        ("a class is given late", plain(), class),
        ("any change of a claim with a node and no label", unlabelled(), annotate("a/b", "c")),
    ];
    changes.map(|(what, before, patch)| update(what, before, patch, true)).into()
}

fn claims_left_alone() -> Vec<Update> {
    let plain = || old_claim(json!({}));
    let kept = json!({"finalizers": ["a.b/c"]});
    let bound = claim(PLAIN, "old", json!({}), json!({"volumeName": "v"}));
    let choose = || annotate(kubernetes::SELECTED_NODE, "a");
    let changes = [
        ("the annotation of another's", plain(), annotate("a/b", "c")),
        ("the label of another's", plain(), json!({"metadata": labelled("a/b", "c")})),
        ("a finalizer", plain(), json!({"metadata": kept})),
        ("the provisioner", old_claim(settled()), annotate(kubernetes::STORAGE_PROVISIONER, "x")),
        ("the volume", plain(), json!({"spec": {"volumeName": "v"}})),
        ("a claim that has its volume", bound, choose()),
    ];
    let phase = update("its status", plain(), json!({"status": {"phase": "Lost"}}), false);
    let going = update("a claim that is going", old_claim(kept), choose(), false);
    let changes = changes.map(|(what, before, patch)| update(what, before, patch, false));
    let special =
        [Update { subresource: Some("status"), ..phase }, Update { delete_first: true, ..going }];
    changes.into_iter().chain(special).collect()
}

fn service_updates() -> Vec<Update> {
    let inner = || service(PLAIN, "old", json!({}), json!({}));
    let outer = || service(PLAIN, "old", json!({}), json!({"type": "LoadBalancer"}));
    let becomes = |name: &str| json!({"spec": {"type": name}});
    let decided = service(PLAIN, "old", annotated(names::BALANCER_DECISION, "inlets"), json!({}));
    let kept = json!({"finalizers": ["a.b/c"]});
    let going = service(PLAIN, "old", kept, json!({"type": "LoadBalancer"}));
    let going = update("a Service that is going", going, annotate("a/b", "c"), false);
    let address = json!({"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}});
    let address = update("its address arrives", outer(), address, false);
    vec![
        update("it now wants an address", inner(), becomes("LoadBalancer"), true),
        update("it no longer does", outer(), becomes("ClusterIP"), true),
        update("any change of a LoadBalancer", outer(), annotate("a/b", "c"), true),
        update("its user manages it", outer(), annotate(inlets::MANAGE, "0"), true),
        update(
            "it stopped wanting one while the webhook was down",
            decided,
            annotate("a/b", "c"),
            true,
        ),
        update("a Service that never wanted one", inner(), annotate("a/b", "c"), false),
        Update { subresource: Some("status"), ..address },
        Update { delete_first: true, ..going },
    ]
}

/// Stores the objects of the updates under unique names, before the webhook configuration exists.
async fn prepare(plane: &ControlPlane, updates: &mut [Update]) -> Result<()> {
    for (index, case) in updates.iter_mut().enumerate() {
        let name = format!("old-{index}");
        case.before["metadata"]["name"] = json!(name);
        store(plane, &case.before).await;
        if case.delete_first {
            let kind = case.before["kind"].as_str().context("kind")?;
            plane.kubectl(&["delete", kind, &name, "--namespace", PLAIN, "--wait=false"]).await?;
        }
    }
    Ok(())
}

async fn update_is_seen(plane: &ControlPlane, case: &Update) -> Result<bool> {
    let (kind, metadata) = (&case.before["kind"], &case.before["metadata"]);
    let (Some(kind), Some(name)) = (kind.as_str(), metadata["name"].as_str()) else {
        bail!("{metadata} has no name");
    };
    let patch = case.patch.to_string();
    let mut args =
        vec!["patch", kind, name, "--namespace", PLAIN, "--type=merge", "--patch", &patch];
    args.extend(case.subresource.iter().flat_map(|name| ["--subresource", name]));
    seen(plane, &args, None).await
}

#[tokio::test]
async fn the_webhook_is_called_only_for_objects_that_fastrak_may_change() {
    let plane = or_skip!(start().await);
    let updates = [claims_that_move(), claims_left_alone(), service_updates()];
    let mut updates: Vec<_> = updates.into_iter().flatten().collect();
    prepare(&plane, &mut updates).await.unwrap();
    configure(&plane).await.unwrap();

    let mut wrong = Vec::new();
    for (what, object, expected) in made() {
        let create = ["create", "--dry-run=server", "-f", "-"];
        let found = seen(&plane, &create, Some(&object)).await.context(what.clone()).unwrap();
        wrong.extend((found != expected).then(|| format!("created: {what}: seen is {found}")));
    }
    for case in &updates {
        let found = update_is_seen(&plane, case).await.context(case.what).unwrap();
        wrong.extend(
            (found != case.seen).then(|| format!("updated: {}: seen is {found}", case.what)),
        );
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A request of a user, and whether the webhook of the probe is called.
struct Asked {
    what: &'static str,
    who: &'static str,
    object: Value,
    dry: bool,
    seen: bool,
}

/// The user name of the webhook's account.
const ACCOUNT: &str = "system:serviceaccount:fastrak-system:fastrak-webhook";

fn asked() -> Vec<Asked> {
    let case = |what, who, object, dry, seen| Asked { what, who, object, dry, seen };
    let here = || probe(names::PROBE_NAMESPACE);
    let mut kept = here();
    kept["metadata"]["name"] = json!("kept");
    let unlabelled =
        claim(names::PROBE_NAMESPACE, "probe", json!({}), json!({"storageClassName": ""}));
    let service = service(
        names::PROBE_NAMESPACE,
        "probe",
        labelled(names::PROBE, names::PROBE_REQUESTED),
        json!({}),
    );
    let other_label = labelled(names::PROBE, "false");
    let other =
        claim(names::PROBE_NAMESPACE, "probe", other_label, json!({"storageClassName": ""}));
    vec![
        case("the probe", ACCOUNT, here(), true, true),
        case("a claim that is stored", ACCOUNT, kept, false, false),
        case("a probe of another user", "somebody", here(), true, false),
        case("of an account in another namespace", "fastrak-webhook", here(), true, false),
        case("a probe elsewhere", ACCOUNT, probe(PLAIN), true, false),
        case("in fastrak's own namespace", ACCOUNT, probe(names::NAMESPACE), true, false),
        case("in a system namespace", ACCOUNT, probe("kube-system"), true, false),
        case("without the label", ACCOUNT, unlabelled, true, false),
        case("with another value of it", ACCOUNT, other, true, false),
        case("no claim", ACCOUNT, service, true, false),
    ]
}

/// Only the probe's webhook fails closed, so it must not be called for any other request.
#[tokio::test]
async fn the_webhook_of_the_probe_is_called_only_for_the_probe() {
    let plane = or_skip!(start().await);
    configure(&plane).await.unwrap();
    let mut wrong = Vec::new();
    for Asked { what, who, object, dry, seen: expected } in asked() {
        let who = format!("--as={who}");
        let mut args = vec!["create", "--as-group=system:masters", &who, "-f", "-"];
        args.extend(dry.then_some("--dry-run=server"));
        let found = seen(&plane, &args, Some(&object)).await.context(what).unwrap();
        wrong.extend((found != expected).then(|| format!("{what}: seen is {found}")));
    }
    // An update of a claim that is there, by the webhook itself.
    let who = format!("--as={}", ACCOUNT);
    let patch = annotate("a/b", "c").to_string();
    let mut update = vec!["patch", "pvc", "kept", "-n", names::PROBE_NAMESPACE, "--type=merge"];
    update.extend(["--as-group=system:masters", &who, "--dry-run=server", "--patch", &patch]);
    assert!(!seen(&plane, &update, None).await.unwrap(), "an update");
    assert!(wrong.is_empty(), "{wrong:#?}");
}
