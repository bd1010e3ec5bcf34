//! Sets the pools in the policy of volumes, as an administrator does in an overlay.

use anyhow::{Context, Result};
use fastrak_api::names::{self, kubernetes};
use fastrak_testkit::{ControlPlane, Identity, eventually};
use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicy;
use k8s_openapi::api::core::v1::PersistentVolume;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

/// The timeout until the API server uses a changed policy, which takes a second or two.
const SOON: Duration = Duration::from_secs(30);
/// The uid of a volume that is never created.
const UID: &str = "00000000-0000-4000-8000-000000000000";

/// Sets the pools in the policy.
pub async fn allow_pools(plane: &ControlPlane, pools: &[&Path]) -> Result<()> {
    let policies: Api<ValidatingAdmissionPolicy> = Api::all(plane.client().await?);
    let pools: Vec<_> = pools.iter().map(|pool| format!("'{}'", pool.display())).collect();
    let patch = json!([
        { "op": "test", "path": "/spec/variables/0/name", "value": "pools" },
        { "op": "replace", "path": "/spec/variables/0/expression",
            "value": format!("[{}]", pools.join(", ")) },
    ]);
    let patch: json_patch::Patch = serde_json::from_value(patch).context("make a patch")?;
    let patch = Patch::<()>::Json(patch);
    let params = PatchParams::default();
    let patched = policies.patch(names::AGENT_VOLUMES_POLICY, &params, &patch).await;
    patched.map(drop).context("name the pools in the policy of volumes")
}

/// Returns the volume that the agent of a node creates in this pool, as JSON.
#[must_use]
pub fn agent_volume(node: &str, uid: &str, pool: &Path) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {
            "name": format!("{}{uid}", names::VOLUME_NAME_PREFIX),
            "labels": { names::NODE: node, names::POOL: "default" },
            "annotations": { names::NODE: node, kubernetes::PROVISIONED_BY: names::PROVISIONER },
            "finalizers": [names::VOLUME_FINALIZER],
        },
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "capacity": { "storage": "1Gi" },
            "claimRef": {
                "apiVersion": "v1", "kind": "PersistentVolumeClaim",
                "namespace": "default", "name": "data", "uid": uid,
            },
            "local": { "path": pool.join(uid).join("data") },
            "nodeAffinity": { "required": { "nodeSelectorTerms": [{ "matchExpressions": [
                { "key": kubernetes::HOSTNAME, "operator": "In", "values": [node] },
            ] }] } },
            "persistentVolumeReclaimPolicy": "Delete",
            "storageClassName": names::CLASS_DEFAULT,
            "volumeMode": "Filesystem",
        },
    })
}

/// Waits until the agent of this node may create a volume in this pool.
pub async fn allowed(agent: &Identity, node: &str, pool: &Path) -> Result<()> {
    let volumes: Api<PersistentVolume> = Api::all(agent.client().await?);
    let volume = serde_json::from_value(agent_volume(node, UID, pool)).context("write a volume")?;
    let trial = PostParams { dry_run: true, ..PostParams::default() };
    let what = format!("the agent of {node} may make volumes in {}", pool.display());
    eventually(SOON, what, || volumes.create(&trial, &volume)).await.map(drop)
}
