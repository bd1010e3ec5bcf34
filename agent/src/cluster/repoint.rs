//! Points a volume to another claim if the volume is unchanged since the decision.

use super::{Changed, ClusterError, KubeCluster, VOLUMES, existing, test};
use crate::snapshot::volume::Volume;
use fastrak_api::claim::Claim;
use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, Patch as Operations, PatchOperation};
use k8s_openapi::api::core::v1::{ObjectReference, PersistentVolume};
use serde_json::Value;

/// Returns an object reference to a claim.
#[must_use]
pub fn reference(claim: &Claim) -> ObjectReference {
    ObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("PersistentVolumeClaim".to_owned()),
        namespace: Some(claim.namespace.clone()),
        name: Some(claim.name.clone()),
        uid: claim.uid.clone(),
        resource_version: claim.resource_version.as_ref().map(ToString::to_string),
        ..ObjectReference::default()
    }
}

impl KubeCluster {
    pub(super) async fn object(
        &self,
        name: &str,
    ) -> Result<Option<PersistentVolume>, ClusterError> {
        let found = existing(self.volumes().get(name).await, VOLUMES, name);
        found.map_err(ClusterError::ReadVolume)
    }

    pub(super) async fn repoint(
        &self,
        volume: &Volume,
        claim: &Claim,
    ) -> Result<Changed, ClusterError> {
        let reference = serde_json::to_value(reference(claim)).unwrap_or_default();
        let class = claim.class_name().unwrap_or_default();
        let patched = self.patch_tested(volume, repointed(volume, reference, class)).await;
        patched.map_err(ClusterError::Repoint)
    }
}

fn repointed(volume: &Volume, reference: Value, class: &str) -> Operations {
    // The reference is replaced as a whole: a part of the old one would belong to another claim.
    let set = |key, value| {
        let path = PointerBuf::from_tokens(["spec", key]);
        PatchOperation::Add(AddOperation { path, value })
    };
    Operations(vec![
        test(["metadata", "uid"], &volume.uid),
        test(["metadata", "resourceVersion"], &volume.resource_version),
        set("claimRef", reference),
        set("storageClassName", class.into()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_is_repointed_only_if_it_is_unchanged() {
        let volume =
            Volume { uid: "u".to_owned(), resource_version: "7".to_owned(), ..Volume::default() };
        let reference = serde_json::json!({ "name": "new", "uid": "c" });
        let patch = repointed(&volume, reference, "local-storage");
        let object = |uid, version| {
            serde_json::json!({
                "metadata": { "uid": uid, "resourceVersion": version },
                "spec": { "claimRef": { "name": "old", "resourceVersion": "3" } },
            })
        };
        let mut same = object("u", "7");
        json_patch::patch(&mut same, &patch).unwrap();
        assert_eq!(same["spec"]["claimRef"], serde_json::json!({ "name": "new", "uid": "c" }));
        for mut other in [object("u", "8"), object("v", "7")] {
            assert!(json_patch::patch(&mut other, &patch).is_err(), "{other}");
        }
    }
}
