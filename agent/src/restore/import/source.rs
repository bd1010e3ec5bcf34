//! Volumes of other provisioners as the agent reads them.
//!
//! Pure. Their contents are trusted: only administrators may write PersistentVolumes.

use crate::snapshot::volume::{Phase, Volume};
use fastrak_api::claim_ref::ClaimRef;
use fastrak_api::class::ReclaimPolicy;
use fastrak_api::names::kubernetes;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeSpec};
use std::path::PathBuf;

/// A volume of another provisioner.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Source {
    /// The common fields of volumes.
    pub(crate) volume: Volume,
    pub(crate) path: Option<PathBuf>,
    /// The hostname label of the one node that can use it.
    pub(crate) hostname: Option<String>,
    /// Its creation time, in seconds since 1970.
    pub(crate) created: Option<i64>,
}

impl Source {
    pub(crate) fn read(object: &PersistentVolume) -> Self {
        let spec = object.spec.as_ref();
        let created = object.metadata.creation_timestamp.as_ref();
        Self {
            volume: Volume::read(object),
            path: spec.and_then(path),
            hostname: spec.and_then(hostname),
            created: created.map(|time| time.0.as_second()),
        }
    }

    /// Returns the claim that it was for, if the volume is retained and no claim uses it.
    pub(crate) fn former_claim(&self) -> Option<&ClaimRef> {
        let free = matches!(self.volume.phase, Phase::Released | Phase::Available);
        let kept = free && !self.volume.deleting && self.volume.policy == ReclaimPolicy::Retain;
        self.volume.claim.as_ref().filter(|claim| kept && claim.uid.is_some())
    }
}

fn path(spec: &PersistentVolumeSpec) -> Option<PathBuf> {
    let local = spec.local.as_ref().map(|local| &local.path);
    local.or(spec.host_path.as_ref().map(|host| &host.path)).map(PathBuf::from)
}

/// Returns the hostname of an affinity with exactly one label and one value. Other affinities do
/// not locate the data.
fn hostname(spec: &PersistentVolumeSpec) -> Option<String> {
    let terms = &spec.node_affinity.as_ref()?.required.as_ref()?.node_selector_terms;
    let [term] = terms.as_slice() else { return None };
    let [wanted] = term.match_expressions.as_deref()? else { return None };
    let [hostname] = wanted.values.as_deref()? else { return None };
    let plain = wanted.key == kubernetes::HOSTNAME && wanted.operator == "In";
    (plain && term.match_fields.is_none()).then(|| hostname.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(spec: &serde_json::Value) -> Source {
        let object = serde_json::json!({ "metadata": { "name": "old" }, "spec": spec });
        Source::read(&serde_json::from_value(object).unwrap())
    }

    #[test]
    fn only_an_affinity_to_one_hostname_locates_a_volume() {
        let affinity = |key: &str, operator: &str, values: &[&str]| {
            let term = serde_json::json!({ "matchExpressions": [
                { "key": key, "operator": operator, "values": values },
            ] });
            let terms = serde_json::json!({ "required": { "nodeSelectorTerms": [term] } });
            read(&serde_json::json!({ "hostPath": { "path": "/a/b" }, "nodeAffinity": terms }))
        };
        let host = affinity(kubernetes::HOSTNAME, "In", &["host-a"]);
        assert_eq!(host.hostname.as_deref(), Some("host-a"));
        assert_eq!(host.path, Some(PathBuf::from("/a/b")));
        for other in [
            affinity("zone", "In", &["host-a"]),
            affinity(kubernetes::HOSTNAME, "NotIn", &["host-a"]),
            affinity(kubernetes::HOSTNAME, "In", &["host-a", "host-b"]),
            read(&serde_json::json!({ "local": { "path": "/a/b" } })),
        ] {
            assert_eq!(other.hostname, None);
        }
    }
}
