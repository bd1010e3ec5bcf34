//! The requests of the agent to the API server, apart from watches.
//!
//! Each write is conditional on the object that the decision was based on. The module decides
//! nothing.

mod calls;
mod error;
pub mod identity;
pub mod repoint;
mod status;

pub use calls::{Answer, Cluster};
pub use error::ClusterError;
pub use status::ClaimStatus;

use crate::snapshot::volume::Volume;
use fastrak_api::claim_ref::ClaimRef;
use fastrak_api::names;
use fastrak_runtime::not_found::is_not_found;
use fastrak_runtime::superseded::is_superseded;
use json_patch::jsonptr::PointerBuf;
use json_patch::{Patch as Operations, PatchOperation, RemoveOperation, TestOperation};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, Client};

/// The resource names in NotFound responses.
const CLAIMS: &str = "persistentvolumeclaims";
const VOLUMES: &str = "persistentvolumes";

/// The page size of a list.
const PAGE: u32 = 50;

/// The result of a conditional write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// It succeeded; with the new object.
    Done(Box<Volume>),
    /// The object has changed since the decision.
    Conflict,
    /// The object no longer exists.
    Gone,
}

/// The current state of a volume's claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimState {
    /// No claim has this UID.
    Gone,
    /// The claim exists and names no volume.
    Waiting,
    /// The claim names a volume that it requests, is bound to, or has lost.
    HasVolume(String),
    /// The claim is bound to this volume for its lifetime: the API server never allows a change of
    /// the name.
    Bound(String),
}

/// A client of the API server. Its methods are those of [`Cluster`], which documents them.
pub struct KubeCluster {
    client: Client,
}

impl KubeCluster {
    /// Creates a client.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    async fn create(&self, volume: &PersistentVolume) -> Result<bool, ClusterError> {
        let params = PostParams {
            field_manager: Some(names::MANAGER_AGENT.to_owned()),
            ..PostParams::default()
        };
        match self.volumes().create(&params, volume).await {
            Ok(_) => Ok(true),
            Err(error) if code(&error) == Some(409) => Ok(false),
            Err(error) => Err(ClusterError::Create(error)),
        }
    }

    async fn volume(&self, name: &str) -> Result<Option<Volume>, ClusterError> {
        Ok(self.object(name).await?.as_ref().map(Volume::read))
    }

    async fn each_volume(
        &self,
        each: &mut (dyn FnMut(&Volume) + Send),
    ) -> Result<(), ClusterError> {
        let mut params = ListParams::default().limit(PAGE);
        loop {
            let page = self.volumes().list(&params).await.map_err(ClusterError::ListVolumes)?;
            page.items.iter().for_each(|volume| each(&Volume::read(volume)));
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => return Ok(()),
            }
        }
    }

    async fn claim(&self, claim: &ClaimRef) -> Result<ClaimState, ClusterError> {
        let found = self.claim_object(&claim.namespace, &claim.name).await?;
        let Some(found) =
            found.filter(|found| claim.uid.is_none() || found.metadata.uid == claim.uid)
        else {
            return Ok(ClaimState::Gone);
        };
        let volume = found.spec.and_then(|spec| spec.volume_name).filter(|name| !name.is_empty());
        let phase = found.status.and_then(|status| status.phase);
        Ok(match volume {
            None => ClaimState::Waiting,
            Some(name) if phase.as_deref() == Some("Bound") => ClaimState::Bound(name),
            Some(name) => ClaimState::HasVolume(name),
        })
    }

    async fn delete(&self, volume: &Volume) -> Result<Changed, ClusterError> {
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                uid: Some(volume.uid.clone()),
                resource_version: Some(volume.resource_version.clone()),
            }),
            ..DeleteParams::default()
        };
        match self.volumes().delete(&volume.name, &params).await {
            Ok(deleted) => Ok(deleted.left().as_ref().map_or(Changed::Gone, done)),
            Err(error) if is_not_found(&error, VOLUMES, &volume.name) => Ok(Changed::Gone),
            Err(error) if code(&error) == Some(409) => Ok(Changed::Conflict),
            Err(error) => Err(ClusterError::Delete(error)),
        }
    }

    async fn finalize(&self, volume: &Volume) -> Result<Changed, ClusterError> {
        let Some(index) = volume.finalizer() else {
            return Ok(Changed::Done(Box::new(volume.clone())));
        };
        let patched = self.patch_tested(volume, without_finalizer(volume, index)).await;
        patched.map_err(ClusterError::Finalize)
    }

    /// Patches a volume. The patch must test that the volume is unchanged.
    async fn patch_tested(
        &self,
        volume: &Volume,
        patch: Operations,
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

/// Returns a patch that removes the finalizer. Finalizers are a list without keys that others
/// change too: the patch tests the index, so that it fails instead of removing another finalizer.
fn without_finalizer(volume: &Volume, index: usize) -> Operations {
    let path = PointerBuf::from_tokens(["metadata", "finalizers", index.to_string().as_str()]);
    Operations(vec![
        test(["metadata", "uid"], &volume.uid),
        PatchOperation::Test(TestOperation {
            path: path.clone(),
            value: names::VOLUME_FINALIZER.into(),
        }),
        PatchOperation::Remove(RemoveOperation { path }),
    ])
}

/// Returns an operation that fails unless the field has this value.
fn test<const N: usize>(path: [&str; N], value: &str) -> PatchOperation {
    let path = PointerBuf::from_tokens(path);
    PatchOperation::Test(TestOperation { path, value: value.into() })
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

    #[test]
    fn the_finalizer_is_removed_only_at_its_index() {
        let volume = Volume {
            uid: "u".to_owned(),
            finalizers: vec![
                "kubernetes.io/pv-protection".to_owned(),
                "fastrak.io/volume".to_owned(),
            ],
            ..Volume::default()
        };
        let patch = without_finalizer(&volume, volume.finalizer().unwrap());
        let mut object = serde_json::json!({
            "metadata": { "uid": "u", "finalizers": volume.finalizers },
        });
        json_patch::patch(&mut object, &patch).unwrap();
        assert_eq!(
            object["metadata"]["finalizers"],
            serde_json::json!(["kubernetes.io/pv-protection"])
        );
        // The other finalizer was removed meanwhile, or this is another volume of this name.
        for mut moved in [
            serde_json::json!({ "metadata": { "uid": "u", "finalizers": ["fastrak.io/volume"] } }),
            serde_json::json!({ "metadata": { "uid": "v", "finalizers": volume.finalizers } }),
        ] {
            assert!(json_patch::patch(&mut moved, &patch).is_err(), "{moved}");
        }
    }
}
