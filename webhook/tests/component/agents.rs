//! Pods of agents and speakers on nodes that exist only as objects. A test sets whether they are Ready.

use crate::test_cluster::TestCluster;
use anyhow::Result;
use fastrak_api::names::{self, kubernetes};
use fastrak_testkit::objects::pod;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;

/// Creates a Ready pod of the agent on a node.
pub(crate) async fn runs_agent(cluster: &TestCluster, node: &str) -> Result<()> {
    runs(cluster, names::AGENT, node).await
}

/// Creates a Ready pod of a DaemonSet on a node.
pub(crate) async fn runs(cluster: &TestCluster, name: &str, node: &str) -> Result<()> {
    let pods: Api<Pod> = cluster.api(names::NAMESPACE);
    let pod = pod(&format!("{name}-{node}"))
        .label(kubernetes::APP_NAME, name)
        .service_account(names::AGENT)
        .on_node(node);
    pods.create(&PostParams::default(), &pod.build(names::NAMESPACE)).await?;
    set_ready(cluster, name, node, true).await
}

/// Sets whether the pod of a DaemonSet on a node is Ready.
pub(crate) async fn set_ready(
    cluster: &TestCluster,
    name: &str,
    node: &str,
    ready: bool,
) -> Result<()> {
    let pods: Api<Pod> = cluster.api(names::NAMESPACE);
    let status = if ready { "True" } else { "False" };
    let conditions = json!([{"type": "Ready", "status": status}]);
    let patch = Patch::Merge(json!({"status": {"conditions": conditions}}));
    let name = format!("{name}-{node}");
    pods.patch_status(&name, &PatchParams::default(), &patch).await?;
    Ok(())
}
