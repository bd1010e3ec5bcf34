//! The PersistentVolumes that a claim can still get: those that are free, and those that are
//! reserved for a claim that is not bound yet. All others are dropped when they are read: a cluster
//! may have very many, and nearly all of them are bound.

use super::node::Labels;
use fastrak_api::claim::{Claim, Expression};
use fastrak_api::names::{self, kubernetes};
use fastrak_api::object::{Mapping, Metadata, Text};
use fastrak_api::selector::Requirement;
use fastrak_api::size::Bytes;
use serde::Deserialize;
use smol_str::SmolStr;

/// The maximum size of a volume's labels. Larger ones are not kept.
const MAX_LABELS: usize = 2048;

/// A PersistentVolume that a claim can get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeInfo {
    /// Its class; empty if it has none.
    pub class: SmolStr,
    /// Its capacity.
    pub capacity: Bytes,
    /// Its access modes.
    pub modes: AccessModes,
    /// True if it is a raw block device.
    pub block: bool,
    /// Its VolumeAttributesClass.
    pub attributes_class: Option<Box<str>>,
    /// The claim that it is reserved for.
    pub reservation: Option<Box<Reservation>>,
    /// The nodes that can reach it: those that meet all requirements of any of these terms. None
    /// allows every node.
    affinity: Option<Box<[Term]>>,
    /// Its labels. None if they are too large to be kept.
    labels: Option<Box<[Label]>>,
}

/// Requirements on the labels of a node.
type Term = Box<[Requirement]>;

/// The key and the value of a label.
type Label = (Box<str>, Box<str>);

/// Access modes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccessModes(u8);

/// The claim that a volume is reserved for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// Its namespace.
    pub namespace: SmolStr,
    /// Its name.
    pub name: SmolStr,
    /// Its uid; empty if any claim of that name may have the volume.
    pub uid: SmolStr,
}

/// The parts of a PersistentVolume.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct PartialVolume<'a> {
    #[serde(borrow)]
    /// Its metadata.
    pub metadata: Metadata<'a>,
    #[serde(borrow)]
    spec: Spec<'a>,
    #[serde(borrow)]
    status: Status<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec<'a> {
    #[serde(borrow)]
    storage_class_name: Option<Text<'a>>,
    #[serde(borrow)]
    capacity: Capacity<'a>,
    #[serde(borrow)]
    access_modes: Option<Vec<Text<'a>>>,
    #[serde(borrow)]
    volume_mode: Option<Text<'a>>,
    #[serde(borrow)]
    volume_attributes_class_name: Option<Text<'a>>,
    #[serde(borrow)]
    claim_ref: Option<Mapping<ClaimRef<'a>>>,
    #[serde(borrow)]
    node_affinity: Option<Affinity<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Capacity<'a> {
    #[serde(borrow)]
    storage: Option<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ClaimRef<'a> {
    #[serde(borrow)]
    namespace: Text<'a>,
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    uid: Option<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Affinity<'a> {
    #[serde(borrow)]
    required: Option<NodeSelector<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct NodeSelector<'a> {
    #[serde(borrow)]
    node_selector_terms: Option<Vec<NodeSelectorTerm<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct NodeSelectorTerm<'a> {
    #[serde(borrow)]
    match_expressions: Option<Vec<Expression<'a>>>,
    #[serde(borrow)]
    match_fields: Option<Vec<Expression<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Status<'a> {
    #[serde(borrow)]
    phase: Option<Text<'a>>,
}

impl PartialVolume<'_> {
    /// Returns the volume as it is kept. None if no claim can get it.
    pub fn info(&self) -> Option<VolumeInfo> {
        let reservation = self.spec.claim_ref.as_ref().map(|Mapping(claim)| Reservation {
            namespace: claim.namespace.as_str().into(),
            name: claim.name.as_str().into(),
            uid: claim.uid.as_deref().unwrap_or_default().into(),
        });
        if self.metadata.deletion_timestamp.is_some()
            || reservation.as_ref().is_some_and(|reservation| self.is_taken(reservation))
        {
            return None;
        }
        let spec = &self.spec;
        let text = |text: &Option<Text<'_>>| text.as_deref().unwrap_or_default().to_owned();
        let beta = self.metadata.annotation(kubernetes::STORAGE_CLASS_BETA);
        let attributes = text(&spec.volume_attributes_class_name);
        Some(VolumeInfo {
            class: beta.or(spec.storage_class_name.as_deref()).unwrap_or_default().into(),
            capacity: Bytes::parse(&text(&spec.capacity.storage)).unwrap_or_default(),
            modes: AccessModes::of(spec.access_modes.iter().flatten().map(Text::as_str)).0,
            block: spec.volume_mode.as_deref() == Some("Block"),
            attributes_class: (!attributes.is_empty()).then(|| attributes.into()),
            reservation: reservation.map(Box::new),
            affinity: spec.affinity(),
            labels: self.labels(),
        })
    }

    /// Returns whether its claim is bound or gone, or is being provisioned. A provisioner names a
    /// volume after its claim: such a volume would be kept until it is bound a moment later, and
    /// every object would be decided again because of it.
    fn is_taken(&self, by: &Reservation) -> bool {
        if by.uid.is_empty() {
            return false;
        }
        let name = self.metadata.name.as_deref().unwrap_or_default();
        let named_after = name.strip_prefix(names::VOLUME_NAME_PREFIX) == Some(by.uid.as_str());
        let phase = self.status.phase.as_deref().unwrap_or_default();
        named_after || !matches!(phase, "" | "Pending" | "Available")
    }

    fn labels(&self) -> Option<Box<[Label]>> {
        let labels = || self.metadata.labels.iter().flat_map(|labels| labels.iter());
        let size = labels().map(|(key, value)| key.len() + value.len()).sum::<usize>();
        (size <= MAX_LABELS)
            .then(|| labels().map(|(key, value)| (key.into(), value.into())).collect())
    }
}

impl Spec<'_> {
    /// Returns the terms that can match a node. One with an unknown operator matches none, as does
    /// one that is empty. Fields of nodes are not compared: Kubernetes uses only labels here.
    fn affinity(&self) -> Option<Box<[Term]>> {
        let required = self.node_affinity.as_ref()?.required.as_ref()?;
        let terms = required.node_selector_terms.iter().flatten().filter_map(|term| {
            let fields = term.match_fields.iter().flatten().count();
            let expressions = term.match_expressions.iter().flatten();
            let all = expressions.map(Expression::requirement).collect::<Option<Term>>()?;
            (!all.is_empty() || fields > 0).then_some(all)
        });
        Some(terms.collect())
    }
}

impl AccessModes {
    /// Returns the modes, and whether all of them are known.
    fn of<'a>(modes: impl Iterator<Item = &'a str>) -> (Self, bool) {
        modes.fold((Self::default(), true), |(Self(all), known), mode| match mode {
            "ReadWriteOnce" => (Self(all | 1), known),
            "ReadOnlyMany" => (Self(all | 2), known),
            "ReadWriteMany" => (Self(all | 4), known),
            "ReadWriteOncePod" => (Self(all | 8), known),
            _ => (Self(all), false),
        })
    }

    /// Returns the modes that a claim requests. None if one of them is unknown.
    #[must_use]
    pub fn of_claim(claim: &Claim) -> Option<Self> {
        let (modes, known) = Self::of(claim.access_modes.iter().map(String::as_str));
        known.then_some(modes)
    }

    /// Returns whether all of the other modes are among these.
    #[must_use]
    pub const fn include(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Returns how many there are.
    #[must_use]
    pub const fn count(self) -> u32 {
        self.0.count_ones()
    }
}

impl Reservation {
    /// Returns whether it is for this claim. A claim that is being created has no uid yet.
    #[must_use]
    pub fn is_for(&self, claim: &Claim) -> bool {
        let named = self.namespace == claim.namespace && self.name == claim.name;
        named && (self.uid.is_empty() || claim.uid.as_deref() == Some(self.uid.as_str()))
    }
}

impl VolumeInfo {
    /// Returns whether a node with these labels can reach it.
    #[must_use]
    pub fn allows(&self, labels: &Labels) -> bool {
        let holds = |requirement: &Requirement| {
            requirement.holds(labels.get(&*requirement.key).map(String::as_str))
        };
        self.affinity
            .as_ref()
            .is_none_or(|terms| terms.iter().any(|requirements| requirements.iter().all(holds)))
    }

    /// Returns whether a claim selects it. If the labels of the volume or the selector of the claim
    /// are too large to keep, it counts as selected: no agent creates a volume for a claim with a
    /// selector, so only an existing one can be meant.
    #[must_use]
    pub fn is_selected_by(&self, claim: &Claim) -> bool {
        let (Some(selector), Some(labels)) = (&claim.selector, &self.labels) else { return true };
        let value =
            |key: &str| labels.iter().find(|(known, _)| **known == *key).map(|(_, value)| &**value);
        selector.iter().all(|requirement| requirement.holds(value(&requirement.key)))
    }
}

#[cfg(test)]
mod tests;
