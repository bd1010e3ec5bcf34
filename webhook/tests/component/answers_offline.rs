//! The offline commands: their output, their messages and their exit codes. A real API server
//! stores what they predict.

use crate::test_cluster::{SOON, TestCluster};
use anyhow::{Context as _, Result, bail, ensure};
use fastrak_api::names::{self, BALANCER, NAMESPACE_CLASS, NODE};
use fastrak_testkit::process::{Invocation, Output};
use fastrak_testkit::{Options, eventually, fake_node, or_skip};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

const PROGRAM: &str = env!("CARGO_BIN_EXE_fastrak-webhook");

const CLUSTER: &str = r#"
apiVersion: v1
kind: List
items:
- apiVersion: storage.k8s.io/v1
  kind: StorageClass
  metadata: {name: fast}
  provisioner: local.fastrak.io
- apiVersion: v1
  kind: Node
  metadata: {name: node-a}
  status: {conditions: [{type: Ready, status: "True"}]}
- apiVersion: v1
  kind: Namespace
  metadata: {name: team, annotations: {fastrak.io/default-class: fast, fastrak.io/balancer: none}}
- {apiVersion: v1, kind: ConfigMap, metadata: {name: not-asked-for}}
"#;

const OBJECTS: &str = r#"# Two that fastrak completes, and one of another kind.
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: notes, namespace: team}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: team, annotations: {own.io/a: "1"}}
spec: {type: LoadBalancer, ports: [{port: 80}]}
---
{apiVersion: apps/v1, kind: Deployment, metadata: {name: other}}
"#;

const STORED: &str = r#"apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  annotations:
    fastrak.io/node: node-a
    fastrak.io/pinned-by: only-node
    volume.beta.kubernetes.io/storage-provisioner: local.fastrak.io
    volume.kubernetes.io/selected-node: node-a
    volume.kubernetes.io/storage-provisioner: local.fastrak.io
  labels:
    fastrak.io/node: node-a
  name: notes
  namespace: team
spec:
  accessModes:
  - ReadWriteOnce
  resources:
    requests:
      storage: 1Gi
  storageClassName: fast
---
apiVersion: v1
kind: Service
metadata:
  annotations:
    dev.inlets.manage: "false"
    fastrak.io/balancer-decision: none
    operator.inlets.dev/manage: "0"
    own.io/a: "1"
  name: web
  namespace: team
spec:
  ports:
  - port: 80
  type: LoadBalancer
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: other
"#;

fn file(name: &str, text: &str) -> Result<PathBuf> {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text)?;
    Ok(path)
}

fn call(args: &[&str], stdin: &str) -> Invocation {
    Invocation::new(Path::new(PROGRAM)).args(args).stdin(stdin)
}

/// Returns the exit code and the output of a call that fails.
async fn refused(args: &[&str], stdin: &str) -> Result<String> {
    match call(args, stdin).run().await {
        Ok(_) => bail!("{args:?} succeeded"),
        Err(error) => Ok(format!("{error:#}")),
    }
}

fn review(kind: &str, object: &Value) -> String {
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "u-1", "operation": "CREATE", "namespace": "shop", "name": "data",
            "kind": {"group": "", "version": "v1", "kind": kind},
            "object": object,
        },
    })
    .to_string()
}

fn claim(annotations: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data", "namespace": "shop", "annotations": annotations},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    })
}

#[tokio::test]
async fn objects_are_printed_as_they_would_be_stored_with_the_reasons() -> Result<()> {
    let cluster = file("offline-patch.yaml", CLUSTER)?;
    let cluster = format!("--cluster={}", cluster.display());
    let Output { stdout, stderr } = call(&["patch", &cluster], OBJECTS).run().await?;
    assert_eq!(stdout, STORED);
    for line in [
        "PersistentVolumeClaim team/notes: would be admitted and changed",
        "  reason: pinned it to node node-a, the only eligible node (pin, only_node)",
        "  spec.storageClassName is \"fast\"",
        "  Warning: fastrak: set class fast, the default of its namespace",
        "Service team/web: would be admitted and changed",
        "Deployment other: skipped, because it is neither a claim nor a Service",
    ] {
        ensure!(stderr.lines().any(|have| have == line), "{line:?} is not in:\n{stderr}");
    }
    // The output is not changed again.
    let again = call(&["patch", &cluster], &stdout).run().await?;
    assert_eq!(again.stdout, STORED);
    let patches = call(&["patch", &cluster, "-o", "patch"], OBJECTS).run().await?.stdout;
    let patches: Vec<json_patch::Patch> =
        patches.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let lengths: Vec<_> = patches.iter().map(|patch| patch.0.is_empty()).collect();
    assert_eq!(lengths, [false, false, true]);
    let json = call(&["patch", &cluster, "--output=json"], OBJECTS).run().await?.stdout;
    ensure!(json.contains("\"fastrak.io/node\": \"node-a\""), "{json}");
    Ok(())
}

#[tokio::test]
async fn a_review_gets_the_answer_that_an_api_server_would_get() -> Result<()> {
    let cluster = file("offline-admit.yaml", CLUSTER)?;
    let cluster = format!("--cluster={}", cluster.display());
    let object = claim(&json!({}));
    let asked = review("PersistentVolumeClaim", &object);
    let Output { stdout, stderr } = call(&["admit"], &asked).run().await?;
    crate::server::is_sound(asked.as_bytes(), stdout.as_bytes())?;
    let answer: Value = serde_json::from_str(&stdout)?;
    assert_eq!(
        (&answer["response"]["uid"], &answer["response"]["allowed"]),
        (&json!("u-1"), &json!(true))
    );
    ensure!(stderr.contains("2 shipped StorageClasses and no nodes"), "{stderr}");

    let pinned = review("PersistentVolumeClaim", &{
        let mut object = claim(&json!({NODE: "nowhere"}));
        object["spec"]["storageClassName"] = json!("fast");
        object
    });
    let text = refused(&["admit", &cluster], &pinned).await?;
    ensure!(text.contains("exit status: 2") && text.contains("\"allowed\": false"), "{text}");
    ensure!(text.contains("would be denied") && text.contains("class fast: node-a"), "{text}");
    // In dry-run mode nothing is refused.
    let dry_run = call(&["admit", &cluster, "--dry-run"], &pinned).run().await?;
    ensure!(dry_run.stderr.contains("(dry run) would have refused it"), "{}", dry_run.stderr);

    let service = json!({"spec": {"type": "LoadBalancer", "ports": [{"port": 80}]}});
    let asked = review("Service", &service);
    for flags in [&["admit", "--balancer=none"][..], &["--balancer=none", "admit"]] {
        let printed = call(flags, &asked).run().await?.stderr;
        ensure!(printed.contains("balancer-decision is \"none\""), "{printed}");
    }
    Ok(())
}

#[tokio::test]
async fn the_error_for_invalid_input_has_its_line_and_column() -> Result<()> {
    let bad = file("offline-bad.yaml", "kind: [\n")?;
    let bad = format!("--cluster={}", bad.display());
    for (args, stdin, says) in [
        (&["patch"][..], "", "standard input is empty"),
        (&["patch"], "a: b\n c: d: e\n", "line 2 column"),
        (&["patch"], "{\"a\":\n 1,,}", "line 2 column 4"),
        (&["patch"], "- a\n- b\n", "is not a Kubernetes object"),
        (&["patch", &bad], OBJECTS, "offline-bad.yaml is not YAML: error: line 1"),
        (&["patch", "--cluster=/nowhere/at-all"], OBJECTS, "could not read /nowhere/at-all"),
        (&["patch", "--output=xml"], OBJECTS, "invalid value 'xml'"),
        (&["admit"], "", "the body is empty"),
        (&["admit"], "{\"kind\":\n", "line 2 column 0"),
        (&["admit"], "{\"kind\": \"Pod\"}", "a \"AdmissionReview\" of"),
        (&["admit"], &review("Pod", &json!({})), "the review is of a \"Pod\""),
    ] {
        let text = refused(args, stdin).await?;
        ensure!(text.contains("exit status: 1") && text.contains(says), "{args:?}: {text}");
    }
    Ok(())
}

/// Returns the fields of an object that fastrak may write.
fn written(object: &Value) -> Value {
    let annotations = object["metadata"]["annotations"].as_object().into_iter().flatten();
    let annotations: Vec<_> = annotations.filter(|(key, _)| !key.starts_with("kubectl.")).collect();
    json!([annotations, object["metadata"]["labels"], object["spec"]["storageClassName"]])
}

#[tokio::test]
async fn a_real_api_server_stores_what_the_command_printed() -> Result<()> {
    let cluster = or_skip!(TestCluster::start(Options::api_only()).await, Ok(()));
    fake_node(&cluster.client, "node-a").await?;
    cluster.plane.kubectl(&["create", "namespace", "team"]).await?;
    let class = format!("{NAMESPACE_CLASS}={}", names::CLASS_RETAIN);
    let balancer = format!("{BALANCER}=none");
    cluster.plane.kubectl(&["annotate", "namespace", "team", &class, &balancer]).await?;
    let webhook = cluster.webhook(&[]).await?;
    let known =
        cluster.plane.kubectl(&["get", "storageclass,nodes,namespaces", "-o", "yaml"]).await?;
    let file = file("offline-real.yaml", &known)?;
    let flag = format!("--cluster={}", file.display());

    for object in objects() {
        let text = object.to_string();
        let said = call(&["patch", &flag, "-o", "json"], &text).run().await?.stdout;
        let said: Value = serde_json::from_str(&said)?;
        eventually(SOON, "the webhook has the objects of the file", || async {
            let create = ["create", "--dry-run=server", "-o", "json", "-f", "-"];
            let command = cluster.plane.kubectl_command().args(create).stdin(text.clone());
            let stored: Value = serde_json::from_str(&command.run().await?.stdout)?;
            ensure!(written(&stored) == written(&said), "{stored:#}\nexpected\n{said:#}");
            Ok(())
        })
        .await
        .with_context(|| text.clone())?;
    }
    webhook.stop().await
}

/// Returns objects of both kinds, with and without annotations, in several namespaces.
fn objects() -> Vec<Value> {
    let mut all = Vec::new();
    for namespace in ["default", "team", "kube-system"] {
        for class in [None, Some(names::CLASS_DEFAULT), Some("nobody"), Some("")] {
            let mut object = claim(&json!({"own.io/x": "kept"}));
            object["metadata"]["namespace"] = json!(namespace);
            if let Some(class) = class {
                object["spec"]["storageClassName"] = json!(class);
            }
            all.push(object);
        }
        for (type_, annotations) in [
            ("LoadBalancer", json!({})),
            ("LoadBalancer", json!({BALANCER: "inlets"})),
            ("LoadBalancer", json!({BALANCER: "node-ip"})),
            ("ClusterIP", json!({BALANCER: "inlets"})),
        ] {
            all.push(json!({
                "apiVersion": "v1", "kind": "Service",
                "metadata": {"name": "web", "namespace": namespace, "annotations": annotations},
                "spec": {"type": type_, "ports": [{"port": 80}]},
            }));
        }
    }
    all
}
