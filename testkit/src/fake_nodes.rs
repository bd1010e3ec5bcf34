//! Node objects without a kubelet, for tests of scheduling. They stay Ready because such a control
//! plane runs without the node lifecycle controller.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::{Node, Taint};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use std::time::Duration;

use crate::eventually::eventually;
use crate::objects::{NodeBuilder, node};

const DEADLINE: Duration = Duration::from_secs(10);

/// Creates a Ready node with this name.
pub async fn fake_node(client: &Client, name: &str) -> Result<Node> {
    fake_node_from(client, node(name)).await
}

/// Creates a node, including its status.
pub async fn fake_node_from(client: &Client, builder: NodeBuilder) -> Result<Node> {
    let wanted = builder.build();
    let name = wanted.name_any();
    let nodes: Api<Node> = Api::all(client.clone());
    let created = nodes.create(&PostParams::default(), &wanted).await;
    created.with_context(|| format!("create node {name}"))?;
    let status = json!({ "status": wanted.status });
    let params = PatchParams::default();
    let patched = nodes.patch_status(&name, &params, &Patch::Merge(&status)).await;
    patched.with_context(|| format!("write the status of node {name}"))?;
    let taints = wanted.spec.and_then(|spec| spec.taints).unwrap_or_default();
    taint(&nodes, &name, &taints).await?;
    nodes.get(&name).await.with_context(|| format!("read node {name}"))
}

// Admission taints every new node as not ready. The controller that removes the taint does not run.
async fn taint(nodes: &Api<Node>, name: &str, wanted: &[Taint]) -> Result<()> {
    let patch = json!({ "spec": { "taints": wanted } });
    eventually(DEADLINE, "the node has the taints it was built with", || async {
        let patched = nodes.patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await?;
        let taints = patched.spec.and_then(|spec| spec.taints).unwrap_or_default();
        ensure!(taints == wanted, "it has {taints:?}");
        Ok(())
    })
    .await
}
