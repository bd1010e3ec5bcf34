//! A complete object of the API server, and the change of its version.
//!
//! It is kept as the received text, against which the patch is built.

use super::kind::{Key, Kind};
use crate::live;
use fastrak_admission::patch::{Edit, Received, only_version};
use fastrak_api::names;
use fastrak_api::node::NodeName;
use fastrak_api::object::trimmed;
use json_patch::PatchOperation;
use k8s_openapi::api::core::v1::{Node, ObjectReference};
use kube::api::{ListParams, Patch, PatchParams};
use kube::core::{PartialObjectMeta, PartialObjectMetaExt as _, Request};
use kube::{Api, Client, Resource as _};

/// An object of a kind.
pub(super) struct Object<K: Kind> {
    /// The fields that decisions use.
    pub(super) view: K::View,
    text: String,
    metadata: PartialObjectMeta<K::Object>,
}

/// Why a repair failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum RepairError {
    #[error("could not get the object")]
    Get(#[source] kube::Error),
    #[error("could not read the object")]
    Read(#[source] serde_json::Error),
    #[error("could not change the object")]
    Change(#[source] kube::Error),
    #[error("could not get the volume")]
    Volume(#[source] kube::Error),
    #[error("could not list the node")]
    Node(#[source] kube::Error),
}

/// Returns whether a node exists. A list by name needs no additional right.
pub(super) async fn node_exists(client: &Client, node: &NodeName) -> Result<bool, RepairError> {
    let nodes: Api<Node> = Api::all(client.clone());
    let params = ListParams::default().fields(&format!("metadata.name={node}"));
    let found = nodes.list_metadata(&params).await.map_err(RepairError::Node)?;
    Ok(!found.items.is_empty())
}

impl<K: Kind> Object<K> {
    /// Reads an object. Returns `None` if it does not exist.
    pub(super) async fn get(client: &Client, key: &Key) -> Result<Option<Self>, RepairError> {
        let (namespace, name) = key;
        let text = live::text::<K::Object>(client, namespace, name).await;
        let text = text.map_err(RepairError::Get)?;
        text.map(Self::read).transpose().map_err(RepairError::Read)
    }

    fn read(text: String) -> Result<Self, serde_json::Error> {
        let metadata = trimmed::metadata(&text)?.into_response_partial();
        Ok(Self { view: K::read(&text)?, text, metadata })
    }

    /// Changes the object. Returns `None` if another client changed it first.
    pub(super) async fn change(
        &self,
        client: &Client,
        edits: &[Edit],
    ) -> Result<Option<Self>, RepairError> {
        let (namespace, name) = K::key(&self.view);
        let operations = self.operations(edits).map_err(RepairError::Read)?;
        let params = PatchParams {
            field_manager: Some(names::MANAGER_REPAIR.to_owned()),
            ..PatchParams::default()
        };
        let patch = Patch::Json::<()>(json_patch::Patch(operations));
        let request = Request::new(K::Object::url_path(&(), Some(&namespace)));
        let response = live::response(client, request.patch(&name, &params, &patch)).await;
        let changed = response.map_err(RepairError::Change)?;
        changed.map(Self::read).transpose().map_err(RepairError::Read)
    }

    fn operations(&self, edits: &[Edit]) -> Result<Vec<PatchOperation>, serde_json::Error> {
        let received: Received<'_> = serde_json::from_str(&self.text)?;
        let version = self.metadata.metadata.resource_version.as_deref().unwrap_or_default();
        Ok([vec![only_version(version)], received.patch(edits)?].concat())
    }

    pub(super) fn uid(&self) -> &str {
        self.metadata.metadata.uid.as_deref().unwrap_or_default()
    }

    pub(super) fn reference(&self) -> ObjectReference {
        self.metadata.object_ref(&())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repair::kind::Services;
    use fastrak_admission::patch::Field;
    use serde_json::json;

    #[test]
    fn a_repair_tests_the_version_that_was_read() {
        let text = json!({
            "metadata": {"name": "outer", "namespace": "shop", "uid": "u", "resourceVersion": "7"},
            "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]},
        });
        let object = Object::<Services>::read(text.to_string()).unwrap();
        let edit = Edit::set(Field::Annotation(names::BALANCER_DECISION), "inlets");
        let operations = object.operations(&[edit]).unwrap();
        let first = json!({"op": "test", "path": "/metadata/resourceVersion", "value": "7"});
        assert_eq!(json!(operations)[0], first);
        assert_eq!(operations.len(), 3, "{operations:?}");
    }
}
