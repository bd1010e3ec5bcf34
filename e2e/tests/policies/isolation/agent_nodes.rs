//! Nodes: an agent reports the pools of its own node and removes confirmations from it.

use super::clients::{
    A, B, Clients, clients, has_no_right, json_patch_status, nodes, patch, patch_status, refused,
    refused_for,
};
use anyhow::{Context, Result, ensure};
use fastrak_api::names;
use fastrak_testkit::or_skip;
use kube::ResourceExt as _;
use serde_json::{Value, json};

fn condition(kind: &str) -> Value {
    json!({ "status": { "conditions": [{ "type": kind, "status": "False" }] } })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_writes_only_the_pool_condition_of_its_own_node() -> Result<()> {
    let Clients { a, b, loose, .. } = or_skip!(clients().await, Ok(()));
    patch_status(&nodes(&a), A, condition(names::POOLS_READY)).await.context("its own")?;
    for thief in [&b, &loose] {
        let written = patch_status(&nodes(thief), A, condition(names::POOLS_READY)).await;
        refused_for(written, "of its own node only")?;
    }
    let status = "only the condition FastrakPoolsReady";
    for (change, why) in [
        (condition("Ready"), status),
        (
            json!({ "status": { "addresses": [{ "type": "InternalIP", "address": "127.0.0.1" }] } }),
            status,
        ),
        (json!({ "status": { "capacity": { "cpu": "1000" } } }), status),
        (json!({ "status": { "daemonEndpoints": { "kubeletEndpoint": { "Port": 1 } } } }), status),
        // A field that older clusters do not have.
        (json!({ "status": { "declaredFeatures": ["Guarded"] } }), status),
        (json!({ "metadata": { "labels": { "other": "x" } } }), "metadata"),
        (
            json!({ "metadata": { "annotations": { names::CONFIRM_ORPHANS: "default" } } }),
            "metadata",
        ),
    ] {
        let refusal = refused_for(patch_status(&nodes(&a), A, change.clone()).await, why);
        refusal.with_context(|| change.to_string())?;
    }
    has_no_right(patch(&nodes(&a), A, json!({ "metadata": { "labels": { "x": "y" } } })).await)?;
    has_no_right(patch(&nodes(&a), A, json!({ "spec": { "unschedulable": true } })).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_removes_the_confirmations_of_its_own_node_and_writes_none() -> Result<()> {
    let Clients { a, b, admin, .. } = or_skip!(clients().await, Ok(()));
    let confirmed = json!({ "metadata": { "annotations": {
        names::ADOPT_POOL: "default", names::CONFIRM_ORPHANS: "default", "example.com/other": "x",
    } } });
    patch(&nodes(&admin), B, confirmed).await?;
    let pointer = |key: &str| format!("/metadata/annotations/{}", key.replace('/', "~1"));
    let removal = |key: &str| {
        json!([
            { "op": "test", "path": pointer(key), "value": "default" },
            { "op": "remove", "path": pointer(key) },
        ])
    };
    let replaced = |key: &str| json!([{ "op": "replace", "path": pointer(key), "value": "fast" }]);
    for key in [names::ADOPT_POOL, names::CONFIRM_ORPHANS] {
        refused(json_patch_status(&nodes(&a), B, removal(key)).await)?;
        refused_for(json_patch_status(&nodes(&b), B, replaced(key)).await, "metadata")?;
        json_patch_status(&nodes(&b), B, removal(key)).await.context("remove its own")?;
    }
    let other = json!([{ "op": "remove", "path": pointer("example.com/other") }]);
    refused_for(json_patch_status(&nodes(&b), B, other).await, "metadata")?;
    let node = nodes(&admin).get(B).await?;
    let left: Vec<_> = node.annotations().keys().map(String::as_str).collect();
    ensure!(left == ["example.com/other"], "{left:?}");
    Ok(())
}
