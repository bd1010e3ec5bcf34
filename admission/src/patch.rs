//! JSON Patches for the few fields that fastrak writes, built against the object as it was
//! received. It does not decide what to write, and it has no way to replace a map.
//!
//! The API server rejects the user's request with a 500 when a patch does not apply, whatever
//! `failurePolicy` says. So every parent that is missing is made, every key is escaped, and what
//! is overwritten is tested first.

use fastrak_api::balancer::PartialService;
use fastrak_api::claim::PartialClaim;
use fastrak_api::object::{Mapping, Metadata, Text};
use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, PatchOperation, RemoveOperation, ReplaceOperation, TestOperation};
use serde::Deserialize;
use serde_json::{Value, json};
use smol_str::SmolStr;
use std::fmt;

/// The tokens of a JSON Pointer to a field.
type Path = [Option<&'static str>; 3];

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
    pub value: Option<SmolStr>,
}

/// Edits in the order of their fields. Of several edits of one field the last counts.
#[derive(Clone, Debug, Default)]
pub struct Settled<'a>(Vec<&'a Edit>);

/// As much of an object as a patch has to know: what is there, and what it says. Read from the
/// very bytes that the API server will apply the patch to.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Received<'a> {
    #[serde(borrow, default)]
    metadata: Option<Mapping<Metadata<'a>>>,
    #[serde(borrow, default)]
    spec: Option<Mapping<Spec<'a>>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec<'a> {
    #[serde(borrow, default)]
    storage_class_name: Option<Text<'a>>,
}

impl Edit {
    /// The field is to have this value.
    #[must_use]
    pub fn set(field: Field, value: impl Into<SmolStr>) -> Self {
        Self { field, value: Some(value.into()) }
    }

    /// The field is not to be there.
    #[must_use]
    pub const fn remove(field: Field) -> Self {
        Self { field, value: None }
    }
}

impl<'a> Settled<'a> {
    /// These edits.
    #[must_use]
    pub fn of(edits: &'a [Edit]) -> Self {
        let mut last: Vec<&Edit> = Vec::with_capacity(edits.len());
        for edit in edits {
            match last.binary_search_by_key(&edit.field, |have| have.field) {
                Ok(at) => last[at] = edit,
                Err(at) => last.insert(at, edit),
            }
        }
        Self(last)
    }

    /// The fields that they are of.
    pub fn fields(&self) -> impl Iterator<Item = Field> {
        self.0.iter().map(|edit| edit.field)
    }
}

impl Field {
    /// The field as a JSON Pointer.
    #[must_use]
    pub fn pointer(self) -> String {
        pointer(self.path()).to_string()
    }

    /// What sort of field it is, for people to read before its name.
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Annotation(_) => "annotation ",
            Self::Label(_) => "label ",
            Self::ClassName => "",
        }
    }

    /// Its name, for people to read.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Annotation(key) | Self::Label(key) => key,
            Self::ClassName => "spec.storageClassName",
        }
    }

    /// The path to the field, a part at a time.
    const fn tokens(self) -> ([&'static str; 2], Option<&'static str>) {
        match self {
            Self::Annotation(key) => (["metadata", "annotations"], Some(key)),
            Self::Label(key) => (["metadata", "labels"], Some(key)),
            Self::ClassName => (["spec", "storageClassName"], None),
        }
    }

    /// The path to the field.
    fn path(self) -> Path {
        let ([first, second], third) = self.tokens();
        [Some(first), Some(second), third]
    }

    /// What must be there before the field can be, the outermost first.
    fn parents(self) -> impl Iterator<Item = Path> {
        let ([first, second], third) = self.tokens();
        let inner = third.map(|_| [Some(first), Some(second), None]);
        [Some([Some(first), None, None]), inner].into_iter().flatten()
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.noun())?;
        f.write_str(self.name())
    }
}

impl<'a> From<PartialClaim<'a>> for Received<'a> {
    fn from(claim: PartialClaim<'a>) -> Self {
        let spec = claim.spec.map(|spec| Spec { storage_class_name: spec.0.storage_class_name });
        Self { metadata: claim.metadata, spec: spec.map(Mapping) }
    }
}

impl<'a> From<PartialService<'a>> for Received<'a> {
    fn from(service: PartialService<'a>) -> Self {
        let spec = service.spec.map(|_| Mapping(Spec::default()));
        Self { metadata: service.metadata, spec }
    }
}

impl Received<'_> {
    fn value(&self, field: Field) -> Option<&str> {
        match field {
            Field::Annotation(key) => self.metadata.as_ref()?.0.annotation(key),
            Field::Label(key) => self.metadata.as_ref()?.0.label(key),
            Field::ClassName => self.spec.as_ref()?.0.storage_class_name.as_deref(),
        }
    }

    fn has(&self, parent: Path) -> bool {
        let metadata = self.metadata.as_ref().map(|metadata| &metadata.0);
        match parent {
            [Some("metadata"), None, _] => metadata.is_some(),
            [Some("metadata"), Some("annotations"), None] => {
                metadata.is_some_and(|metadata| metadata.annotations.is_some())
            }
            [Some("metadata"), Some("labels"), None] => {
                metadata.is_some_and(|metadata| metadata.labels.is_some())
            }
            [Some("spec"), None, _] => self.spec.is_some(),
            _ => false,
        }
    }

    /// The operations that bring the object to what `edits` say. There are none if it says so already.
    #[must_use]
    pub fn patch(&self, edits: &[Edit]) -> Vec<PatchOperation> {
        self.operations(&Settled::of(edits))
    }

    /// The same for edits in the order of their fields.
    pub fn operations(&self, Settled(edits): &Settled<'_>) -> Vec<PatchOperation> {
        let mut operations = Vec::new();
        let mut made = Vec::new();
        for edit in edits {
            self.push_operations(edit, &mut made, &mut operations);
        }
        operations
    }

    fn push_operations(
        &self,
        edit: &Edit,
        made: &mut Vec<Path>,
        operations: &mut Vec<PatchOperation>,
    ) {
        let path = edit.field.path();
        match (self.value(edit.field), edit.value.as_deref()) {
            (None, None) => {}
            (Some(old), Some(new)) if old == new => {}
            (None, Some(new)) => {
                self.push_parents(edit.field, made, operations);
                operations.push(add(path, json!(new)));
            }
            (Some(old), Some(new)) => operations.extend([test(path, old), replace(path, new)]),
            (Some(old), None) => operations.extend([test(path, old), remove(path)]),
        }
    }

    /// Adds the parents of a field that are missing and not yet in `made`.
    fn push_parents(
        &self,
        field: Field,
        made: &mut Vec<Path>,
        operations: &mut Vec<PatchOperation>,
    ) {
        for path in field.parents().filter(|parent| !self.has(*parent)) {
            if !made.contains(&path) {
                made.push(path);
                operations.push(add(path, json!({})));
            }
        }
    }
}

/// The first operation of a patch that must not touch any other version of an object.
#[must_use]
pub fn only_version(resource_version: &str) -> PatchOperation {
    test([Some("metadata"), Some("resourceVersion"), None], resource_version)
}

fn pointer(path: Path) -> PointerBuf {
    PointerBuf::from_tokens(path.into_iter().flatten())
}

fn add(path: Path, value: Value) -> PatchOperation {
    PatchOperation::Add(AddOperation { path: pointer(path), value })
}

fn test(path: Path, value: &str) -> PatchOperation {
    PatchOperation::Test(TestOperation { path: pointer(path), value: json!(value) })
}

fn replace(path: Path, value: &str) -> PatchOperation {
    PatchOperation::Replace(ReplaceOperation { path: pointer(path), value: json!(value) })
}

fn remove(path: Path) -> PatchOperation {
    PatchOperation::Remove(RemoveOperation { path: pointer(path) })
}

#[cfg(test)]
mod tests;
