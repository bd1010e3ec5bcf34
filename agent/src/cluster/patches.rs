//! The JSON patches of the agent. Each tests what the decision was based on. Pure.

use crate::snapshot::growth::STORAGE;
use crate::snapshot::volume::Volume;
use fastrak_api::names;
use json_patch::jsonptr::PointerBuf;
use json_patch::{
    AddOperation, Patch, PatchOperation, RemoveOperation, ReplaceOperation, TestOperation,
};
use serde_json::Value;

/// Returns a patch that removes the finalizer. Finalizers are a list without keys that others
/// change too: the patch tests the index, so that it fails instead of removing another finalizer.
pub(super) fn without_finalizer(volume: &Volume, index: usize) -> Patch {
    let path = ["metadata", "finalizers", &index.to_string()];
    Patch(vec![
        test(["metadata", "uid"], &volume.uid),
        test(path, names::VOLUME_FINALIZER),
        remove(path),
    ])
}

/// Returns a patch that removes an annotation with this value.
pub(super) fn without_annotation(annotation: &str, value: &str) -> Patch {
    let path = ["metadata", "annotations", annotation];
    Patch(vec![test(path, value), remove(path)])
}

/// Returns a patch that gives the volume this claim reference and class.
pub(super) fn repointed(volume: &Volume, reference: Value, class: &str) -> Patch {
    // The reference is replaced as a whole: a part of the old one would belong to another claim.
    let set = |key, value| {
        let path = PointerBuf::from_tokens(["spec", key]);
        PatchOperation::Add(AddOperation { path, value })
    };
    Patch(vec![
        test(["metadata", "uid"], &volume.uid),
        test(["metadata", "resourceVersion"], &volume.resource_version),
        set("claimRef", reference),
        set("storageClassName", class.into()),
    ])
}

/// Returns a patch that changes the volume's capacity to `size`.
pub(super) fn resized(volume: &Volume, size: &str) -> Patch {
    let path = ["spec", "capacity", STORAGE];
    let (pointer, value) = (PointerBuf::from_tokens(path), size.into());
    Patch(vec![
        test(["metadata", "uid"], &volume.uid),
        test(path, volume.capacity.as_deref().unwrap_or_default()),
        PatchOperation::Replace(ReplaceOperation { path: pointer, value }),
    ])
}

/// Returns an operation that fails unless the field has this value.
fn test<const N: usize>(path: [&str; N], value: &str) -> PatchOperation {
    let path = PointerBuf::from_tokens(path);
    PatchOperation::Test(TestOperation { path, value: value.into() })
}

fn remove<const N: usize>(path: [&str; N]) -> PatchOperation {
    PatchOperation::Remove(RemoveOperation { path: PointerBuf::from_tokens(path) })
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn a_volume_is_repointed_only_if_it_is_unchanged() {
        let volume =
            Volume { uid: "u".to_owned(), resource_version: "7".to_owned(), ..Volume::default() };
        let reference = serde_json::json!({ "name": "new", "uid": "c" });
        let patch = repointed(&volume, reference, "local-storage");
        let object = |uid, version| {
            serde_json::json!({
                "metadata": { "uid": uid, "resourceVersion": version },
                "spec": { "claimRef": { "name": "old", "resourceVersion": "3" } },
            })
        };
        let mut same = object("u", "7");
        json_patch::patch(&mut same, &patch).unwrap();
        assert_eq!(same["spec"]["claimRef"], serde_json::json!({ "name": "new", "uid": "c" }));
        for mut other in [object("u", "8"), object("v", "7")] {
            assert!(json_patch::patch(&mut other, &patch).is_err(), "{other}");
        }
    }
}
