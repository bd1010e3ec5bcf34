//! JSON Patches of the few fields that fastrak writes, for the object as it was received. They
//! never replace a map.
//!
//! The API server rejects the user's request with a 500 if a patch does not apply, even with
//! `failurePolicy: Ignore`. So missing parents are added, keys are escaped, and values are tested
//! before they are overwritten.

mod step;

use self::step::{Content, Op, Path, Step};
use fastrak_api::balancer::PartialService;
use fastrak_api::claim::PartialClaim;
use fastrak_api::object::{Mapping, Metadata, Text};
use json_patch::jsonptr::PointerBuf;
use json_patch::{PatchOperation, TestOperation};
use serde::Deserialize;
use smol_str::SmolStr;
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
    /// The load balancer class of a Service.
    BalancerClass,
}

/// A field with its new value. None removes it.
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

/// The parts of an object that a patch depends on, read from the same bytes that the API server
/// applies the patch to.
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
    #[serde(borrow, default)]
    load_balancer_class: Option<Text<'a>>,
}

impl Edit {
    /// Sets the field.
    #[must_use]
    pub fn set(field: Field, value: impl Into<SmolStr>) -> Self {
        Self { field, value: Some(value.into()) }
    }

    /// Removes the field.
    #[must_use]
    pub const fn remove(field: Field) -> Self {
        Self { field, value: None }
    }
}

impl<'a> Settled<'a> {
    /// Sorts edits by their fields.
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

    /// Returns whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the fields of the edits.
    pub fn fields(&self) -> impl Iterator<Item = Field> {
        self.0.iter().map(|edit| edit.field)
    }
}

impl Field {
    /// Returns the field as a JSON Pointer.
    #[must_use]
    pub fn pointer(self) -> String {
        PointerBuf::from_tokens(self.path().into_iter().flatten()).to_string()
    }

    /// Returns the kind of the field, for messages, before its name.
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Annotation(_) => "annotation ",
            Self::Label(_) => "label ",
            Self::ClassName | Self::BalancerClass => "",
        }
    }

    /// Returns the name of the field, for messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Annotation(key) | Self::Label(key) => key,
            Self::ClassName => "spec.storageClassName",
            Self::BalancerClass => "spec.loadBalancerClass",
        }
    }

    /// Returns the parts of the path to the field.
    const fn tokens(self) -> ([&'static str; 2], Option<&'static str>) {
        match self {
            Self::Annotation(key) => (["metadata", "annotations"], Some(key)),
            Self::Label(key) => (["metadata", "labels"], Some(key)),
            Self::ClassName => (["spec", "storageClassName"], None),
            Self::BalancerClass => (["spec", "loadBalancerClass"], None),
        }
    }

    /// Returns the path to the field.
    fn path(self) -> Path {
        let ([first, second], third) = self.tokens();
        [Some(first), Some(second), third]
    }

    /// Returns the parents of the field, the outermost first.
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
        let spec = claim.spec.map(|spec| Spec {
            storage_class_name: spec.0.storage_class_name,
            load_balancer_class: None,
        });
        Self { metadata: claim.metadata, spec: spec.map(Mapping) }
    }
}

impl<'a> From<PartialService<'a>> for Received<'a> {
    fn from(service: PartialService<'a>) -> Self {
        let spec = service.spec.map(|spec| Spec {
            storage_class_name: None,
            load_balancer_class: spec.0.load_balancer_class,
        });
        Self { metadata: service.metadata, spec: spec.map(Mapping) }
    }
}

impl Received<'_> {
    fn value(&self, field: Field) -> Option<&str> {
        match field {
            Field::Annotation(key) => self.metadata.as_ref()?.0.annotation(key),
            Field::Label(key) => self.metadata.as_ref()?.0.label(key),
            Field::ClassName => self.spec.as_ref()?.0.storage_class_name.as_deref(),
            Field::BalancerClass => self.spec.as_ref()?.0.load_balancer_class.as_deref(),
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

    /// Returns the operations that apply the edits. None for values that the object has already.
    pub fn patch(&self, edits: &[Edit]) -> Result<Vec<PatchOperation>, serde_json::Error> {
        let mut text = Vec::new();
        let any = self.write(&Settled::of(edits), &mut text);
        if any { serde_json::from_slice(&text) } else { Ok(Vec::new()) }
    }

    /// Writes the patch that applies the edits. Returns whether there is any.
    pub fn write(&self, Settled(edits): &Settled<'_>, out: &mut Vec<u8>) -> bool {
        let (start, mut made) = (out.len(), Vec::new());
        // Each step is written at once: a list of them would be a slow allocation.
        let mut take = |step: Step<'_>| {
            out.push(if out.len() == start { b'[' } else { b',' });
            step.write(out);
        };
        edits.iter().for_each(|edit| self.step(edit, &mut made, &mut take));
        let any = out.len() > start;
        if any {
            out.push(b']');
        }
        any
    }

    fn step(&self, edit: &Edit, made: &mut Vec<Path>, take: &mut impl FnMut(Step<'_>)) {
        let path = edit.field.path();
        let mut with = |op, value| take(Step { op, path, value });
        match (self.value(edit.field), edit.value.as_deref()) {
            (None, None) => {}
            (Some(old), Some(new)) if old == new => {}
            (None, Some(new)) => {
                self.make_parents(edit.field, made, take);
                take(Step { op: Op::Add, path, value: Content::Text(new) });
            }
            (Some(old), Some(new)) => {
                with(Op::Test, Content::Text(old));
                with(Op::Replace, Content::Text(new));
            }
            (Some(old), None) => {
                with(Op::Test, Content::Text(old));
                with(Op::Remove, Content::Nothing);
            }
        }
    }

    /// Adds the parents of a field that are missing and not yet in `made`.
    fn make_parents(&self, field: Field, made: &mut Vec<Path>, take: &mut impl FnMut(Step<'_>)) {
        for path in field.parents().filter(|parent| !self.has(*parent)) {
            if !made.contains(&path) {
                made.push(path);
                take(Step { op: Op::Add, path, value: Content::Empty });
            }
        }
    }
}

/// The first operation of a patch that must not touch any other version of an object.
#[must_use]
pub fn only_version(resource_version: &str) -> PatchOperation {
    let path = PointerBuf::from_tokens(["metadata", "resourceVersion"]);
    PatchOperation::Test(TestOperation { path, value: resource_version.into() })
}

#[cfg(test)]
mod tests;
