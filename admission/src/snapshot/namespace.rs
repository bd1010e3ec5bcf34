//! The settings of a namespace: whether it opts out, and its defaults for claims and Services.
//!
//! `mutate/` checks whether the class and the mode exist.

use fastrak_api::names;
use fastrak_api::object::clipped;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// The settings of a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamespaceInfo {
    /// True if it opts out of fastrak.
    pub opted_out: bool,
    /// The class of its claims that name none, unparsed.
    pub default_class: Option<String>,
    /// The mode of its Services that name none, unparsed.
    pub balancer: Option<String>,
}

impl NamespaceInfo {
    /// Reads a namespace's metadata. None if it has no settings, as most have not.
    #[must_use]
    pub fn read(metadata: &ObjectMeta) -> Option<Self> {
        let annotations = metadata.annotations.as_ref();
        let annotation = |key| annotations.and_then(|map| map.get(key)).map(|text| clipped(text));
        let admission = metadata.labels.as_ref().and_then(|map| map.get(names::ADMISSION));
        let info = Self {
            opted_out: admission.is_some_and(|value| value == names::ADMISSION_DISABLED),
            default_class: annotation(names::NAMESPACE_CLASS),
            balancer: annotation(names::BALANCER),
        };
        (info != Self::default()).then_some(info)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(metadata: Value) -> Option<NamespaceInfo> {
        NamespaceInfo::read(&serde_json::from_value(metadata).unwrap())
    }

    #[test]
    fn a_namespace_without_settings_is_not_kept() {
        for metadata in [
            json!({"name": "a"}),
            json!({"labels": {"team": "x"}, "annotations": {"own.io/x": "y"}}),
            json!({"labels": {names::ADMISSION: "enabled"}}),
        ] {
            assert_eq!(read(metadata.clone()), None, "{metadata}");
        }
    }

    #[test]
    fn a_namespace_may_opt_out_and_have_defaults_of_its_own() {
        let info = read(json!({
            "labels": {names::ADMISSION: names::ADMISSION_DISABLED},
            "annotations": {names::NAMESPACE_CLASS: "fast", names::BALANCER: "none", "x/y": "z"},
        }));
        let wanted = NamespaceInfo {
            opted_out: true,
            default_class: Some("fast".to_owned()),
            balancer: Some("none".to_owned()),
        };
        assert_eq!(info, Some(wanted));
        let empty = read(json!({"annotations": {names::NAMESPACE_CLASS: ""}})).unwrap();
        assert_eq!(empty.default_class.as_deref(), Some(""));
    }
}
