//! The calls that the agent makes of the API server, besides watching.
//!
//! Each is conditional on what was decided upon: nothing is replaced or deleted blindly. Nothing is
//! decided here.

mod calls;
mod error;
pub mod identity;
pub mod repoint;
mod told;

pub use calls::{Answer, Cluster};
pub use error::ClusterError;
pub use told::Stand;

use crate::facts::volume::{ClaimRef, Volume};
use fastrak_api::names;
use fastrak_runtime::not_found::is_not_found;
use fastrak_runtime::superseded::is_superseded;
use json_patch::jsonptr::PointerBuf;
use json_patch::{Patch as Operations, PatchOperation, RemoveOperation, TestOperation};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, Client};

/// The resources by which the API server names what it does not have.
const CLAIMS: &str = "persistentvolumeclaims";
const VOLUMES: &str = "persistentvolumes";

/// How many objects a page of a list has.
const PAGE: u32 = 50;

/// How a conditional change has gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// It is done; what there is now.
    Done(Box<Volume>),
    /// The object is another than the one that was decided upon.
    Conflict,
    /// There is none any more.
    Gone,
}

/// The claim that a volume is for, as it is at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimState {
    /// There is none with that uid.
    Gone,
    /// It is there and has no volume.
    Waiting,
    /// It is there and names a volume: it asks for it, is bound to it, or has lost it.
    HasVolume(String),
    /// It is there and is bound to the volume of this name, which it is for as long as it lives: the API
    /// server lets nobody change the name.
    Bound(String),
}

/// The API server itself.
pub struct KubeCluster {
    client: Client,
}

impl KubeCluster {
    /// Returns the API server that `client` reaches.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Creates a volume; `false` where there is one of that name.
    pub async fn create(&self, volume: &PersistentVolume) -> Result<bool, ClusterError> {
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

    /// The volume of this name, as it is at this moment.
    pub async fn volume(&self, name: &str) -> Result<Option<Volume>, ClusterError> {
        Ok(self.object(name).await?.as_ref().map(Volume::read))
    }

    /// Calls `each` with every PersistentVolume of the cluster, labelled or not.
    pub async fn each_volume(
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

    /// How the claim stands at this moment.
    pub async fn claim(&self, claim: &ClaimRef) -> Result<ClaimState, ClusterError> {
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

    /// Deletes a volume, provided that it is still exactly the one that was decided upon. Our
    /// finalizer keeps the object until [`Cluster::finalize`].
    pub async fn delete(&self, volume: &Volume) -> Result<Changed, ClusterError> {
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

    /// Removes our finalizer from a volume, and nothing else.
    pub async fn finalize(&self, volume: &Volume) -> Result<Changed, ClusterError> {
        let Some(index) = volume.finalizer() else {
            return Ok(Changed::Done(Box::new(volume.clone())));
        };
        let patched = self.patch_tested(volume, without_finalizer(volume, index)).await;
        patched.map_err(ClusterError::Finalize)
    }

    /// Changes a volume by a patch that first tests whether it is the one that was decided upon.
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

/// What was read; `None` if the API server says that there is no such object.
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

/// Finalizers are a list without keys, and others take theirs away at the same time: the place is
/// tested, so that a list that has moved makes the patch fail and not remove somebody else's.
fn without_finalizer(volume: &Volume, index: usize) -> Operations {
    let index = index.to_string();
    let path = PointerBuf::from_tokens(["metadata", "finalizers", index.as_str()]);
    Operations(vec![
        is_the_same(volume),
        PatchOperation::Test(TestOperation {
            path: path.clone(),
            value: names::VOLUME_FINALIZER.into(),
        }),
        PatchOperation::Remove(RemoveOperation { path }),
    ])
}

/// Tests that it is this very volume, and not another one of its name.
fn is_the_same(volume: &Volume) -> PatchOperation {
    let path = PointerBuf::from_tokens(["metadata", "uid"]);
    PatchOperation::Test(TestOperation { path, value: volume.uid.clone().into() })
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
    async fn a_proxy_that_does_not_find_its_way_proves_nothing() {
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
    async fn a_claim_has_a_volume_for_good_only_when_it_is_bound() {
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
    fn the_finalizer_is_removed_only_where_it_stands() {
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
        // The other one has been taken away meanwhile, or it is another volume of this name.
        for mut moved in [
            serde_json::json!({ "metadata": { "uid": "u", "finalizers": ["fastrak.io/volume"] } }),
            serde_json::json!({ "metadata": { "uid": "v", "finalizers": volume.finalizers } }),
        ] {
            assert!(json_patch::patch(&mut moved, &patch).is_err(), "{moved}");
        }
    }
}
