//! A model of the part of a cluster that the agent's decisions use: claims, volumes, and the
//! controller that binds them.
//!
//! Versions, preconditions, finalizers and phases behave as in an API server. The model has nothing
//! else.

use fastrak_agent::cluster::{Changed, ClaimState, ClaimStatus};
use fastrak_agent::snapshot::growth::{Growth, STORAGE};
use fastrak_agent::snapshot::volume::{Phase, Volume};
use fastrak_api::claim::{Claim, ClassChoice, RestoreRequest};
use fastrak_api::claim_ref::ClaimRef;
use fastrak_api::class::{Binding, Class, ReclaimPolicy};
use fastrak_api::names::{self, kubernetes, provisioners};
use fastrak_api::node::NodeName;
use fastrak_api::volume::VolumeId;
use k8s_openapi::api::core::v1::PersistentVolume;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) const NODE: &str = "node-a";
pub(crate) const HOSTNAME: &str = "host-a";

/// The directory of another provisioner on the disk of the first pool, and its released volume.
pub(crate) const LEFT: &str = "/near/left";
pub(crate) const OLD: &str = "old";

/// The finalizer of another client, which removes it later.
const MEDDLER: &str = "example.com/meddler";

/// The UID of the namespace `kube-system`.
pub(crate) const CLUSTER: &str = "00000000-0000-4000-a000-000000000000";

/// The creation time of the only namespace.
pub(crate) const NAMESPACE_CREATED: i64 = 1_700_000_000;

/// The classes: one for each pool, one that retains volumes, one with a retention in the trash that
/// never ends in a test, and one with a retention of a few minutes.
pub(crate) const CLASSES: [(&str, &str, ReclaimPolicy); 5] = [
    ("bin", "near", ReclaimPolicy::Delete),
    ("soon", "near", ReclaimPolicy::Delete),
    ("near", "near", ReclaimPolicy::Delete),
    ("far", "far", ReclaimPolicy::Delete),
    ("kept", "near", ReclaimPolicy::Retain),
];

/// The objects.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cluster {
    pub(crate) claims: BTreeMap<VolumeId, Arc<Claim>>,
    pub(crate) volumes: BTreeMap<VolumeId, Volume>,
    /// The size in the status of each claim.
    pub(crate) growths: BTreeMap<VolumeId, Growth>,
    /// Whether the released volume of another provisioner exists.
    pub(crate) has_left: bool,
    /// The number of changes.
    pub(crate) version: u64,
}

/// Returns the class with this name.
pub(crate) fn class(name: &str) -> Option<Class> {
    let (name, pool, reclaim) = CLASSES.iter().find(|(known, ..)| *known == name)?;
    let mut parameters = BTreeMap::from([("pool".to_owned(), (*pool).to_owned())]);
    let ttl = [("bin", "7d"), ("soon", "2m")].into_iter().find(|(class, _)| class == name);
    if let Some((_, ttl)) = ttl {
        parameters.insert("onDelete".to_owned(), "trash".to_owned());
        parameters.insert("trashTTL".to_owned(), ttl.to_owned());
    }
    Some(Class {
        name: (*name).to_owned(),
        provisioner: names::PROVISIONER.to_owned(),
        is_default: false,
        binding: Binding::Immediate,
        reclaim: *reclaim,
        mount_options: Vec::new(),
        parameters,
        topologies: Vec::new(),
    })
}

impl Cluster {
    /// Creates a claim that is pinned to the node.
    pub(crate) fn create_claim(
        &mut self,
        id: &VolumeId,
        class: &str,
        request: Option<RestoreRequest>,
    ) {
        self.version += 1;
        let node = NodeName::parse(NODE).expect("a name");
        let claim = Claim {
            namespace: "shop".to_owned(),
            name: format!("claim-{id}"),
            uid: Some(id.to_string()),
            resource_version: Some(self.version.to_string().into()),
            node_label: Some(node.key().as_str().to_owned()),
            pin: Some(NODE.to_owned()),
            selected_node: Some(NODE.to_owned()),
            class: ClassChoice::Named(class.to_owned()),
            access_modes: vec!["ReadWriteOnce".to_owned()],
            storage: Some("1Gi".to_owned()),
            created: Some(NAMESPACE_CREATED + 1),
            restore_request: request.map(Ok),
            ..Claim::default()
        };
        self.claims.insert(id.clone(), Arc::new(claim));
    }

    /// Deletes a claim.
    pub(crate) fn delete_claim(&mut self, id: &VolumeId) {
        self.version += 1;
        self.claims.remove(id);
        self.growths.remove(id);
    }

    /// Requests a larger size, which the API server allows for bound claims.
    pub(crate) fn grow_claim(&mut self, id: &VolumeId, size: &str) {
        let Some(claim) = self.claims.get(id) else { return };
        if claim.phase.as_deref() != Some("Bound") || claim.storage.as_deref() >= Some(size) {
            return;
        }
        let grown = Claim { storage: Some(size.to_owned()), ..claim.as_ref().clone() };
        self.put_claim(id, grown);
    }

    /// Removes the labels of a bound claim. The watch no longer delivers it.
    pub(crate) fn unlabel_claim(&mut self, id: &VolumeId) {
        let Some(claim) = self.claims.get(id) else { return };
        if claim.phase.as_deref() == Some("Bound") {
            let bare = Claim { node_label: None, ..claim.as_ref().clone() };
            self.put_claim(id, bare);
        }
    }

    /// Returns the claims with the label that the watch selects.
    pub(crate) fn labelled(&self) -> BTreeMap<VolumeId, Arc<Claim>> {
        let labelled = self.claims.iter().filter(|(_, claim)| claim.node_label.is_some());
        labelled.map(|(id, claim)| (id.clone(), Arc::clone(claim))).collect()
    }

    /// Returns the claim of a volume.
    pub(crate) fn owner(&self, claim: &ClaimRef) -> Option<(Claim, Growth)> {
        let id = claim.id()?;
        let found = self.claims.get(&id)?.as_ref().clone();
        Some((found, self.growths.get(&id).cloned().unwrap_or_default()))
    }

    fn put_claim(&mut self, id: &VolumeId, claim: Claim) {
        self.version += 1;
        let resource_version = Some(self.version.to_string().into());
        self.claims.insert(id.clone(), Arc::new(Claim { resource_version, ..claim }));
    }

    /// Changes every object, as another client does.
    pub(crate) fn meddle(&mut self) {
        for id in self.volumes.keys().cloned().collect::<Vec<_>>() {
            self.change(&id, |volume| match volume.finalizers.first().map(String::as_str) {
                Some(MEDDLER) => drop(volume.finalizers.remove(0)),
                _ => volume.finalizers.insert(0, MEDDLER.to_owned()),
            });
        }
        for (id, claim) in self.claims.clone() {
            self.put_claim(&id, claim.as_ref().clone());
        }
    }

    /// Sets the policy of every volume to Retain.
    pub(crate) fn keep_all(&mut self) {
        for id in self.volumes.keys().cloned().collect::<Vec<_>>() {
            self.set_policy(&id, ReclaimPolicy::Retain);
        }
    }

    /// Sets the capacity of a volume.
    pub(crate) fn resize(&mut self, id: &VolumeId, seen: &Volume, size: &str) -> Changed {
        match self.volumes.get(id) {
            None => Changed::Gone,
            Some(now) if now.uid != seen.uid || now.capacity != seen.capacity => Changed::Conflict,
            Some(_) => {
                self.change(id, |volume| volume.capacity = Some(size.to_owned()));
                self.volume(id).map_or(Changed::Gone, |now| Changed::Done(Box::new(now)))
            }
        }
    }

    /// Reads the status of a claim.
    pub(crate) fn claim_status(&self, claim: &Claim) -> Option<ClaimStatus> {
        let id = id(claim)?;
        let now = self.claims.get(&id)?;
        Some(ClaimStatus {
            uid: now.uid.clone()?,
            version: now.resource_version.as_ref()?.to_string(),
            growth: self.growths.get(&id).cloned().unwrap_or_default(),
        })
    }

    /// Patches the status of a claim. Returns `false` if the claim has changed.
    pub(crate) fn write_status(&mut self, claim: &Claim, patch: &Value) -> bool {
        let Some(id) = id(claim) else { return false };
        let Some(now) = self.claims.get(&id).cloned() else { return false };
        let written = &patch["metadata"];
        let is_same = written["uid"].as_str() == now.uid.as_deref()
            && written["resourceVersion"].as_str() == now.resource_version.as_deref();
        if !is_same {
            return false;
        }
        let capacity = patch["status"]["capacity"][STORAGE].as_str();
        let unsettled = patch["status"]["allocatedResourceStatuses"][STORAGE].is_string();
        let growth = self.growths.entry(id.clone()).or_default();
        growth.unsettled = unsettled;
        let allocated = patch["status"]["allocatedResources"][STORAGE].as_str();
        growth.allocated = allocated.map(str::to_owned).or(growth.allocated.take());
        growth.capacity = capacity.map(str::to_owned).or(growth.capacity.take());
        self.put_claim(&id, now.as_ref().clone());
        true
    }

    /// Deletes a volume.
    pub(crate) fn delete_volume(&mut self, id: &VolumeId) {
        self.change(id, |volume| volume.deleting = true);
    }

    /// Removes a volume with all of its finalizers.
    pub(crate) fn force_delete(&mut self, id: &VolumeId) {
        self.version += 1;
        self.volumes.remove(id);
    }

    /// Sets the policy of a volume.
    pub(crate) fn set_policy(&mut self, id: &VolumeId, policy: ReclaimPolicy) {
        self.change(id, |volume| volume.policy = policy);
    }

    /// Creates a volume. Returns `false` if it exists.
    pub(crate) fn create(&mut self, id: &VolumeId, volume: Volume) -> bool {
        if self.volumes.contains_key(id) {
            return false;
        }
        self.version += 1;
        let version = self.version;
        let volume = Volume {
            uid: format!("volume-{version}"),
            resource_version: version.to_string(),
            phase: Phase::Pending,
            ..volume
        };
        self.volumes.insert(id.clone(), volume);
        true
    }

    pub(crate) fn volume(&self, id: &VolumeId) -> Option<Volume> {
        self.volumes.get(id).cloned()
    }

    /// Returns the volume with this name, of any provisioner.
    pub(crate) fn named(&self, name: &str) -> Option<Volume> {
        match VolumeId::from_volume_name(name) {
            Some(id) => self.volume(&id),
            None => self.left(name).as_ref().map(Volume::read),
        }
    }

    /// Returns the released volume of another provisioner, if this is its name.
    pub(crate) fn left(&self, name: &str) -> Option<PersistentVolume> {
        let hostname =
            json!({ "key": kubernetes::HOSTNAME, "operator": "In", "values": [HOSTNAME] });
        let object = json!({
            "metadata": {
                "name": OLD,
                "uid": OLD,
                "creationTimestamp": "2026-01-01T00:00:00Z",
                "annotations": { kubernetes::PROVISIONED_BY: provisioners::LOCAL_PATH },
            },
            "spec": {
                "claimRef": { "namespace": "shop", "name": "before", "uid": OLD },
                "hostPath": { "path": format!("{LEFT}/{OLD}") },
                "nodeAffinity": { "required": { "nodeSelectorTerms": [
                    { "matchExpressions": [hostname] },
                ] } },
                "persistentVolumeReclaimPolicy": "Retain",
            },
            "status": { "phase": "Released" },
        });
        let is_there = self.has_left && name == OLD;
        is_there.then(|| serde_json::from_value(object).expect("a volume"))
    }

    /// Returns the state of a claim.
    pub(crate) fn claim(&self, claim: &ClaimRef) -> ClaimState {
        let id = claim.uid.as_deref().and_then(|uid| VolumeId::parse(uid).ok());
        match id.and_then(|id| self.claims.get(&id)) {
            None => ClaimState::Gone,
            Some(claim) => match claim.volume_name.clone() {
                None => ClaimState::Waiting,
                Some(name) if claim.phase.as_deref() == Some("Bound") => ClaimState::Bound(name),
                Some(name) => ClaimState::HasVolume(name),
            },
        }
    }

    /// Deletes a volume if it is unchanged.
    pub(crate) fn delete(&mut self, id: &VolumeId, seen: &Volume) -> Changed {
        match self.volumes.get(id) {
            None => Changed::Gone,
            Some(now) if now.resource_version != seen.resource_version => Changed::Conflict,
            Some(_) => {
                self.delete_volume(id);
                self.volume(id).map_or(Changed::Gone, |left| Changed::Done(Box::new(left)))
            }
        }
    }

    /// Points a volume to another claim if it is unchanged.
    pub(crate) fn repoint(&mut self, id: &VolumeId, seen: &Volume, claim: ClaimRef) -> Changed {
        match self.volumes.get(id) {
            None => Changed::Gone,
            Some(now) if now.resource_version != seen.resource_version => Changed::Conflict,
            Some(_) => {
                self.change(id, |volume| volume.claim = Some(claim));
                Changed::Done(Box::new(self.volumes[id].clone()))
            }
        }
    }

    /// Removes the agent's finalizer from a volume.
    pub(crate) fn finalize(&mut self, id: &VolumeId, seen: &Volume) -> Changed {
        match self.volumes.get(id) {
            None => Changed::Gone,
            // The patch tests the index, which another client may have changed.
            Some(now) if now.uid != seen.uid || now.finalizer() != seen.finalizer() => {
                Changed::Conflict
            }
            Some(now) => {
                let done = now.clone();
                self.change(id, |volume| {
                    volume.finalizers.retain(|f| f != names::VOLUME_FINALIZER)
                });
                Changed::Done(Box::new(done))
            }
        }
    }

    /// Runs the controller manager, and removes the finalizers of other clients.
    pub(crate) fn control(&mut self) {
        let ids: Vec<_> = self.volumes.keys().cloned().collect();
        for id in ids {
            if self.volumes[&id].finalizers.iter().any(|finalizer| finalizer == MEDDLER) {
                self.change(&id, |volume| volume.finalizers.retain(|f| f != MEDDLER));
            }
            if !self.volumes.contains_key(&id) {
                continue;
            }
            let volume = &self.volumes[&id];
            // The claim in its claimRef, which may be another than the original one.
            let uid = volume.claim.as_ref().and_then(|claim| claim.uid.as_deref());
            let Some(of) = uid.and_then(|uid| VolumeId::parse(uid).ok()) else { continue };
            let claim = self.claims.get(&of);
            let phase = match claim {
                Some(_) if volume.deleting && volume.phase != Phase::Bound => continue,
                Some(_) => Phase::Bound,
                None => Phase::Released,
            };
            if volume.phase == phase {
                continue;
            }
            let name = volume.name.clone();
            if let Some(claim) = claim {
                let bound = Claim {
                    volume_name: Some(name),
                    phase: Some("Bound".into()),
                    ..claim.as_ref().clone()
                };
                let capacity = volume.capacity.clone();
                self.growths.insert(of.clone(), Growth { capacity, ..Growth::default() });
                self.put_claim(&of, bound);
            }
            self.change(&id, |volume| volume.phase = phase);
        }
    }

    fn change(&mut self, id: &VolumeId, change: impl FnOnce(&mut Volume)) {
        let Some(volume) = self.volumes.get_mut(id) else { return };
        change(volume);
        self.version += 1;
        volume.resource_version = self.version.to_string();
        // A bound volume has the protection finalizer too.
        if volume.deleting && volume.finalizers.is_empty() && volume.phase != Phase::Bound {
            self.volumes.remove(id);
        }
    }
}

/// Returns the ID of a claim.
fn id(claim: &Claim) -> Option<VolumeId> {
    claim.uid.as_deref().and_then(|uid| VolumeId::parse(uid).ok())
}
