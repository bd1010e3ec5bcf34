//! The kinds of objects in the snapshot: the fields that are kept, and the volumes that a change
//! affects.

use super::growth::{self, Growth};
use super::volume::Volume;
use super::{Confirmations, Contents, Snapshot};
use fastrak_api::claim::Claim;
use fastrak_api::class::Class;
use fastrak_api::names::{self, kubernetes};
use fastrak_api::object::trimmed;
use fastrak_api::volume::VolumeId;
use k8s_openapi::api::core::v1::Node;
use kube::ResourceExt as _;
use serde_json::Error;
use std::hash::Hash;

/// A kind of object in the snapshot.
pub(super) trait WatchedKind {
    /// The fields that are kept. The object itself is dropped after it was read.
    type Object: Send + 'static;
    type Key: Clone + Eq + Hash + Send;

    fn read(text: &str) -> Result<Self::Object, Error>;
    fn key(object: &Self::Object) -> Option<Self::Key>;
    /// Updates the object; `None` removes it. Returns whether the update affects any volume.
    fn put(seen: &mut Contents, key: &Self::Key, object: Option<Self::Object>) -> bool;
    fn keys(seen: &Contents) -> Vec<Self::Key>;
    /// Returns the volumes that a change of this object affects.
    fn affected(snapshot: &Snapshot, key: &Self::Key) -> Vec<VolumeId>;
}

/// The claims of this node, by uid.
pub(super) struct Claims;

impl WatchedKind for Claims {
    type Object = (Claim, Growth);
    type Key = VolumeId;

    fn read(text: &str) -> Result<(Claim, Growth), Error> {
        growth::read_claim(text)
    }

    fn key((claim, _): &(Claim, Growth)) -> Option<VolumeId> {
        claim.uid.as_deref().and_then(|uid| VolumeId::parse(uid).ok())
    }

    /// Ignores claims of other classes: every author of a claim can write the node label.
    fn put(seen: &mut Contents, key: &VolumeId, object: Option<(Claim, Growth)>) -> bool {
        let object = object.filter(|(claim, _)| !seen.is_foreign(claim));
        let affects_volumes = object.is_some() || seen.claims.contains_key(key);
        seen.put_claim(key, object);
        affects_volumes
    }

    fn keys(seen: &Contents) -> Vec<VolumeId> {
        seen.claims.keys().cloned().collect()
    }

    /// Returns its own volume, and the volume of another claim that it has.
    fn affected(snapshot: &Snapshot, key: &VolumeId) -> Vec<VolumeId> {
        let seen = snapshot.seen.read();
        let name = seen.claims.get(key).and_then(|(claim, _)| claim.volume_name.as_deref());
        let other = name.and_then(VolumeId::from_volume_name).filter(|other| other != key);
        [Some(key.clone()), other].into_iter().flatten().collect()
    }
}

/// The volumes of this node, by the uid in their names.
pub(super) struct Volumes;

impl WatchedKind for Volumes {
    type Object = Volume;
    type Key = VolumeId;

    fn read(text: &str) -> Result<Volume, Error> {
        trimmed::volume(text).map(|volume| Volume::read(&volume))
    }

    fn key(object: &Volume) -> Option<VolumeId> {
        object.id()
    }

    fn put(seen: &mut Contents, key: &VolumeId, object: Option<Volume>) -> bool {
        seen.put_volume(key, object);
        true
    }

    fn keys(seen: &Contents) -> Vec<VolumeId> {
        seen.volumes.keys().cloned().collect()
    }

    fn affected(_: &Snapshot, key: &VolumeId) -> Vec<VolumeId> {
        vec![key.clone()]
    }
}

/// All classes, by name.
pub(super) struct Classes;

impl WatchedKind for Classes {
    type Object = Class;
    type Key = String;

    fn read(text: &str) -> Result<Class, Error> {
        serde_json::from_str(text).map(|class| Class::read(&class))
    }

    fn key(object: &Class) -> Option<String> {
        Some(object.name.clone())
    }

    fn put(seen: &mut Contents, key: &String, object: Option<Class>) -> bool {
        let is_ours = object.as_ref().is_none_or(Class::is_ours);
        match object {
            Some(class) => seen.classes.insert(key.clone(), class),
            None => seen.classes.remove(key),
        };
        if !is_ours {
            seen.forget_foreign();
        }
        is_ours
    }

    fn keys(seen: &Contents) -> Vec<String> {
        seen.classes.keys().cloned().collect()
    }

    fn affected(snapshot: &Snapshot, key: &String) -> Vec<VolumeId> {
        snapshot.waiting(Some(key))
    }
}

/// This node's own object.
pub(super) struct OwnNode;

impl WatchedKind for OwnNode {
    type Object = Node;
    type Key = ();

    fn read(text: &str) -> Result<Node, Error> {
        trimmed::node(text)
    }

    fn key(_: &Node) -> Option<()> {
        Some(())
    }

    /// Returns whether the hostname label has changed: a kubelet writes its Node every few seconds.
    fn put(seen: &mut Contents, (): &(), object: Option<Node>) -> bool {
        let node = object.unwrap_or_default();
        let hostname = node.labels().get(kubernetes::HOSTNAME).cloned();
        let changed = seen.hostname != hostname;
        seen.hostname = hostname;
        seen.confirmations = Confirmations {
            adopt_pool: node.annotations().get(names::ADOPT_POOL).cloned(),
            orphans: node.annotations().get(names::CONFIRM_ORPHANS).cloned(),
        };
        seen.node_uid = node.metadata.uid;
        changed
    }

    fn keys(seen: &Contents) -> Vec<()> {
        seen.node_uid.iter().map(|_| ()).collect()
    }

    fn affected(snapshot: &Snapshot, (): &()) -> Vec<VolumeId> {
        snapshot.all_waiting()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn node(hostname: Option<&str>, annotation: &str) -> Node {
        let labels = hostname.map(|name| json!({ kubernetes::HOSTNAME: name, "team": "x" }));
        let object = json!({ "metadata": {
            "uid": "u", "labels": labels, "annotations": { "fastrak.io/novel": annotation },
        }, "status": { "images": [{ "names": ["a"] }] } });
        OwnNode::read(&object.to_string()).unwrap()
    }

    fn claim(class: &str, volume: Option<&str>) -> (Claim, Growth) {
        let object = json!({
            "metadata": { "uid": "0b0a3a2e-0d6c-4f5f-9e57-3c2f1d2b4a59" },
            "spec": { "storageClassName": class, "volumeName": volume },
        });
        Claims::read(&object.to_string()).unwrap()
    }

    fn class(name: &str, provisioner: &str) -> Class {
        let object = json!({ "metadata": { "name": name }, "provisioner": provisioner });
        Classes::read(&object.to_string()).unwrap()
    }

    #[test]
    fn waiting_claims_are_requeued_when_the_hostname_changes_and_not_at_each_heartbeat() {
        let mut seen = Contents::default();
        let puts = [(None, "a"), (Some("h"), "a"), (Some("h"), "b"), (Some("i"), "b"), (None, "b")]
            .map(|(hostname, annotation)| {
                OwnNode::put(&mut seen, &(), Some(node(hostname, annotation)))
            });
        assert_eq!(puts, [false, true, false, true, true]);
        let read = node(None, "b").metadata.annotations.unwrap();
        assert_eq!(read["fastrak.io/novel"], "b", "the annotations are read");
    }

    #[test]
    fn claims_of_another_provisioner_are_ignored_in_any_order() {
        let (ours, other) =
            (class("fast", fastrak_api::names::PROVISIONER), class("slow", "example.com/nfs"));
        for classes_first in [true, false] {
            let mut seen = Contents::default();
            let put_classes = |seen: &mut Contents| {
                Classes::put(seen, &"fast".to_owned(), Some(ours.clone()));
                Classes::put(seen, &"slow".to_owned(), Some(other.clone()));
            };
            if classes_first {
                put_classes(&mut seen);
            }
            for (at, class) in ["fast", "slow", "novel"].into_iter().enumerate() {
                let id = format!("0b0a3a2e-0d6c-4f5f-9e57-3c2f1d2b4a5{at}");
                Claims::put(&mut seen, &VolumeId::parse(&id).unwrap(), Some(claim(class, None)));
            }
            put_classes(&mut seen);
            let mut kept: Vec<_> =
                seen.claims.values().filter_map(|(claim, _)| claim.class_name()).collect();
            kept.sort_unstable();
            assert_eq!(kept, ["fast", "novel"], "classes first: {classes_first}");
        }
    }

    #[test]
    fn a_claim_with_a_volume_of_fastrak_is_kept_for_any_class() {
        let mut seen = Contents::default();
        let slow = class("slow", "example.com/nfs");
        Classes::put(&mut seen, &"slow".to_owned(), Some(slow));
        let bound = claim("slow", Some("pvc-0b0a3a2e-0d6c-4f5f-9e57-3c2f1d2b4a59"));
        let id = Claims::key(&bound).unwrap();
        assert!(Claims::put(&mut seen, &id, Some(bound)) && seen.claims.contains_key(&id));
        let foreign = claim("slow", Some("pv-1"));
        assert!(Claims::put(&mut seen, &id, Some(foreign.clone())), "it was known");
        assert!(!Claims::put(&mut seen, &id, Some(foreign)), "it is not");
    }
}
