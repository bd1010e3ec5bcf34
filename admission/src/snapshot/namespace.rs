//! What a namespace says to fastrak: whether it opts out, and its defaults for claims and Services.
//! What it says is read here, and not judged: whether a class exists, or a way to an address is
//! served, is for `mutate/`.

use fastrak_api::names;
use fastrak_api::object::clipped;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// What a namespace says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamespaceInfo {
    /// Whether it opts out of fastrak.
    pub opted_out: bool,
    /// The class of its claims that name none, unread.
    pub default_class: Option<String>,
    /// How its Services get an address that do not say so themselves, unread.
    pub balancer: Option<String>,
}

impl NamespaceInfo {
    /// Reads a namespace's metadata; nothing where it has nothing to say, as most have not.
    #[must_use]
    pub fn read(metadata: &ObjectMeta) -> Option<Self> {
        let annotations = metadata.annotations.as_ref();
        let annotation = |key| annotations.and_then(|map| map.get(key)).map(|text| clipped(text));
        let admission = metadata.labels.as_ref().and_then(|map| map.get(names::ADMISSION));
        let fact = Self {
            opted_out: admission.is_some_and(|value| value == names::ADMISSION_DISABLED),
            default_class: annotation(names::NAMESPACE_CLASS),
            balancer: annotation(names::BALANCER),
        };
        (fact != Self::default()).then_some(fact)
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
    fn a_namespace_that_says_nothing_to_fastrak_is_not_kept() {
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
        let fact = read(json!({
            "labels": {names::ADMISSION: names::ADMISSION_DISABLED},
            "annotations": {names::NAMESPACE_CLASS: "fast", names::BALANCER: "none", "x/y": "z"},
        }));
        let wanted = NamespaceInfo {
            opted_out: true,
            default_class: Some("fast".to_owned()),
            balancer: Some("none".to_owned()),
        };
        assert_eq!(fact, Some(wanted));
        let empty = read(json!({"annotations": {names::NAMESPACE_CLASS: ""}})).unwrap();
        assert_eq!(empty.default_class.as_deref(), Some(""));
    }
}
