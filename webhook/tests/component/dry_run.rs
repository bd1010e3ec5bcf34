//! In dry-run mode the webhook decides and reports, and changes nothing at admission or later.

use crate::test_cluster::{SOON, TestCluster};
use anyhow::{Result, ensure};
use fastrak_api::names::{self, BALANCER, BALANCER_DECISION, NODE};
use fastrak_testkit::{Options, eventually, fake_node, or_skip};
use serde_json::{Value, json};

/// Creates an object with kubectl. Returns the stored object and the printed warnings.
async fn made(cluster: &TestCluster, object: &Value) -> Result<(Value, String)> {
    let command = cluster.plane.kubectl_command().args(["create", "-o", "json", "-f", "-"]);
    let output = command.stdin(object.to_string()).run().await?;
    Ok((serde_json::from_str(&output.stdout)?, output.stderr))
}

fn claim(name: &str, annotations: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": "default", "annotations": annotations},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    })
}

#[tokio::test]
async fn in_dry_run_mode_decisions_are_reported_and_nothing_is_changed() -> Result<()> {
    let cluster = or_skip!(TestCluster::start(Options::api_only()).await, Ok(()));
    fake_node(&cluster.client, "node-a").await?;
    // `webhook` waits until an object is changed, so a webhook in the normal mode starts first.
    let normal = cluster.webhook(&[]).await?;
    let dry_run = cluster.run(&["--dry-run"]).await?;
    cluster.register(dry_run.address).await?;
    dry_run.is_ready().await?;
    normal.stop().await?;

    let (plain, printed) =
        eventually(SOON, "the API server calls the webhook in dry-run mode", || async {
            let command = cluster.plane.kubectl_command();
            let command = command.args(["create", "--dry-run=server", "-o", "json", "-f", "-"]);
            let object = claim("plain", &json!({})).to_string();
            let output = command.stdin(object).run().await?;
            ensure!(output.stderr.contains("(dry run)"), "{}", output.stderr);
            Ok((serde_json::from_str::<Value>(&output.stdout)?, output.stderr))
        })
        .await?;
    assert_eq!(plain["metadata"]["annotations"].get(NODE), None);
    ensure!(printed.contains("fastrak (dry run) would have pinned it to node node-a"), "{printed}");
    made(&cluster, &claim("plain", &json!({}))).await?;

    let (_, printed) = made(&cluster, &claim("refused", &json!({NODE: "nowhere"}))).await?;
    ensure!(printed.contains("fastrak (dry run) would have refused it"), "{printed}");
    let web = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "web", "namespace": "default", "annotations": {BALANCER: "none"}},
        "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]},
    });
    let (web, printed) = made(&cluster, &web).await?;
    assert_eq!(web["metadata"]["annotations"].get(BALANCER_DECISION), None);
    ensure!(
        printed.contains("fastrak (dry run) would have left it without an address"),
        "{printed}"
    );

    let metrics = dry_run.metrics().await?;
    let line = "resource=\"persistentvolumeclaims\",outcome=\"dry_run\",reason=\"only_node\"";
    ensure!(metrics.contains(line), "{metrics}");
    // The webhook's own probe is still patched, because no object comes of it.
    let patched = |line: &str| line.contains("outcome=\"patched\"") && !line.contains("probe");
    ensure!(!metrics.lines().any(patched), "{metrics}");
    let stored = cluster.plane.kubectl(&["get", "pvc", "plain", "-o", "json"]).await?;
    ensure!(!stored.contains(names::PINNED_BY), "{stored}");
    dry_run.stop().await
}
