//! The calls that the agent makes of the API server, besides watching.
//!
//! Each is conditional on what was decided upon: nothing is replaced or deleted blindly. Nothing is
//! decided here.

pub mod repoint;

use crate::facts::growth::{Growth, STORAGE};
use crate::facts::volume::{ClaimRef, Volume};
use fastrak_api::claim::Claim;
use fastrak_api::names;
use fastrak_api::node::NodeName;
use json_patch::jsonptr::PointerBuf;
use json_patch::{
    AddOperation, Patch as Operations, PatchOperation, RemoveOperation, ReplaceOperation,
    TestOperation,
};
use k8s_openapi::api::core::v1::{Node, PersistentVolume, PersistentVolumeClaim};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, Client};
use serde_json::Value;

/// How many objects a page of a list has.
const PAGE: u32 = 500;

/// The API server said no, or nothing.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// To a new volume.
    #[error("could not create the PersistentVolume")]
    Create(#[source] kube::Error),
    /// To a look at a volume.
    #[error("could not read the PersistentVolume")]
    ReadVolume(#[source] kube::Error),
    /// To a look at all volumes.
    #[error("could not list the PersistentVolumes")]
    ListVolumes(#[source] kube::Error),
    /// To a look at a claim.
    #[error("could not read the claim")]
    ReadClaim(#[source] kube::Error),
    /// To the end of a volume.
    #[error("could not delete the PersistentVolume")]
    Delete(#[source] kube::Error),
    /// To a look at a namespace.
    #[error("could not read the namespace")]
    ReadNamespace(#[source] kube::Error),
    /// To giving a volume to another claim.
    #[error("could not point the PersistentVolume to the claim")]
    Repoint(#[source] kube::Error),
    /// To a volume's new size.
    #[error("could not write the size of the PersistentVolume")]
    Resize(#[source] kube::Error),
    /// To what a volume holds.
    #[error("could not write on the PersistentVolume what it holds")]
    Note(#[source] kube::Error),
    /// To what a claim is to say of its size.
    #[error("could not write the status of the claim")]
    Status(#[source] kube::Error),
    /// To what a node is to say of its pools.
    #[error("could not write the condition of the node")]
    Condition(#[source] kube::Error),
    /// To the removal of our finalizer.
    #[error("could not remove the finalizer from the PersistentVolume")]
    Finalize(#[source] kube::Error),
}

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimState {
    /// There is none with that uid.
    Gone,
    /// It is there and has no volume.
    Waiting,
    /// It is there and has a volume.
    HasVolume,
}

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

/// The API server.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
}

impl Cluster {
    /// The API server that `client` reaches.
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
        let found = self.volumes().get_opt(name).await.map_err(ClusterError::ReadVolume)?;
        Ok(found.as_ref().map(Volume::read))
    }

    /// Whether any volume at all, labelled or not, is for a path that `wanted` picks.
    pub async fn any_volume_at(&self, wanted: impl Fn(&str) -> bool) -> Result<bool, ClusterError> {
        let mut params = ListParams::default().limit(PAGE);
        loop {
            let page = self.volumes().list(&params).await.map_err(ClusterError::ListVolumes)?;
            let mut paths = page.items.iter().filter_map(|volume| Volume::read(volume).path);
            if paths.any(|path| wanted(&path)) {
                return Ok(true);
            }
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => return Ok(false),
            }
        }
    }

    /// How the claim stands at this moment.
    pub async fn claim(&self, claim: &ClaimRef) -> Result<ClaimState, ClusterError> {
        let claims: Api<PersistentVolumeClaim> =
            Api::namespaced(self.client.clone(), &claim.namespace);
        let found = claims.get_opt(&claim.name).await.map_err(ClusterError::ReadClaim)?;
        let Some(found) =
            found.filter(|found| claim.uid.is_none() || found.metadata.uid == claim.uid)
        else {
            return Ok(ClaimState::Gone);
        };
        let volume = found.spec.and_then(|spec| spec.volume_name).filter(|name| !name.is_empty());
        Ok(if volume.is_some() { ClaimState::HasVolume } else { ClaimState::Waiting })
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
            Err(error) => match code(&error) {
                Some(404) => Ok(Changed::Gone),
                Some(409) => Ok(Changed::Conflict),
                _ => Err(ClusterError::Delete(error)),
            },
        }
    }

    /// Removes our finalizer from a volume, and nothing else.
    pub async fn finalize(&self, volume: &Volume) -> Result<Changed, ClusterError> {
        let Some(index) = volume.finalizer() else {
            return Ok(Changed::Done(Box::new(volume.clone())));
        };
        let patch: Patch<()> = Patch::Json(without_finalizer(volume, index));
        let params = PatchParams::default();
        match self.volumes().patch(&volume.name, &params, &patch).await {
            Ok(patched) => Ok(done(&patched)),
            Err(error) => match code(&error) {
                Some(404) => Ok(Changed::Gone),
                // What a patch whose test fails is answered with.
                Some(409 | 422) => Ok(Changed::Conflict),
                _ => Err(ClusterError::Finalize(error)),
            },
        }
    }

    /// Has a volume say that it holds `size`, provided that it still says what was decided upon.
    pub async fn resize(&self, volume: &Volume, size: &str) -> Result<Changed, ClusterError> {
        let patch: Patch<()> = Patch::Json(resized(volume, size));
        match self.volumes().patch(&volume.name, &PatchParams::default(), &patch).await {
            Ok(patched) => Ok(done(&patched)),
            Err(error) => match code(&error) {
                Some(404) => Ok(Changed::Gone),
                Some(409 | 422) => Ok(Changed::Conflict),
                _ => Err(ClusterError::Resize(error)),
            },
        }
    }

    /// Writes on a volume how much it holds. A volume of another uid, or with other figures than those
    /// that were seen, is left as it is.
    pub async fn note_used(&self, volume: &Volume, bytes: u64) -> Result<(), ClusterError> {
        let patch: Patch<()> = Patch::Json(noted(volume, bytes));
        match self.volumes().patch(&volume.name, &PatchParams::default(), &patch).await {
            Ok(_) => Ok(()),
            Err(error) if matches!(code(&error), Some(404 | 409 | 422)) => Ok(()),
            Err(error) => Err(ClusterError::Note(error)),
        }
    }

    /// What the status of a claim can be written upon at this moment; none where that claim is gone.
    pub async fn stand(&self, claim: &Claim) -> Result<Option<Stand>, ClusterError> {
        let claims: Api<PersistentVolumeClaim> =
            Api::namespaced(self.client.clone(), &claim.namespace);
        let found = claims.get_opt(&claim.name).await.map_err(ClusterError::ReadClaim)?;
        let found = found.filter(|found| found.metadata.uid == claim.uid);
        Ok(found.map(|found| Stand {
            growth: Growth::read(&found),
            uid: found.metadata.uid.unwrap_or_default(),
            version: found.metadata.resource_version.unwrap_or_default(),
        }))
    }

    /// Writes into the status of a claim; `false` where it is another than that which the patch was
    /// made upon.
    pub async fn write_status(&self, claim: &Claim, patch: &Value) -> Result<bool, ClusterError> {
        let claims: Api<PersistentVolumeClaim> =
            Api::namespaced(self.client.clone(), &claim.namespace);
        let patch = Patch::Strategic(patch);
        match claims.patch_status(&claim.name, &PatchParams::default(), &patch).await {
            Ok(_) => Ok(true),
            Err(error) if matches!(code(&error), Some(404 | 409)) => Ok(false),
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

    fn volumes(&self) -> Api<PersistentVolume> {
        Api::all(self.client.clone())
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
    let uid = PointerBuf::from_tokens(["metadata", "uid"]);
    Operations(vec![
        PatchOperation::Test(TestOperation { path: uid, value: volume.uid.clone().into() }),
        PatchOperation::Test(TestOperation {
            path: path.clone(),
            value: names::VOLUME_FINALIZER.into(),
        }),
        PatchOperation::Remove(RemoveOperation { path }),
    ])
}

fn resized(volume: &Volume, size: &str) -> Operations {
    let path = PointerBuf::from_tokens(["spec", "capacity", STORAGE]);
    let uid = PointerBuf::from_tokens(["metadata", "uid"]);
    let before = volume.capacity.as_deref().unwrap_or_default();
    Operations(vec![
        PatchOperation::Test(TestOperation { path: uid, value: volume.uid.clone().into() }),
        PatchOperation::Test(TestOperation { path: path.clone(), value: before.into() }),
        PatchOperation::Replace(ReplaceOperation { path, value: size.into() }),
    ])
}

fn noted(volume: &Volume, bytes: u64) -> Operations {
    let path = PointerBuf::from_tokens(["metadata", "annotations", names::USED]);
    let uid = PointerBuf::from_tokens(["metadata", "uid"]);
    let mut operations =
        vec![PatchOperation::Test(TestOperation { path: uid, value: volume.uid.clone().into() })];
    if let Some(used) = &volume.used {
        let value = used.clone().into();
        operations.push(PatchOperation::Test(TestOperation { path: path.clone(), value }));
    }
    // Every volume of ours has annotations: who provisioned it.
    operations.push(PatchOperation::Add(AddOperation { path, value: bytes.to_string().into() }));
    Operations(operations)
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
