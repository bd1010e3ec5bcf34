//! What the agent tells on objects that are there: sizes, and how a node's pools are.
//!
//! Each is conditional on what was seen, or names only what is the agent's own. Nothing is decided here.

use super::{CLAIMS, Changed, ClusterError, KubeCluster, code, is_the_same};
use crate::facts::growth::{Growth, STORAGE};
use crate::facts::volume::{ClaimRef, Volume};
use fastrak_api::claim::Claim;
use fastrak_api::node::NodeName;
use fastrak_runtime::not_found::is_not_found;
use json_patch::jsonptr::PointerBuf;
use json_patch::{Patch as Operations, PatchOperation, ReplaceOperation, TestOperation};
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::Value;

/// What a claim's status is written upon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stand {
    /// Its uid.
    pub uid: String,
    /// Its version.
    pub version: String,
    /// What it says of its size.
    pub growth: Growth,
}

impl KubeCluster {
    /// Has a volume say that it holds `size`, provided that it still says what was decided upon.
    pub async fn resize(&self, volume: &Volume, size: &str) -> Result<Changed, ClusterError> {
        self.patch_tested(volume, resized(volume, size)).await.map_err(ClusterError::Resize)
    }

    /// What the status of a claim can be written upon at this moment; none where that claim is gone.
    pub async fn stand(&self, claim: &Claim) -> Result<Option<Stand>, ClusterError> {
        let found = self.claim_object(&claim.namespace, &claim.name).await?;
        let found = found.filter(|found| found.metadata.uid == claim.uid);
        Ok(found.map(|found| Stand {
            growth: Growth::read(&found),
            uid: found.metadata.uid.unwrap_or_default(),
            version: found.metadata.resource_version.unwrap_or_default(),
        }))
    }

    /// The claim that a volume is for, as it is at this moment; none where it is gone.
    pub async fn owner(&self, claim: &ClaimRef) -> Result<Option<(Claim, Growth)>, ClusterError> {
        let found = self.claim_object(&claim.namespace, &claim.name).await?;
        let found = found.filter(|found| claim.uid.is_some() && found.metadata.uid == claim.uid);
        Ok(found.map(|found| (Claim::read(&found), Growth::read(&found))))
    }

    /// Writes into the status of a claim; `false` where it is another than that which the patch was
    /// made upon.
    pub async fn write_status(&self, claim: &Claim, patch: &Value) -> Result<bool, ClusterError> {
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

    /// Writes one condition of a node. Conditions are told apart by their types: others stay.
    pub async fn set_condition(&self, node: &NodeName, patch: &Value) -> Result<(), ClusterError> {
        let nodes: Api<Node> = Api::all(self.client.clone());
        let patch = Patch::Strategic(patch);
        let written = nodes.patch_status(node.as_str(), &PatchParams::default(), &patch).await;
        written.map(drop).map_err(ClusterError::Condition)
    }
}

fn resized(volume: &Volume, size: &str) -> Operations {
    let path = PointerBuf::from_tokens(["spec", "capacity", STORAGE]);
    let before = volume.capacity.as_deref().unwrap_or_default();
    Operations(vec![
        is_the_same(volume),
        PatchOperation::Test(TestOperation { path: path.clone(), value: before.into() }),
        PatchOperation::Replace(ReplaceOperation { path, value: size.into() }),
    ])
}
