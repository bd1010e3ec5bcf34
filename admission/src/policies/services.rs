//! The rules for Services as expressions: all that the webhook decides about them, since it decides by
//! the Service, its namespace and the settings alone. The words that go with a decision are not
//! here: a policy has no way to warn.

use super::cel::{edits, fill, map, text, texts};
use crate::mutate::service::Settings;
use fastrak_api::balancer::{Decision, EVERYBODY, FOREIGN_PREFIXES, MANAGED, Mode, SkipReason};
use fastrak_api::names::{self, inlets, kubernetes};

/// The annotations that the operator reads on a mode's Services.
fn operator_annotations(mode: Mode) -> Vec<(&'static str, String)> {
    MANAGED.into_iter().zip(mode.row().annotations.map(str::to_owned)).collect()
}

/// The same, with the record of the decision.
fn set(mode: Mode, decision: Decision) -> Vec<(&'static str, String)> {
    let mut all = operator_annotations(mode);
    all.push((names::BALANCER_DECISION, decision.to_string()));
    all
}

fn skipped(reason: SkipReason) -> String {
    text(&Decision::Skipped(reason).to_string())
}

/// The names that stand in the templates below.
fn names(settings: Settings) -> Vec<(&'static str, String)> {
    let served = |mode: Mode| map(&set(mode, Decision::Served(mode)));
    let withheld = Decision::Skipped(SkipReason::ForeignAddress);
    vec![
        ("wish", text(names::BALANCER)),
        ("decision", text(names::BALANCER_DECISION)),
        ("manages", texts(MANAGED)),
        ("served", texts(Mode::ALL.map(Mode::as_str))),
        ("operator", text(inlets::OPERATOR)),
        ("inlets", text(Mode::Inlets.as_str())),
        ("nobody", text(Mode::None.as_str())),
        ("told_inlets", map(&operator_annotations(Mode::Inlets))),
        ("told_nobody", map(&operator_annotations(Mode::None))),
        ("set_inlets", served(Mode::Inlets)),
        ("set_nobody", served(Mode::None)),
        ("set_withheld", map(&set(Mode::None, withheld))),
        ("default", text(settings.balancer.as_str())),
        ("alternative", text(settings.alternative.as_str())),
        ("prefixes", texts(FOREIGN_PREFIXES)),
        ("restricted", restricted("object")),
        ("was_restricted", restricted("oldObject")),
        ("beyond", beyond("object")),
        ("was_beyond", beyond("oldObject")),
        ("headless", skipped(SkipReason::Headless)),
        ("foreign_class", skipped(SkipReason::ForeignClass)),
        ("foreign_address", skipped(SkipReason::ForeignAddress)),
        ("foreign_mark", skipped(SkipReason::ForeignMark)),
        ("user_managed", skipped(SkipReason::UserManaged)),
        ("unserved", skipped(SkipReason::UnservedChoice)),
    ]
}

/// Returns whether the source ranges of a Service keep anybody out.
fn restricted(object: &str) -> String {
    let names = [
        ("object", object.to_owned()),
        ("annotation", text(kubernetes::SOURCE_RANGES)),
        ("everybody", text(EVERYBODY)),
    ];
    let template = "
(($object.spec.?loadBalancerSourceRanges.orValue([]).size() > 0
    && !($everybody in $object.spec.loadBalancerSourceRanges))
  || ($object.metadata.?annotations[?$annotation].orValue('').replace(',', '') != ''
    && !($everybody in $object.metadata.annotations[$annotation].split(','))))";
    fill(template, &names)
}

/// Returns whether inlets cannot do something else that a Service asks for.
fn beyond(object: &str) -> String {
    let names = [("object", object.to_owned()), ("control_port", inlets::CONTROL_PORT.to_string())];
    let template = "
($object.spec.?loadBalancerIP.orValue('') != ''
  || $object.spec.?ports.orValue([]).exists(port,
    port.?protocol.orValue('TCP') != 'TCP' || port.port == $control_port))";
    fill(template, &names)
}

/// Which Services are looked at: those that the webhook is shown.
const CONDITIONS: [(&str, &str); 1] = [(
    "wants-or-wanted-an-address",
    "
object.spec.?type.orValue('') == 'LoadBalancer'
|| (oldObject != null && oldObject.spec.?type.orValue('') == 'LoadBalancer')
|| $decision in object.metadata.?annotations.orValue({})",
)];

const VARIABLES: [(&str, &str); 24] = [
    ("annotations", "object.metadata.?annotations.orValue({})"),
    ("before", "oldObject == null ? {} : oldObject.metadata.?annotations.orValue({})"),
    // A client that does not know the record takes it off; the decision on the old object stands then.
    (
        "records",
        "
[variables.annotations, variables.before]
.map(all, string(all[?$decision].orValue('')))
.filter(record, record in $served)",
    ),
    ("recorded", "variables.records.size() > 0 ? variables.records[0] : ''"),
    (
        "withheld",
        "
// A foreign address ended the record, and the operator is kept away.
[variables.annotations, variables.before]
.exists(all, $set_withheld.all(key, string(all[?key].orValue('')) == $set_withheld[key]))",
    ),
    (
        "told",
        "
variables.records.map(record, record == $inlets ? $told_inlets : $told_nobody)
+ (variables.withheld ? [$told_nobody] : [])",
    ),
    (
        "userManaged",
        "
$manages.exists(key, key in variables.annotations
  && !variables.told.exists(told, told[key] == variables.annotations[key]))",
    ),
    ("hasIngress", "object.?status.?loadBalancer.?ingress.orValue([]).size() > 0"),
    (
        "tunnelled",
        "
// The inlets operator has given it its address.
variables.hasIngress && object.metadata.?managedFields.orValue([]).exists(entry,
  entry.?manager.orValue('') == $operator
  && entry.?fieldsV1[?'f:status'][?'f:loadBalancer'][?'f:ingress'].hasValue())",
    ),
    (
        "foreignIngress",
        "
// Another load balancer has given it its address. The operator writes each to spec.externalIPs too.
variables.hasIngress && !variables.tunnelled
&& object.metadata.?managedFields.orValue([]).exists(entry,
  entry.?fieldsV1[?'f:status'][?'f:loadBalancer'][?'f:ingress'].hasValue())
&& !object.status.loadBalancer.ingress.all(entry,
  has(entry.ip) && entry.ip in object.spec.?externalIPs.orValue([]))",
    ),
    (
        "serving",
        "
variables.recorded != '' ? variables.recorded
: variables.tunnelled && !($decision in variables.annotations) ? $inlets : ''",
    ),
    ("wish", "string(variables.annotations[?$wish].orValue(''))"),
    ("wishes", "$wish in variables.annotations"),
    (
        "marks",
        "
variables.annotations.map(key, key)
+ object.metadata.?labels.orValue({}).map(key, key)
+ object.metadata.?finalizers.orValue([])",
    ),
    (
        "foreign",
        "
object.spec.?clusterIP.orValue('') == 'None' ? $headless
: has(object.spec.loadBalancerClass) ? $foreign_class
: variables.hasIngress && !variables.tunnelled ? $foreign_address
: !variables.hasIngress && object.spec.?externalIPs.orValue([]).size() > 0 ? $foreign_address
: variables.marks.exists(key, $prefixes.exists(prefix, key.startsWith(prefix))) ? $foreign_mark
: ''",
    ),
    ("restricted", "$restricted"),
    ("beyondInlets", "variables.restricted || $beyond"),
    ("wasBeyondInlets", "oldObject != null && ($was_restricted || $was_beyond)"),
    (
        "kept",
        "
// A decision stands until the choice that led to it is taken off, or what inlets could not do is not
// asked for any more.
$wish in variables.before
|| (variables.before[?$decision].orValue('') == $nobody && variables.wasBeyondInlets && !variables.beyondInlets)
? '' : variables.serving",
    ),
    (
        "server",
        "
variables.wishes ? variables.wish
: variables.kept != '' ? variables.kept
: string(namespaceObject.metadata.?annotations[?$wish].orValue($default))",
    ),
    (
        "decision",
        "
object.spec.?type.orValue('') != 'LoadBalancer' ? ''
: variables.userManaged ? $user_managed
: variables.wishes && !(variables.wish in $served) ? $unserved
: variables.foreign != ''
  && (variables.serving == '' || !(variables.server in $served)
    || (variables.server == $inlets && variables.foreignIngress)) ? variables.foreign
: !(variables.server in $served) ? $unserved
// A tunnel that serves the other ports is not torn down for the one that it cannot carry. One that lets
// in whom the Service is to keep out is.
: variables.server == $inlets && variables.beyondInlets
  && (variables.serving != $inlets || variables.restricted) ? $alternative : variables.server",
    ),
    (
        "withholds",
        "
variables.decision == $foreign_address && (variables.withheld || variables.serving != '')",
    ),
    (
        "set",
        "
variables.decision == $inlets ? $set_inlets
: variables.decision == $nobody ? $set_nobody
: variables.decision == '' ? {}
: variables.withholds ? $set_withheld
: {$decision: variables.decision}",
    ),
    (
        "unset",
        "
// What we told the operator is taken back, or it keeps a machine that somebody pays for; what the
// user told it stays.
variables.decision in $served || variables.withholds ? []
: $manages.filter(key, key in variables.annotations
  && variables.told.exists(told, told[key] == variables.annotations[key]))
+ (variables.decision == '' ? [$decision] : [])",
    ),
];

/// The conditions under which a Service is looked at.
pub(super) fn conditions(settings: Settings) -> Vec<(&'static str, String)> {
    let names = names(settings);
    CONDITIONS.map(|(name, template)| (name, fill(template, &names))).into()
}

/// What is worked out about a Service.
pub(super) fn variables(settings: Settings) -> Vec<(&'static str, String)> {
    let names = names(settings);
    VARIABLES.map(|(name, template)| (name, fill(template, &names))).into()
}

/// What is done about it, as a list of operations.
pub(super) fn mutation() -> String {
    edits("annotations", "set", "unset")
}
