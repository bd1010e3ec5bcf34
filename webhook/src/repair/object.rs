//! A complete object of the API server, and the change of its version.
//!
//! It is kept as the received text, against which the patch is built.

use super::kind::{Key, Kind};
use fastrak_admission::patch::{Edit, Received, only_version};
use fastrak_api::names;
use fastrak_api::node::NodeName;
use fastrak_runtime::superseded::is_superseded;
use json_patch::PatchOperation;
use k8s_openapi::api::core::v1::{Node, ObjectReference};
use kube::api::{GetParams, ListParams, Patch, PatchParams};
use kube::core::Request;
use kube::{Api, Client, Resource as _};
use serde::Deserialize;

/// An object of a kind.
pub(super) struct Object<K: Kind> {
    /// The fields that decisions use.
    pub(super) view: K::View,
    text: String,
    metadata: Identity,
}

#[derive(Deserialize)]
struct Identified {
    metadata: Identity,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Identity {
    uid: String,
    resource_version: String,
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
        let request = Request::new(K::Object::url_path(&(), Some(namespace)));
        let request = request.get(name, &GetParams::default());
        let request = request.map_err(kube::Error::BuildRequest).map_err(RepairError::Get)?;
        match client.request_text(request).await {
            Ok(text) => Self::read(text).map(Some).map_err(RepairError::Read),
            Err(error) if is_superseded(&error) => Ok(None),
            Err(error) => Err(RepairError::Get(error)),
        }
    }

    fn read(text: String) -> Result<Self, serde_json::Error> {
        let Identified { metadata } = serde_json::from_str(&text)?;
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
        let request = request.patch(&name, &params, &patch);
        let request = request.map_err(kube::Error::BuildRequest).map_err(RepairError::Change)?;
        match client.request_text(request).await {
            Ok(text) => Self::read(text).map(Some).map_err(RepairError::Read),
            Err(error) if is_superseded(&error) => Ok(None),
            Err(error) => Err(RepairError::Change(error)),
        }
    }

    fn operations(&self, edits: &[Edit]) -> Result<Vec<PatchOperation>, serde_json::Error> {
        let received: Received<'_> = serde_json::from_str(&self.text)?;
        let version = only_version(&self.metadata.resource_version);
        Ok([vec![version], received.patch(edits)].concat())
    }

    /// Returns the UID.
    pub(super) fn uid(&self) -> &str {
        &self.metadata.uid
    }

    /// Returns the reference for an event.
    pub(super) fn reference(&self) -> ObjectReference {
        let (namespace, name) = K::key(&self.view);
        ObjectReference {
            api_version: Some(K::Object::api_version(&()).into_owned()),
            kind: Some(K::Object::kind(&()).into_owned()),
            namespace: Some(namespace),
            name: Some(name),
            uid: Some(self.metadata.uid.clone()),
            ..ObjectReference::default()
        }
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
