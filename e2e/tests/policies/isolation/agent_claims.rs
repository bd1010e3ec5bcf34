//! Claims: an agent writes the size in the status of its own node's claims.

use super::clients::{
    A, B, Clients, claim, claims, clients, has_no_right, patch, patch_status, refused_for,
};
use anyhow::{Context, Result};
use fastrak_api::names;
use fastrak_testkit::or_skip;
use kube::api::{DeleteParams, PostParams};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_writes_only_the_size_of_its_nodes_claims() -> Result<()> {
    let Clients { a, admin, .. } = or_skip!(clients().await, Ok(()));
    claim(&admin, "own", A).await?;
    let condition = |kind: &str| json!([{ "type": kind, "status": "True" }]);
    let refusal = json!({ "status": {
        "allocatedResources": { "storage": "2Gi" },
        "allocatedResourceStatuses": { "storage": "ControllerResizeInfeasible" },
        "conditions": condition("ControllerResizeError"),
    } });
    patch_status(&claims(&a), "own", refusal).await.context("report that it cannot grow")?;
    let growth = json!({ "status": {
        "capacity": { "storage": "2Gi" },
        "allocatedResources": { "storage": null },
        "allocatedResourceStatuses": { "storage": null },
        "conditions": [{ "$patch": "delete", "type": "ControllerResizeError" }],
    } });
    patch_status(&claims(&a), "own", growth).await.context("report that it has grown")?;
    let (size, metadata) = ("only the size fields of a claim's status", "metadata");
    for (change, why) in [
        (json!({ "status": { "phase": "Lost" } }), size),
        (json!({ "status": { "accessModes": ["ReadWriteMany"] } }), size),
        (json!({ "status": { "conditions": condition("Other") } }), size),
        (json!({ "metadata": { "annotations": { names::UNDELETE: "x" } } }), metadata),
        (json!({ "metadata": { "annotations": { names::NODE: B } } }), metadata),
        (json!({ "metadata": { "labels": { "other": "x" } } }), metadata),
        (json!({ "metadata": { "finalizers": ["example.com/other"] } }), metadata),
    ] {
        let refusal = refused_for(patch_status(&claims(&a), "own", change.clone()).await, why);
        refusal.with_context(|| change.to_string())?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_token_does_nothing_to_the_claims_of_another_node() -> Result<()> {
    let Clients { a, b, loose, admin, .. } = or_skip!(clients().await, Ok(()));
    claim(&admin, "other", A).await?;
    for change in [
        json!({ "status": { "capacity": { "storage": "2Gi" } } }),
        json!({ "status": { "phase": "Lost" } }),
        json!({ "metadata": { "annotations": { names::NODE: B } } }),
        json!({ "metadata": { "finalizers": [] } }),
    ] {
        for thief in [&b, &loose] {
            let written = patch_status(&claims(thief), "other", change.clone()).await;
            refused_for(written, "of its own node's claims only")?;
        }
    }
    // An agent may not write claims themselves, not even those of its own node.
    let claim = claims(&admin).get("other").await?;
    let claims = claims(&a);
    let (post, now) = (PostParams::default(), DeleteParams::default());
    has_no_right(patch(&claims, "other", json!({ "metadata": { "labels": { "x": "y" } } })).await)?;
    has_no_right(claims.replace("other", &post, &claim).await)?;
    has_no_right(claims.create(&post, &claim).await)?;
    has_no_right(claims.delete("other", &now).await.map(drop))
}
