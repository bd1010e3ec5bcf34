//! Writes the capacity of volumes, the status of claims and the conditions of the node. Each write
//! is conditional, or changes only fields that the agent owns.

use super::{CLAIMS, Changed, ClusterError, KubeCluster, code, test};
use crate::snapshot::growth::{Growth, STORAGE};
use crate::snapshot::volume::Volume;
use fastrak_api::claim::Claim;
use fastrak_api::claim_ref::ClaimRef;
use fastrak_api::node::NodeName;
use fastrak_runtime::not_found::is_not_found;
use json_patch::jsonptr::PointerBuf;
use json_patch::{Patch as Operations, PatchOperation, ReplaceOperation};
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::Value;

/// The part of a claim's status that concerns its size, and its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimStatus {
    /// The UID.
    pub uid: String,
    /// The resource version.
    pub version: String,
    /// The size in the status.
    pub growth: Growth,
}

impl KubeCluster {
    pub(super) async fn resize(
        &self,
        volume: &Volume,
        size: &str,
    ) -> Result<Changed, ClusterError> {
        self.patch_tested(volume, resized(volume, size)).await.map_err(ClusterError::Resize)
    }

    pub(super) async fn claim_status(
        &self,
        claim: &Claim,
    ) -> Result<Option<ClaimStatus>, ClusterError> {
        let found = self.claim_object(&claim.namespace, &claim.name).await?;
        let found = found.filter(|found| found.metadata.uid == claim.uid);
        Ok(found.map(|found| ClaimStatus {
            growth: Growth::read(&found),
            uid: found.metadata.uid.unwrap_or_default(),
            version: found.metadata.resource_version.unwrap_or_default(),
        }))
    }

    pub(super) async fn owner(
        &self,
        claim: &ClaimRef,
    ) -> Result<Option<(Claim, Growth)>, ClusterError> {
        let found = self.claim_object(&claim.namespace, &claim.name).await?;
        let found = found.filter(|found| claim.uid.is_some() && found.metadata.uid == claim.uid);
        Ok(found.map(|found| (Claim::read(&found), Growth::read(&found))))
    }

    pub(super) async fn write_status(
        &self,
        claim: &Claim,
        patch: &Value,
    ) -> Result<bool, ClusterError> {
        let claims = self.claims(&claim.namespace);
        let patch = Patch::Strategic(patch);
        match claims.patch_status(&claim.name, &PatchParams::default(), &patch).await {
            Ok(_) => Ok(true),
            Err(error)
                if is_not_found(&error, CLAIMS, &claim.name) || code(&error) == Some(409) =>
            {
                Ok(false)
            }
            Err(error) => Err(ClusterError::Status(error)),
        }
    }

    /// Conditions are merged by type, so others stay.
    pub(super) async fn set_condition(
        &self,
        node: &NodeName,
        patch: &Value,
    ) -> Result<(), ClusterError> {
        let nodes: Api<Node> = Api::all(self.client.clone());
        let patch = Patch::Strategic(patch);
        let written = nodes.patch_status(node.as_str(), &PatchParams::default(), &patch).await;
        written.map(drop).map_err(ClusterError::Condition)
    }
}

fn resized(volume: &Volume, size: &str) -> Operations {
    let path = ["spec", "capacity", STORAGE];
    let (pointer, value) = (PointerBuf::from_tokens(path), size.into());
    Operations(vec![
        test(["metadata", "uid"], &volume.uid),
        test(path, volume.capacity.as_deref().unwrap_or_default()),
        PatchOperation::Replace(ReplaceOperation { path: pointer, value }),
    ])
}
