//! The requests that ship.

use super::calls::{Answer, Cluster};
use super::{Changed, ClaimState, ClaimStatus, ClusterError, NamespaceView, patches};
use crate::events::claim_reference;
use crate::snapshot::growth::{self, Growth};
use crate::snapshot::volume::Volume;
use fastrak_api::claim::Claim;
use fastrak_api::claim_ref::ClaimRef;
use fastrak_api::names::{self, kubernetes};
use fastrak_api::node::NodeName;
use fastrak_runtime::not_found::is_not_found;
use fastrak_runtime::superseded::is_superseded;
use k8s_openapi::api::core::v1::{Namespace, Node, PersistentVolume, PersistentVolumeClaim};
use kube::api::{
    DeleteParams, GetParams, ListParams, Patch, PatchParams, PostParams, Preconditions,
};
use kube::core::Request;
use kube::{Api, Client, Resource as _, ResourceExt as _};
use serde_json::Value;

/// The resource names in NotFound responses.
const CLAIMS: &str = "persistentvolumeclaims";
const VOLUMES: &str = "persistentvolumes";
const NAMESPACES: &str = "namespaces";
const NODES: &str = "nodes";

/// The page size of a list.
const PAGE: u32 = 50;

/// A client of the API server.
pub(crate) struct KubeCluster {
    client: Client,
}

impl KubeCluster {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// Patches a volume. The patch must test that the volume is unchanged.
    async fn patch_tested(
        &self,
        volume: &Volume,
        patch: json_patch::Patch,
    ) -> Result<Changed, kube::Error> {
        let patch: Patch<()> = Patch::Json(patch);
        match self.volumes().patch(&volume.name, &PatchParams::default(), &patch).await {
            Ok(patched) => Ok(done(&patched)),
            Err(error) if is_not_found(&error, VOLUMES, &volume.name) => Ok(Changed::Gone),
            Err(error) if code(&error) != Some(404) && is_superseded(&error) => {
                Ok(Changed::Conflict)
            }
            Err(error) => Err(error),
        }
    }

    async fn claim_object(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<PersistentVolumeClaim>, ClusterError> {
        let found = existing(self.claims(namespace).get(name).await, CLAIMS, name);
        found.map_err(ClusterError::ReadClaim)
    }

    fn claims(&self, namespace: &str) -> Api<PersistentVolumeClaim> {
        Api::namespaced(self.client.clone(), namespace)
    }

    fn volumes(&self) -> Api<PersistentVolume> {
        Api::all(self.client.clone())
    }

    fn nodes(&self) -> Api<Node> {
        Api::all(self.client.clone())
    }
}

impl Cluster for KubeCluster {
    fn create<'a>(&'a self, volume: &'a PersistentVolume) -> Answer<'a, bool> {
        Box::pin(async move {
            let field_manager = Some(names::MANAGER_AGENT.to_owned());
            let params = PostParams { field_manager, ..PostParams::default() };
            match self.volumes().create(&params, volume).await {
                Ok(_) => Ok(true),
                Err(error) if code(&error) == Some(409) => Ok(false),
                Err(error) => Err(ClusterError::Create(error)),
            }
        })
    }

    fn volume<'a>(&'a self, name: &'a str) -> Answer<'a, Option<Volume>> {
        Box::pin(async move { Ok(self.object(name).await?.as_ref().map(Volume::read)) })
    }

    fn object<'a>(&'a self, name: &'a str) -> Answer<'a, Option<PersistentVolume>> {
        Box::pin(async move {
            let found = existing(self.volumes().get(name).await, VOLUMES, name);
            found.map_err(ClusterError::ReadVolume)
        })
    }

    fn each_volume<'a>(&'a self, each: &'a mut (dyn FnMut(&Volume) + Send)) -> Answer<'a, ()> {
        Box::pin(async move {
            let mut params = ListParams::default().limit(PAGE);
            loop {
                let page = self.volumes().list(&params).await.map_err(ClusterError::ListVolumes)?;
                page.items.iter().for_each(|volume| each(&Volume::read(volume)));
                match page.metadata.continue_.filter(|token| !token.is_empty()) {
                    Some(token) => params = params.continue_token(&token),
                    None => return Ok(()),
                }
            }
        })
    }

    fn claim<'a>(&'a self, claim: &'a ClaimRef) -> Answer<'a, ClaimState> {
        Box::pin(async move {
            let found = self.claim_object(&claim.namespace, &claim.name).await?;
            let is_it = |found: &PersistentVolumeClaim| {
                claim.uid.is_none() || found.metadata.uid == claim.uid
            };
            let Some(found) = found.filter(is_it) else { return Ok(ClaimState::Gone) };
            let volume = found.spec.and_then(|spec| spec.volume_name);
            let phase = found.status.and_then(|status| status.phase);
            Ok(match volume.filter(|name| !name.is_empty()) {
                None => ClaimState::Waiting,
                Some(name) if phase.as_deref() == Some("Bound") => ClaimState::Bound(name),
                Some(name) => ClaimState::HasVolume(name),
            })
        })
    }

    fn owner<'a>(&'a self, claim: &'a ClaimRef) -> Answer<'a, Option<(Claim, Growth)>> {
        Box::pin(async move {
            let path = PersistentVolumeClaim::url_path(&(), Some(&claim.namespace));
            let request = Request::new(path).get(&claim.name, &GetParams::default());
            let request = request.map_err(kube::Error::BuildRequest);
            let request = request.map_err(ClusterError::ReadClaim)?;
            let found = existing(self.client.request_text(request).await, CLAIMS, &claim.name);
            let found = found.map_err(ClusterError::ReadClaim)?;
            let read = found.map(|text| growth::read_claim(&text)).transpose();
            let read = read.map_err(kube::Error::SerdeError).map_err(ClusterError::ReadClaim)?;
            Ok(read.filter(|(found, _)| claim.uid.is_some() && found.uid == claim.uid))
        })
    }

    fn delete<'a>(&'a self, volume: &'a Volume) -> Answer<'a, Changed> {
        Box::pin(async move {
            let unchanged = Preconditions {
                uid: Some(volume.uid.clone()),
                resource_version: Some(volume.resource_version.clone()),
            };
            let params = DeleteParams::default().preconditions(unchanged);
            match self.volumes().delete(&volume.name, &params).await {
                Ok(deleted) => Ok(deleted.left().as_ref().map_or(Changed::Gone, done)),
                Err(error) if is_not_found(&error, VOLUMES, &volume.name) => Ok(Changed::Gone),
                Err(error) if code(&error) == Some(409) => Ok(Changed::Conflict),
                Err(error) => Err(ClusterError::Delete(error)),
            }
        })
    }

    fn finalize<'a>(&'a self, volume: &'a Volume) -> Answer<'a, Changed> {
        Box::pin(async move {
            let Some(index) = volume.finalizer() else {
                return Ok(Changed::Done(Box::new(volume.clone())));
            };
            let patch = patches::without_finalizer(volume, index);
            self.patch_tested(volume, patch).await.map_err(ClusterError::Finalize)
        })
    }

    fn id(&self) -> Answer<'_, Option<String>> {
        Box::pin(async move {
            let found = self.namespace(kubernetes::SYSTEM_NAMESPACE).await?;
            Ok(found.map(|namespace| namespace.uid).filter(|uid| !uid.is_empty()))
        })
    }

    fn namespace<'a>(&'a self, name: &'a str) -> Answer<'a, Option<NamespaceView>> {
        Box::pin(async move {
            let namespaces: Api<Namespace> = Api::all(self.client.clone());
            let found = existing(namespaces.get_metadata(name).await, NAMESPACES, name);
            let found = found.map_err(ClusterError::ReadNamespace)?;
            Ok(found.map(|found| NamespaceView {
                uid: found.uid().unwrap_or_default(),
                created: found.creation_timestamp().map(|time| time.0.as_second()),
                inherits: found.annotations().get(names::INHERIT_VOLUMES).map(String::as_str)
                    == Some(names::INHERIT_VOLUMES_ENABLED),
            }))
        })
    }

    fn nodes_with_hostname<'a>(&'a self, hostname: &'a str) -> Answer<'a, Vec<String>> {
        Box::pin(async move {
            let label = format!("{}={hostname}", kubernetes::HOSTNAME);
            let params = ListParams::default().labels(&label).limit(2);
            let found = self.nodes().list_metadata(&params).await;
            let found = found.map_err(ClusterError::ListNodes)?;
            Ok(found.items.into_iter().filter_map(|node| node.metadata.name).collect())
        })
    }

    fn consume<'a>(
        &'a self,
        node: &'a NodeName,
        annotation: &'a str,
        value: &'a str,
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            let node = node.as_str();
            let patch: Patch<()> = Patch::Json(patches::without_annotation(annotation, value));
            match self.nodes().patch_status(node, &PatchParams::default(), &patch).await {
                Ok(_) => Ok(()),
                Err(error) if is_not_found(&error, NODES, node) || is_superseded(&error) => Ok(()),
                Err(error) => Err(ClusterError::Confirmation(error)),
            }
        })
    }

    fn repoint<'a>(&'a self, volume: &'a Volume, claim: &'a Claim) -> Answer<'a, Changed> {
        Box::pin(async move {
            let reference = serde_json::to_value(claim_reference(claim)).unwrap_or_default();
            let class = claim.class_name().unwrap_or_default();
            let patch = patches::repointed(volume, reference, class);
            self.patch_tested(volume, patch).await.map_err(ClusterError::Repoint)
        })
    }

    fn resize<'a>(&'a self, volume: &'a Volume, size: &'a str) -> Answer<'a, Changed> {
        Box::pin(async move {
            let patch = patches::resized(volume, size);
            self.patch_tested(volume, patch).await.map_err(ClusterError::Resize)
        })
    }

    fn claim_status<'a>(&'a self, claim: &'a Claim) -> Answer<'a, Option<ClaimStatus>> {
        Box::pin(async move {
            let found = self.claim_object(&claim.namespace, &claim.name).await?;
            let found = found.filter(|found| found.metadata.uid == claim.uid);
            Ok(found.map(|found| ClaimStatus {
                growth: Growth::read(found.status.as_ref()),
                uid: found.metadata.uid.unwrap_or_default(),
                version: found.metadata.resource_version.unwrap_or_default(),
            }))
        })
    }

    fn write_status<'a>(&'a self, claim: &'a Claim, patch: &'a Value) -> Answer<'a, bool> {
        Box::pin(async move {
            let (claims, name) = (self.claims(&claim.namespace), &claim.name);
            let patch = Patch::Strategic(patch);
            match claims.patch_status(name, &PatchParams::default(), &patch).await {
                Ok(_) => Ok(true),
                Err(error) if is_not_found(&error, CLAIMS, name) => Ok(false),
                Err(error) if code(&error) == Some(409) => Ok(false),
                Err(error) => Err(ClusterError::Status(error)),
            }
        })
    }

    /// Conditions are merged by type, so others stay.
    fn set_condition<'a>(&'a self, node: &'a NodeName, patch: &'a Value) -> Answer<'a, ()> {
        Box::pin(async move {
            let (node, patch) = (node.as_str(), Patch::Strategic(patch));
            let written = self.nodes().patch_status(node, &PatchParams::default(), &patch).await;
            written.map(drop).map_err(ClusterError::Condition)
        })
    }
}

/// Returns the object, or `None` if the API server reports that it does not exist.
fn existing<T>(
    answer: Result<T, kube::Error>,
    resource: &str,
    name: &str,
) -> Result<Option<T>, kube::Error> {
    match answer {
        Ok(object) => Ok(Some(object)),
        Err(error) if is_not_found(&error, resource, name) => Ok(None),
        Err(error) => Err(error),
    }
}

fn done(object: &PersistentVolume) -> Changed {
    Changed::Done(Box::new(Volume::read(object)))
}

fn code(error: &kube::Error) -> Option<u16> {
    match error {
        kube::Error::Api(status) => Some(status.code),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that answers every request with this.
    fn server(status: u16, content_type: &'static str, body: &'static str) -> KubeCluster {
        let answer = move |_: http::Request<kube::client::Body>| async move {
            let answer = http::Response::builder().status(status);
            let answer = answer.header(http::header::CONTENT_TYPE, content_type);
            answer.body(kube::client::Body::from(body.as_bytes().to_vec()))
        };
        KubeCluster::new(Client::new(tower::service_fn(answer), "default"))
    }

    fn claim() -> ClaimRef {
        ClaimRef { namespace: "shop".to_owned(), name: "data".to_owned(), uid: None }
    }

    #[tokio::test]
    async fn a_not_found_response_of_a_proxy_proves_nothing() {
        let page = "<html><body>404 page not found</body></html>";
        let other = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound",
            "code":404,"details":{"name":"another","kind":"persistentvolumeclaims"}}"#;
        for (kind, body) in [("text/html", page), ("text/plain", ""), ("application/json", other)] {
            let proxy = server(404, kind, body);
            assert!(proxy.claim(&claim()).await.is_err(), "{body}");
            assert!(proxy.volume("pvc-1").await.is_err(), "{body}");
            let volume = Volume { name: "pvc-1".to_owned(), ..Volume::default() };
            assert!(proxy.delete(&volume).await.is_err(), "{body}");
            assert!(proxy.resize(&volume, "1Gi").await.is_err(), "{body}");
        }
        let own = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound",
            "code":404,"details":{"name":"data","kind":"persistentvolumeclaims"}}"#;
        let found = server(404, "application/json", own).claim(&claim()).await;
        assert_eq!(found.unwrap(), ClaimState::Gone);
    }

    #[tokio::test]
    async fn a_claim_keeps_its_volume_only_when_it_is_bound() {
        for (body, state) in [
            (r#"{"metadata":{},"spec":{}}"#, ClaimState::Waiting),
            (r#"{"metadata":{},"spec":{"volumeName":""}}"#, ClaimState::Waiting),
            (
                r#"{"metadata":{},"spec":{"volumeName":"v"},"status":{"phase":"Pending"}}"#,
                ClaimState::HasVolume("v".to_owned()),
            ),
            (
                r#"{"metadata":{},"spec":{"volumeName":"v"},"status":{"phase":"Lost"}}"#,
                ClaimState::HasVolume("v".to_owned()),
            ),
            (
                r#"{"metadata":{},"spec":{"volumeName":"v"},"status":{"phase":"Bound"}}"#,
                ClaimState::Bound("v".to_owned()),
            ),
        ] {
            let found = server(200, "application/json", body).claim(&claim()).await;
            assert_eq!(found.unwrap(), state, "{body}");
        }
    }
}
