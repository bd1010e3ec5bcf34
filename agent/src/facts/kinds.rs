//! The kinds of objects that are remembered: what is kept of each, and whom a change concerns.
//!
//! Nothing is watched here.

use super::growth::Growth;
use super::volume::Volume;
use super::{Confirmations, Facts, Seen};
use fastrak_api::claim::Claim;
use fastrak_api::class::Class;
use fastrak_api::names::{self, kubernetes};
use fastrak_api::volume::VolumeId;
use k8s_openapi::api::core::v1::{Node, PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use std::hash::Hash;

/// One kind of object in the memory.
pub(super) trait Kept: Send + 'static {
    type Object;
    type Key: Clone + Eq + Hash + Send;

    fn key(object: &Self::Object) -> Option<Self::Key>;
    fn put(&self, seen: &mut Seen, key: &Self::Key, object: &Self::Object);
    fn remove(&self, seen: &mut Seen, key: &Self::Key);
    fn keys(&self, seen: &Seen) -> Vec<Self::Key>;
    /// Whose volumes a change of this object concerns.
    fn concerns(&self, facts: &Facts, key: &Self::Key) -> Vec<VolumeId>;
}

/// The claims of this node, by uid.
pub(super) struct Claims;

impl Kept for Claims {
    type Object = PersistentVolumeClaim;
    type Key = VolumeId;

    fn key(object: &PersistentVolumeClaim) -> Option<VolumeId> {
        object.metadata.uid.as_deref().and_then(|uid| VolumeId::parse(uid).ok())
    }

    fn put(&self, seen: &mut Seen, key: &VolumeId, object: &PersistentVolumeClaim) {
        seen.put_claim(key, Some((Claim::read(object), Growth::read(object))));
    }

    fn remove(&self, seen: &mut Seen, key: &VolumeId) {
        seen.put_claim(key, None);
    }

    fn keys(&self, seen: &Seen) -> Vec<VolumeId> {
        seen.claims.keys().cloned().collect()
    }

    /// Its own volume, and where it has been given another's, that one.
    fn concerns(&self, facts: &Facts, key: &VolumeId) -> Vec<VolumeId> {
        let seen = facts.read();
        let name = seen.claims.get(key).and_then(|claim| claim.volume_name.as_deref());
        let other = name.and_then(VolumeId::from_volume_name).filter(|other| other != key);
        [Some(key.clone()), other].into_iter().flatten().collect()
    }
}

/// The volumes of this node, by the uid in their names.
pub(super) struct Volumes;

impl Kept for Volumes {
    type Object = PersistentVolume;
    type Key = VolumeId;

    fn key(object: &PersistentVolume) -> Option<VolumeId> {
        object.metadata.name.as_deref().and_then(VolumeId::from_volume_name)
    }

    fn put(&self, seen: &mut Seen, key: &VolumeId, object: &PersistentVolume) {
        seen.put_volume(key, Some(Volume::read(object)));
    }

    fn remove(&self, seen: &mut Seen, key: &VolumeId) {
        seen.put_volume(key, None);
    }

    fn keys(&self, seen: &Seen) -> Vec<VolumeId> {
        seen.volumes.keys().cloned().collect()
    }

    fn concerns(&self, _: &Facts, key: &VolumeId) -> Vec<VolumeId> {
        vec![key.clone()]
    }
}

/// All classes, by name.
pub(super) struct Classes;

impl Kept for Classes {
    type Object = StorageClass;
    type Key = String;

    fn key(object: &StorageClass) -> Option<String> {
        object.metadata.name.clone()
    }

    fn put(&self, seen: &mut Seen, key: &String, object: &StorageClass) {
        seen.classes.insert(key.clone(), Class::read(object));
    }

    fn remove(&self, seen: &mut Seen, key: &String) {
        seen.classes.remove(key);
    }

    fn keys(&self, seen: &Seen) -> Vec<String> {
        seen.classes.keys().cloned().collect()
    }

    fn concerns(&self, facts: &Facts, key: &String) -> Vec<VolumeId> {
        facts.waiting(Some(key))
    }
}

/// This node's own object.
pub(super) struct OwnNode;

impl Kept for OwnNode {
    type Object = Node;
    type Key = ();

    fn key(_: &Node) -> Option<()> {
        Some(())
    }

    fn put(&self, seen: &mut Seen, (): &(), object: &Node) {
        let labels = object.metadata.labels.as_ref();
        seen.hostname = labels.and_then(|labels| labels.get(kubernetes::HOSTNAME)).cloned();
        let annotations = object.metadata.annotations.as_ref();
        let annotation = |key: &str| annotations.and_then(|map| map.get(key)).cloned();
        seen.confirmations = Confirmations {
            adopt_pool: annotation(names::ADOPT_POOL),
            orphans: annotation(names::CONFIRM_ORPHANS),
        };
    }

    fn remove(&self, seen: &mut Seen, (): &()) {
        seen.confirmations = Confirmations::default();
        seen.hostname = None;
    }

    fn keys(&self, seen: &Seen) -> Vec<()> {
        seen.hostname.iter().map(|_| ()).collect()
    }

    fn concerns(&self, facts: &Facts, (): &()) -> Vec<VolumeId> {
        facts.all_waiting()
    }
}
