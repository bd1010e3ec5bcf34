//! JSON Patches for the few fields that fastrak writes, built against the object as it was
//! received. It does not decide what to write, and it has no way to replace a map.
//!
//! The API server rejects the user's request with a 500 when a patch does not apply, whatever
//! `failurePolicy` says. So every parent that is missing is made, every key is escaped, and what
//! is overwritten is tested first.

use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, PatchOperation, RemoveOperation, ReplaceOperation, TestOperation};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A field that fastrak may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Field {
    /// An annotation.
    Annotation(&'static str),
    /// A label.
    Label(&'static str),
    /// The class of a claim.
    ClassName,
}

/// A field with the value that it is to have; none takes it away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// The field.
    pub field: Field,
    /// Its value.
    pub value: Option<String>,
}

/// As much of an object as a patch has to know: what is there, and what it says. Read from the
/// very bytes that the API server will apply the patch to.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Received {
    #[serde(default)]
    metadata: Option<Metadata>,
    #[serde(default)]
    spec: Option<Spec>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Metadata {
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    #[serde(default)]
    storage_class_name: Option<String>,
}

impl Edit {
    /// The field is to have this value.
    #[must_use]
    pub fn set(field: Field, value: impl Into<String>) -> Self {
        Self { field, value: Some(value.into()) }
    }

    /// The field is not to be there.
    #[must_use]
    pub const fn remove(field: Field) -> Self {
        Self { field, value: None }
    }
}

impl Field {
    /// The field as a JSON Pointer.
    #[must_use]
    pub fn pointer(self) -> String {
        pointer(&self.tokens()).to_string()
    }

    /// The path to the field, a part at a time.
    fn tokens(self) -> Vec<&'static str> {
        match self {
            Self::Annotation(key) => vec!["metadata", "annotations", key],
            Self::Label(key) => vec!["metadata", "labels", key],
            Self::ClassName => vec!["spec", "storageClassName"],
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Annotation(key) => write!(f, "annotation {key}"),
            Self::Label(key) => write!(f, "label {key}"),
            Self::ClassName => f.write_str("spec.storageClassName"),
        }
    }
}

impl Received {
    fn value(&self, field: Field) -> Option<&String> {
        let metadata = self.metadata.as_ref();
        match field {
            Field::Annotation(key) => metadata?.annotations.as_ref()?.get(key),
            Field::Label(key) => metadata?.labels.as_ref()?.get(key),
            Field::ClassName => self.spec.as_ref()?.storage_class_name.as_ref(),
        }
    }

    fn has(&self, parent: &[&str]) -> bool {
        let metadata = self.metadata.as_ref();
        match parent {
            ["metadata"] => metadata.is_some(),
            ["metadata", "annotations"] => metadata.is_some_and(|m| m.annotations.is_some()),
            ["metadata", "labels"] => metadata.is_some_and(|m| m.labels.is_some()),
            ["spec"] => self.spec.is_some(),
            _ => false,
        }
    }

    /// The operations that bring the object to what `edits` say; none where it is so already.
    /// Of several edits of one field the last counts.
    #[must_use]
    pub fn patch(&self, edits: &[Edit]) -> Vec<PatchOperation> {
        let last: BTreeMap<Field, &Option<String>> =
            edits.iter().map(|edit| (edit.field, &edit.value)).collect();
        let mut made = BTreeSet::new();
        let mut operations = Vec::new();
        for (field, value) in last {
            match (self.value(field), value) {
                (None, None) => {}
                (Some(old), Some(new)) if old == new => {}
                (None, Some(new)) => {
                    operations.extend(self.parents(field, &mut made));
                    operations.push(add(&field.tokens(), json!(new)));
                }
                (Some(old), Some(new)) => {
                    operations.push(test(&field.tokens(), json!(old)));
                    operations.push(PatchOperation::Replace(ReplaceOperation {
                        path: pointer(&field.tokens()),
                        value: json!(new),
                    }));
                }
                (Some(old), None) => {
                    operations.push(test(&field.tokens(), json!(old)));
                    let path = pointer(&field.tokens());
                    operations.push(PatchOperation::Remove(RemoveOperation { path }));
                }
            }
        }
        operations
    }

    /// The parents of a field that are neither there nor made by an earlier operation.
    fn parents(&self, field: Field, made: &mut BTreeSet<Vec<&'static str>>) -> Vec<PatchOperation> {
        let tokens = field.tokens();
        let parents = (1..tokens.len()).map(|end| tokens[..end].to_vec());
        let missing = parents.filter(|parent| !self.has(parent) && made.insert(parent.clone()));
        missing.map(|parent| add(&parent, json!({}))).collect()
    }
}

/// The first operation of a patch that must not touch any other version of an object.
#[must_use]
pub fn only_version(resource_version: &str) -> PatchOperation {
    test(&["metadata", "resourceVersion"], json!(resource_version))
}

fn add(tokens: &[&str], value: Value) -> PatchOperation {
    PatchOperation::Add(AddOperation { path: pointer(tokens), value })
}

fn test(tokens: &[&str], value: Value) -> PatchOperation {
    PatchOperation::Test(TestOperation { path: pointer(tokens), value })
}

fn pointer(tokens: &[&str]) -> PointerBuf {
    PointerBuf::from_tokens(tokens.iter().copied())
}

#[cfg(test)]
mod tests;
