//! The rules for claims as expressions: the class of a claim that names none, the node that its user
//! or the scheduler chose, and a choice that was taken back. What takes knowledge of the cluster is
//! left to the webhook: classes, nodes, and the key of a node whose name is longer than a label.
//!
//! The webhook, which is asked next, looks at what is written here as if the user had written it.
//! So nothing is written that it would refuse, or take for another's word: a pin that an update
//! brings is left to it, and so is a selected node that a claim is made with.

use super::cel::{edits, fill, text, texts};
use fastrak_api::claim::PinnedBy;
use fastrak_api::names::{self, kubernetes};

/// What a label can hold of the names of nodes; the same grammar as `NodeName`'s.
const NODE_NAME: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";

/// The names that stand in the templates below.
fn names(classes: &[String]) -> Vec<(&'static str, String)> {
    let choices = [PinnedBy::OnlyNode, PinnedBy::Policy, PinnedBy::Sibling, PinnedBy::Scheduler];
    vec![
        ("node", text(names::NODE)),
        ("pinned_by", text(names::PINNED_BY)),
        ("selected", text(kubernetes::SELECTED_NODE)),
        ("provision_by", text(kubernetes::STORAGE_PROVISIONER)),
        ("provision_beta", text(kubernetes::STORAGE_PROVISIONER_BETA)),
        ("class_beta", text(kubernetes::STORAGE_CLASS_BETA)),
        ("us", text(names::PROVISIONER)),
        ("classes", texts(classes.iter().map(String::as_str))),
        ("default", text(names::CLASS_DEFAULT)),
        ("space_class", text(names::NAMESPACE_CLASS)),
        ("grammar", text(NODE_NAME)),
        ("whys", texts(PinnedBy::ALL.map(PinnedBy::as_str))),
        ("choices", texts(choices.map(PinnedBy::as_str))),
        ("scheduler", text(PinnedBy::Scheduler.as_str())),
        ("user", text(PinnedBy::User.as_str())),
    ]
}

/// Which claims are looked at: those that the webhook is shown, of the classes that are named.
const CONDITIONS: [(&str, &str); 4] = [
    ("not-bound", "object.spec.?volumeName.orValue('') == ''"),
    (
        "class-of-ours",
        "object.spec.?storageClassName.orValue(oldObject == null ? $default : '') in $classes",
    ),
    ("no-beta-class", "!($class_beta in object.metadata.?annotations.orValue({}))"),
    (
        "new-or-node-changed",
        "
oldObject == null
|| object.spec.?storageClassName != oldObject.spec.?storageClassName
|| object.metadata.?annotations[?$selected] != oldObject.metadata.?annotations[?$selected]
|| object.metadata.?annotations[?$node] != oldObject.metadata.?annotations[?$node]
|| object.metadata.?annotations[?$pinned_by] != oldObject.metadata.?annotations[?$pinned_by]
|| object.metadata.?labels[?$node] != oldObject.metadata.?labels[?$node]
|| ($selected in object.metadata.?annotations.orValue({})
  && !($node in object.metadata.?labels.orValue({})))",
    ),
];

const VARIABLES: [(&str, &str); 16] = [
    ("annotations", "object.metadata.?annotations.orValue({})"),
    ("labels", "object.metadata.?labels.orValue({})"),
    ("class", "object.spec.?storageClassName.orValue($default)"),
    (
        "classOfNamespace",
        "
// Whether the claim's own class was chosen or filled in is for the webhook to tell.
oldObject == null
&& namespaceObject.metadata.?annotations[?$space_class].orValue(variables.class) != variables.class",
    ),
    ("pin", "string(variables.annotations[?$node].orValue(''))"),
    ("told", "string(variables.annotations[?$selected].orValue(''))"),
    ("pinFits", "variables.pin.size() <= 63 && variables.pin.matches($grammar)"),
    ("toldFits", "variables.told.size() <= 63 && variables.told.matches($grammar)"),
    (
        "brings",
        "
oldObject == null
|| oldObject.metadata.?annotations[?$node] != object.metadata.?annotations[?$node]",
    ),
    (
        "recorded",
        "
// A pin that has just been brought is its user's, whatever was recorded for the one before, unless
// the label came with it.
variables.brings && !(variables.pinFits
  ? variables.labels[?$node] == optional.of(variables.pin)
  : variables.pin.size() <= 63 && !($node in variables.labels))
|| !(variables.annotations[?$pinned_by].orValue('') in $whys)
? '' : string(variables.annotations[$pinned_by])",
    ),
    (
        "restored",
        "
// A pin that a backup has kept. Whether its node still serves is for the webhook to tell.
oldObject == null
&& $node in variables.annotations
&& variables.annotations[?$pinned_by].orValue('') in $choices
&& variables.labels[?$node].orValue(variables.pin) == variables.pin",
    ),
    (
        "doing",
        "
variables.classOfNamespace || variables.restored ? 'leave'
: $selected in variables.annotations ? (
  !variables.toldFits ? 'leave'
  : oldObject != null ? (
    oldObject.metadata.?annotations[?$selected] == optional.of(variables.told) ? 'mark' : 'follow')
  : variables.told == variables.pin ? 'start' : 'leave')
: !($node in variables.annotations) ? 'clean'
// It only repeats what the scheduler said and has since taken back.
: oldObject != null && variables.recorded == $scheduler ? 'clean'
: !variables.pinFits ? 'leave'
: oldObject == null ? 'start'
: variables.brings ? 'leave'
// Whoever has taken the node away means the claim to be looked at again.
: $selected in oldObject.metadata.?annotations.orValue({}) ? 'mark' : 'start'",
    ),
    ("at", "$selected in variables.annotations ? variables.told : variables.pin"),
    (
        "why",
        "
oldObject != null && $selected in variables.annotations
? (variables.told == variables.pin && variables.recorded != '' ? variables.recorded : $scheduler)
: (variables.recorded in ['', $scheduler] ? $user : variables.recorded)",
    ),
    (
        "set",
        "
variables.doing == 'start' ? {
  $node: variables.at,
  $pinned_by: variables.why,
  $selected: variables.at,
  $provision_by: $us,
  $provision_beta: $us
}
: variables.doing == 'follow' ? {
  $node: variables.at,
  $pinned_by: variables.why,
  $provision_by: $us,
  $provision_beta: $us
}
: variables.doing == 'mark' ? {$node: variables.at, $pinned_by: variables.why}
: {}",
    ),
    ("unset", "variables.doing == 'clean' ? [$node, $pinned_by] : []"),
];

const LABELS: [(&str, &str); 2] = [
    ("setLabels", "variables.doing in ['start', 'follow', 'mark'] ? {$node: variables.at} : {}"),
    ("unsetLabels", "variables.doing == 'clean' ? [$node] : []"),
];

/// The class is given on creation alone: the spec of a claim is not for its updater.
const CLASS: &str = "
(oldObject != null || has(object.spec.storageClassName) || variables.classOfNamespace ? [] : [
  JSONPatch{op: 'add', path: '/spec/storageClassName', value: $default}
])";

/// The conditions under which a claim is looked at.
pub(super) fn conditions(classes: &[String]) -> Vec<(&'static str, String)> {
    let names = names(classes);
    CONDITIONS.map(|(name, template)| (name, fill(template, &names))).into()
}

/// What is worked out about a claim.
pub(super) fn variables(classes: &[String]) -> Vec<(&'static str, String)> {
    let names = names(classes);
    let all = VARIABLES.into_iter().chain(LABELS);
    all.map(|(name, template)| (name, fill(template, &names))).collect()
}

/// What is done about it, as a list of operations.
pub(super) fn mutation() -> String {
    let class = fill(CLASS, &names(&[]));
    let annotations = edits("annotations", "set", "unset");
    let labels = edits("labels", "setLabels", "unsetLabels");
    [class, annotations, labels].join("\n+ ")
}
