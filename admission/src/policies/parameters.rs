//! The parameters of the templates: the names and tables that the webhook's own rules use.

use super::template::{Parameter, Parameters};
use crate::mutate::service::Settings;
use fastrak_api::balancer::{Decision, EVERYBODY, FOREIGN_PREFIXES, MANAGED, Mode, SkipReason};
use fastrak_api::claim::PinnedBy;
use fastrak_api::names::{self, inlets, kubernetes};

/// The names of nodes that fit a label; the same grammar as `NodeName`'s.
const NODE_NAME: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";

/// The parameters of `claims.yaml`.
pub(super) fn claims(classes: &[String], namespace: &str) -> Parameters {
    let choices = [PinnedBy::OnlyNode, PinnedBy::Policy, PinnedBy::Sibling, PinnedBy::Scheduler];
    let mut all = scope(names::CLAIMS_HOOK, namespace);
    all.extend([
        ("node", text(names::NODE)),
        ("pinned_by", text(names::PINNED_BY)),
        ("selected_node", text(kubernetes::SELECTED_NODE)),
        ("storage_provisioner", text(kubernetes::STORAGE_PROVISIONER)),
        ("storage_provisioner_beta", text(kubernetes::STORAGE_PROVISIONER_BETA)),
        ("storage_class_beta", text(kubernetes::STORAGE_CLASS_BETA)),
        ("provisioner", text(names::PROVISIONER)),
        ("classes", Parameter::List(classes.to_vec())),
        ("default_class", text(names::CLASS_DEFAULT)),
        ("namespace_class", text(names::NAMESPACE_CLASS)),
        ("node_name", text(NODE_NAME)),
        ("pinned_by_all", list(PinnedBy::ALL.map(PinnedBy::as_str))),
        ("pinned_by_choice", list(choices.map(PinnedBy::as_str))),
        ("by_scheduler", text(PinnedBy::Scheduler.as_str())),
        ("by_user", text(PinnedBy::User.as_str())),
    ]);
    all
}

/// The parameters of `services.yaml`.
pub(super) fn services(settings: Settings, namespace: &str) -> Parameters {
    let mut all = scope(names::SERVICES_HOOK, namespace);
    all.extend([
        ("balancer", text(names::BALANCER)),
        ("decision", text(names::BALANCER_DECISION)),
        ("managed", list(MANAGED)),
        // The leader of the webhook gives the addresses of the other modes.
        ("modes", list([Mode::Inlets, Mode::None].map(Mode::as_str))),
        ("operator", text(inlets::OPERATOR)),
        ("inlets", text(Mode::Inlets.as_str())),
        ("none", text(Mode::None.as_str())),
        ("class", text(Mode::Class.as_str())),
        ("annotations_inlets", annotations(Mode::Inlets, None)),
        ("annotations_none", annotations(Mode::None, None)),
        ("set_inlets", annotations(Mode::Inlets, Some(Decision::Served(Mode::Inlets)))),
        ("set_none", annotations(Mode::None, Some(Decision::Served(Mode::None)))),
        // Written on a Service that loses its record to the address of another load balancer.
        ("set_withheld", annotations(Mode::None, Some(FOREIGN_ADDRESS))),
        ("default_mode", text(settings.balancer.as_str())),
        ("alternative_mode", text(settings.alternative.as_str())),
        ("foreign_prefixes", list(FOREIGN_PREFIXES)),
        ("source_ranges", text(kubernetes::SOURCE_RANGES)),
        ("requested_addresses", text(names::LOAD_BALANCER_IPS)),
        ("everybody", text(EVERYBODY)),
        ("control_port", Parameter::Number(inlets::CONTROL_PORT)),
        (
            "skipped",
            Parameter::List(SkipReason::ALL.iter().map(|reason| record(*reason)).collect()),
        ),
        ("headless", skipped(SkipReason::Headless)),
        ("foreign_class", skipped(SkipReason::ForeignClass)),
        ("foreign_address", skipped(SkipReason::ForeignAddress)),
        ("foreign_mark", skipped(SkipReason::ForeignMark)),
        ("user_managed", skipped(SkipReason::UserManaged)),
        ("unsupported_mode", skipped(SkipReason::UnsupportedMode)),
    ]);
    all
}

const FOREIGN_ADDRESS: Decision = Decision::Skipped(SkipReason::ForeignAddress);

/// The parameters that say which objects a policy is for.
fn scope(name: &str, namespace: &str) -> Parameters {
    let [system, leases] = kubernetes::SYSTEM_NAMESPACES;
    vec![
        ("name", text(name)),
        ("namespace_name", text(kubernetes::NAMESPACE_NAME)),
        ("system_namespace", text(system)),
        ("node_lease_namespace", text(leases)),
        ("namespace", text(namespace)),
        ("admission", text(names::ADMISSION)),
        ("disabled", text(names::ADMISSION_DISABLED)),
    ]
}

fn text(value: &str) -> Parameter {
    Parameter::Text(value.to_owned())
}

fn list<const N: usize>(values: [&str; N]) -> Parameter {
    Parameter::List(values.map(str::to_owned).into())
}

fn skipped(reason: SkipReason) -> Parameter {
    Parameter::Text(record(reason))
}

fn record(reason: SkipReason) -> String {
    Decision::Skipped(reason).to_string()
}

/// The annotations that a mode writes, with the record of a decision.
fn annotations(mode: Mode, decision: Option<Decision>) -> Parameter {
    let values = MANAGED.into_iter().zip(mode.row().annotations.map(str::to_owned));
    let record = decision.map(|decision| (names::BALANCER_DECISION, decision.to_string()));
    Parameter::Map(values.chain(record).collect())
}
