//! As much of a cluster as the agent's decisions see: claims, volumes, and the controller that binds
//! the one to the other.
//!
//! It is modelled: versions, preconditions, finalizers and phases behave as those of an API server
//! do, and all else is left out.

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

/// The folder of another provisioner, on the disk of the first pool, and the volume that it has left.
pub(crate) const LEFT: &str = "/near/left";
pub(crate) const OLD: &str = "old";

/// The finalizer of somebody else, who takes it off a little later.
const MEDDLER: &str = "example.com/meddler";

/// The uid of the namespace `kube-system`.
pub(crate) const CLUSTER: &str = "00000000-0000-4000-a000-000000000000";

/// When the one namespace was made.
pub(crate) const NAMESPACE_CREATED: i64 = 1_700_000_000;

/// The classes: one for each pool, one whose volumes are kept, one whose volumes can be had back for
/// longer than anything here takes, and one for a few minutes.
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
    /// What the status of each claim says of its size.
    pub(crate) growths: BTreeMap<VolumeId, Growth>,
    /// Whether another provisioner has left a volume.
    pub(crate) has_left: bool,
    /// Counts all changes.
    pub(crate) version: u64,
}

/// The class of this name.
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
    /// A user creates a claim that is pinned to the node.
    pub(crate) fn create_claim(
        &mut self,
        id: &VolumeId,
        class: &str,
        wish: Option<RestoreRequest>,
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
            restore_request: wish.map(Ok),
            ..Claim::default()
        };
        self.claims.insert(id.clone(), Arc::new(claim));
    }

    /// A user deletes a claim.
    pub(crate) fn delete_claim(&mut self, id: &VolumeId) {
        self.version += 1;
        self.claims.remove(id);
        self.growths.remove(id);
    }

    /// A user asks for more, which the API server lets him do when the claim is bound.
    pub(crate) fn grow_claim(&mut self, id: &VolumeId, size: &str) {
        let Some(claim) = self.claims.get(id) else { return };
        if claim.phase.as_deref() != Some("Bound") || claim.storage.as_deref() >= Some(size) {
            return;
        }
        let grown = Claim { storage: Some(size.to_owned()), ..claim.as_ref().clone() };
        self.put_claim(id, grown);
    }

    /// Somebody takes the labels of a claim that is bound off. Only the agent finds it then.
    pub(crate) fn unlabel_claim(&mut self, id: &VolumeId) {
        let Some(claim) = self.claims.get(id) else { return };
        if claim.phase.as_deref() == Some("Bound") {
            let bare = Claim { node_label: None, ..claim.as_ref().clone() };
            self.put_claim(id, bare);
        }
    }

    /// The claims that have the label by which the agent watches.
    pub(crate) fn labelled(&self) -> BTreeMap<VolumeId, Arc<Claim>> {
        let labelled = self.claims.iter().filter(|(_, claim)| claim.node_label.is_some());
        labelled.map(|(id, claim)| (id.clone(), Arc::clone(claim))).collect()
    }

    /// The claim that a volume is for.
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

    /// Somebody else changes every object.
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

    /// An administrator asks at the last moment for every volume to be kept.
    pub(crate) fn keep_all(&mut self) {
        for id in self.volumes.keys().cloned().collect::<Vec<_>>() {
            self.set_policy(&id, ReclaimPolicy::Retain);
        }
    }

    /// The agent has a volume say that it holds so much.
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

    /// What the status of a claim can be written upon.
    pub(crate) fn claim_status(&self, claim: &Claim) -> Option<ClaimStatus> {
        let id = id(claim)?;
        let now = self.claims.get(&id)?;
        Some(ClaimStatus {
            uid: now.uid.clone()?,
            version: now.resource_version.as_ref()?.to_string(),
            growth: self.growths.get(&id).cloned().unwrap_or_default(),
        })
    }

    /// The agent writes into the status of a claim; `false` where it has changed.
    pub(crate) fn write_status(&mut self, claim: &Claim, patch: &Value) -> bool {
        let Some(id) = id(claim) else { return false };
        let Some(now) = self.claims.get(&id).cloned() else { return false };
        let written = &patch["metadata"];
        let is_same = written["uid"].as_str() == now.uid.as_deref()
            && written["resourceVersion"].as_str() == now.resource_version.as_deref();
        if !is_same {
            return false;
        }
        let shown = patch["status"]["capacity"][STORAGE].as_str();
        let unsettled = patch["status"]["allocatedResourceStatuses"][STORAGE].is_string();
        let growth = self.growths.entry(id.clone()).or_default();
        growth.unsettled = unsettled;
        let allocated = patch["status"]["allocatedResources"][STORAGE].as_str();
        growth.allocated = allocated.map(str::to_owned).or(growth.allocated.take());
        growth.shown = shown.map(str::to_owned).or(growth.shown.take());
        self.put_claim(&id, now.as_ref().clone());
        true
    }

    /// An administrator deletes a volume.
    pub(crate) fn delete_volume(&mut self, id: &VolumeId) {
        self.change(id, |volume| volume.deleting = true);
    }

    /// An administrator removes a volume with all of its finalizers.
    pub(crate) fn force_away(&mut self, id: &VolumeId) {
        self.version += 1;
        self.volumes.remove(id);
    }

    /// An administrator says what is to become of a volume.
    pub(crate) fn set_policy(&mut self, id: &VolumeId, policy: ReclaimPolicy) {
        self.change(id, |volume| volume.policy = policy);
    }

    /// The agent creates a volume; `false` where there is one.
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

    /// The volume of this name, whoever made it.
    pub(crate) fn named(&self, name: &str) -> Option<Volume> {
        match VolumeId::from_volume_name(name) {
            Some(id) => self.volume(&id),
            None => self.left(name).as_ref().map(Volume::read),
        }
    }

    /// The volume that another provisioner has left, if this is its name.
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

    /// How a claim stands.
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

    /// The agent deletes a volume that is as it has seen it.
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

    /// The agent points a volume that is as it has seen it to another claim.
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

    /// The agent takes its finalizer off a volume.
    pub(crate) fn finalize(&mut self, id: &VolumeId, seen: &Volume) -> Changed {
        match self.volumes.get(id) {
            None => Changed::Gone,
            // Its place in the list is tested, and somebody else may have moved it.
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

    /// The controller manager does what there is to do, and so does whoever has meddled.
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
            // The claim that it names, which need not be the one it was made for.
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
                let shown = volume.capacity.clone();
                self.growths.insert(of.clone(), Growth { shown, ..Growth::default() });
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
        // A bound volume has the finalizer of its protection too.
        if volume.deleting && volume.finalizers.is_empty() && volume.phase != Phase::Bound {
            self.volumes.remove(id);
        }
    }
}

/// The identity of a claim.
fn id(claim: &Claim) -> Option<VolumeId> {
    claim.uid.as_deref().and_then(|uid| VolumeId::parse(uid).ok())
}
