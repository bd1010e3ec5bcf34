//! Reads the IDs of the cluster and of namespaces, and the confirmations of administrators.

use super::{ClusterError, KubeCluster, existing, test};
use fastrak_api::names::{self, kubernetes};
use fastrak_api::node::NodeName;
use fastrak_runtime::not_found::is_not_found;
use fastrak_runtime::superseded::is_superseded;
use json_patch::jsonptr::PointerBuf;
use json_patch::{Patch as Operations, PatchOperation, RemoveOperation};
use k8s_openapi::api::core::v1::{Namespace, Node};
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams};

const NAMESPACES: &str = "namespaces";
const NODES: &str = "nodes";

/// A namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamespaceView {
    /// Its UID.
    pub uid: String,
    /// Its creation time by the clock of the API server, in seconds since 1970.
    pub created: Option<i64>,
    /// Whether an administrator lets it have the volumes of an earlier namespace with its name.
    pub inherits: bool,
}

impl KubeCluster {
    pub(super) async fn id(&self) -> Result<Option<String>, ClusterError> {
        let found = self.namespace(kubernetes::SYSTEM_NAMESPACE).await?;
        Ok(found.map(|namespace| namespace.uid).filter(|uid| !uid.is_empty()))
    }

    pub(super) async fn namespace(
        &self,
        name: &str,
    ) -> Result<Option<NamespaceView>, ClusterError> {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let found = existing(namespaces.get_metadata(name).await, NAMESPACES, name);
        let found = found.map_err(ClusterError::ReadNamespace)?;
        Ok(found.map(|found| {
            let metadata = found.metadata;
            let annotations = metadata.annotations.unwrap_or_default();
            let inherits = annotations.get(names::INHERIT_VOLUMES);
            NamespaceView {
                uid: metadata.uid.unwrap_or_default(),
                created: metadata.creation_timestamp.map(|time| time.0.as_second()),
                inherits: inherits.is_some_and(|value| value == names::INHERIT_VOLUMES_ENABLED),
            }
        }))
    }

    pub(super) async fn nodes_with_hostname(
        &self,
        hostname: &str,
    ) -> Result<Vec<String>, ClusterError> {
        let nodes: Api<Node> = Api::all(self.client.clone());
        let label = format!("{}={hostname}", kubernetes::HOSTNAME);
        let found = nodes.list_metadata(&ListParams::default().labels(&label).limit(2)).await;
        let found = found.map_err(ClusterError::ListNodes)?;
        Ok(found.items.into_iter().filter_map(|node| node.metadata.name).collect())
    }

    pub(super) async fn consume(
        &self,
        node: &NodeName,
        annotation: &str,
        value: &str,
    ) -> Result<(), ClusterError> {
        let nodes: Api<Node> = Api::all(self.client.clone());
        let patch: Patch<()> = Patch::Json(without_annotation(annotation, value));
        match nodes.patch_status(node.as_str(), &PatchParams::default(), &patch).await {
            Ok(_) => Ok(()),
            Err(error) if is_not_found(&error, NODES, node.as_str()) || is_superseded(&error) => {
                Ok(())
            }
            Err(error) => Err(ClusterError::Confirmation(error)),
        }
    }
}

fn without_annotation(annotation: &str, value: &str) -> Operations {
    let path = ["metadata", "annotations", annotation];
    let remove = RemoveOperation { path: PointerBuf::from_tokens(path) };
    Operations(vec![test(path, value), PatchOperation::Remove(remove)])
}
