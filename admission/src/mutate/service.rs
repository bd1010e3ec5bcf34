//! The mode that gives a Service its address: decided once, recorded on the Service, and kept until
//! its user names another. The module writes one field of the spec, the load balancer class, and never
//! changes Services of other load balancers.

mod limits;
mod record;
pub mod settings;

pub use self::settings::Settings;

use self::record::Record;
use super::Operation;
use super::fields::without_idle_edits;
use crate::patch::{Edit, Field};
use crate::snapshot::Snapshot;
use crate::verdict::{Outcome, Reason, Verdict, clipped};
use fastrak_api::balancer::{Decision, Ingress, Mode, ServiceView, SkipReason};
use fastrak_api::names;

/// A request that creates or changes a Service.
#[derive(Clone, Copy, Debug)]
pub struct ServiceRequest<'a> {
    /// The Service of the request.
    pub service: &'a ServiceView,
    /// The Service before an update.
    pub old: Option<&'a ServiceView>,
    /// The operation.
    pub operation: Operation,
}

/// A text that names no mode, or one that is not installed.
struct Unserved(String);

/// The modes of a Service that names none.
struct Fallback {
    /// Its mode, by its namespace or else by the settings.
    mode: Result<Mode, Unserved>,
    /// The mode of Services that their own mode cannot carry.
    alternative: Mode,
    /// Whether the inlets operator is installed, if it is known.
    inlets_operator: Option<bool>,
    settings: Settings,
}

/// The maximum length of a user's text in a message.
const QUOTED: usize = 24;

/// Decides about a Service.
#[must_use]
pub fn service(request: &ServiceRequest<'_>, snapshot: &Snapshot, settings: Settings) -> Verdict {
    let service = request.service;
    if let Some((reason, about)) = out_of_scope(service, snapshot) {
        return Verdict::untouched(reason).about(about);
    }
    let record = Record::of(request, settings);
    let verdict = if !service.is_load_balancer {
        without_load_balancer(service, record)
    } else if let Some(mark) = record.set_by_user(service) {
        skipped(service, record, SkipReason::UserManaged, mark)
    } else {
        let record = record.or_serving(service, settings);
        let fallback = Fallback::of(service, snapshot, settings);
        match chosen(service.choice.as_deref(), settings) {
            Err(Unserved(text)) => unserved(service, record, &text),
            Ok(choice) => match foreign(service, settings).filter(|_| record.decided().is_none()) {
                Some((reason, mark)) => skipped(service, record, reason, &mark),
                None => decided(request, choice, record, &fallback),
            },
        }
    };
    let verdict = match snapshot.inlets_operator {
        Some(false) => limits::remarked_absence(request, verdict),
        Some(true) | None => verdict,
    };
    let verdict = without_idle_edits(service, verdict);
    // The warning of an earlier decision was shown before.
    if matches!(verdict.outcome, Outcome::Patched(_)) { verdict.with_warning() } else { verdict }
}

fn out_of_scope<'a>(service: &'a ServiceView, snapshot: &Snapshot) -> Option<(Reason, &'a str)> {
    let namespace = service.namespace.as_str();
    let rules = [
        (service.opted_out || snapshot.is_opted_out(namespace), Reason::OptedOut, ""),
        (snapshot.is_system(namespace), Reason::SystemNamespace, namespace),
        (service.deleting, Reason::Deleting, ""),
    ];
    rules.into_iter().find_map(|(holds, reason, about)| holds.then_some((reason, about)))
}

/// Decides about a Service that is not a LoadBalancer. What fastrak wrote is removed, or the
/// operator keeps a machine that costs money.
fn without_load_balancer(service: &ServiceView, record: Record) -> Verdict {
    if service.decision.is_none() && !record.is_there() {
        return Verdict::untouched(Reason::NotLoadBalancer);
    }
    let mut edits = record.removed(service);
    edits.push(Edit::remove(Field::Annotation(names::BALANCER_DECISION)));
    Verdict::patched(Reason::NoLongerLoadBalancer, edits)
}

impl Fallback {
    fn of(service: &ServiceView, snapshot: &Snapshot, settings: Settings) -> Self {
        let namespace = snapshot.of_namespace(&service.namespace);
        let chosen = chosen(namespace.and_then(|info| info.balancer.as_deref()), settings);
        // The class is the Service's own request.
        let default = match settings.balancer.row().class {
            None if is_ours(service, settings) => Mode::Auto,
            Some(_) | None => settings.balancer,
        };
        let served = |mode: Mode| match settings.serves(mode) {
            true => Ok(mode),
            false => Err(Unserved(mode.to_string())),
        };
        let mode = chosen.and_then(|mode| served(mode.unwrap_or(default)));
        let alternative = match mode {
            Ok(Mode::Auto) => Mode::Auto,
            Ok(_) | Err(_) => served(settings.alternative).unwrap_or(Mode::None),
        };
        let inlets_operator = snapshot.inlets_operator;
        Self { mode, alternative, inlets_operator, settings }
    }

    /// Returns the mode that serves a Service of this mode: `auto` prefers inlets where its operator is
    /// installed, and keeps what has obtained an address.
    fn resolved(&self, mode: Mode, recorded: Option<Mode>, service: &ServiceView) -> Mode {
        let has_tunnel = recorded == Some(Mode::Inlets) && service.ingress != Ingress::Absent;
        let takes_inlets = recorded != Some(Mode::Auto)
            && (has_tunnel || self.inlets_operator == Some(true))
            && service.class.is_none()
            && service.unsupported(Mode::Inlets).is_none();
        if mode == Mode::Auto && takes_inlets { Mode::Inlets } else { mode }
    }

    /// Returns whether a default decision has obtained nothing, and the default is `auto` now.
    fn replaces(&self, recorded: Option<Mode>, service: &ServiceView) -> bool {
        let obtains_nothing = match recorded {
            Some(Mode::Inlets) => self.inlets_operator == Some(false),
            Some(Mode::None) => true,
            Some(Mode::Auto | Mode::AddressPool | Mode::NodeIp) | None => false,
        };
        obtains_nothing
            && matches!(self.mode, Ok(Mode::Auto))
            && service.ingress == Ingress::Absent
            && foreign(service, self.settings).is_none()
    }
}

/// Returns the mode that a choice names.
fn chosen(choice: Option<&str>, settings: Settings) -> Result<Option<Mode>, Unserved> {
    let mode = |text: &str| {
        let mode = Mode::parse(text).filter(|mode| settings.serves(*mode));
        mode.ok_or_else(|| Unserved(text.to_owned()))
    };
    choice.map(mode).transpose()
}

/// Returns whether the Service names the class of a mode that is installed.
fn is_ours(service: &ServiceView, settings: Settings) -> bool {
    let mut modes = Mode::ALL.into_iter().filter(|mode| settings.serves(*mode));
    service.class.is_some() && modes.any(|mode| mode.row().class == service.class.as_deref())
}

/// Returns why the Service is another load balancer's, with the mark that shows it. A mark that is
/// added after a decision does not remove an address that is in use. An address of another load
/// balancer does, because both would write the same status.
fn foreign(service: &ServiceView, settings: Settings) -> Option<(SkipReason, String)> {
    let address = match (service.ingress, service.has_external_ips) {
        // The inlets operator writes both.
        (Ingress::By(mode), _) if settings.serves(mode) => None,
        (Ingress::Unknown | Ingress::Foreign | Ingress::By(_), _) => {
            Some("status.loadBalancer".to_owned())
        }
        (Ingress::Absent, true) => Some("spec.externalIPs".to_owned()),
        (Ingress::Absent, false) => None,
    };
    let marks = [
        (SkipReason::Headless, service.headless.then(|| "spec.clusterIP".to_owned())),
        (SkipReason::ForeignClass, service.class.clone().filter(|_| !is_ours(service, settings))),
        (SkipReason::ForeignAddress, address),
        (SkipReason::ForeignMark, service.foreign_mark.clone()),
    ];
    marks.into_iter().find_map(|(reason, mark)| Some((reason, mark?)))
}

fn skipped(service: &ServiceView, record: Record, reason: SkipReason, about: &str) -> Verdict {
    let mut edits = record.skipped(service, reason);
    let decision = Decision::Skipped(reason).to_string();
    edits.push(Edit::set(Field::Annotation(names::BALANCER_DECISION), decision));
    Verdict::patched(Reason::skipped(reason), edits).about(about)
}

fn decided(
    request: &ServiceRequest<'_>,
    choice: Option<Mode>,
    record: Record,
    fallback: &Fallback,
) -> Verdict {
    let service = request.service;
    let recorded = record.decided();
    let kept = recorded
        .filter(|_| !must_decide_again(request, record) && !fallback.replaces(recorded, service));
    let mode = match (choice.or(kept), &fallback.mode) {
        (Some(mode), _) => mode,
        (None, Ok(mode)) => *mode,
        // The record ends here, and without one a foreign mark comes first.
        (None, Err(Unserved(text))) => {
            return match foreign(service, fallback.settings) {
                Some((reason, mark)) => skipped(service, record, reason, &mark),
                None => unserved(service, record, text),
            };
        }
    };
    let mode = fallback.resolved(mode, recorded, service);
    let is_taken = mode.gives_addresses() && service.ingress == Ingress::Foreign;
    if let Some((reason, mark)) = foreign(service, fallback.settings).filter(|_| is_taken) {
        return skipped(service, record, reason, &mark);
    }
    match service.unsupported(mode) {
        Some(what) if recorded != Some(mode) || !what.may_continue() => {
            let alternative = fallback.alternative;
            let verdict = served(request, alternative);
            if alternative.gives_addresses() {
                return verdict.remark(what.of_mode(mode));
            }
            Verdict { reason: Reason::unsupported(what), ..verdict.about(what.of_mode(mode)) }
        }
        Some(_) | None => limits::remarked(request, mode, served(request, mode)),
    }
}

/// Returns whether a recorded decision no longer stands, though no choice is written: the choice
/// that led to it was removed, or the Service no longer asks for what its mode could not carry.
fn must_decide_again(request: &ServiceRequest<'_>, record: Record) -> bool {
    let Some(old) = request.old else { return false };
    let now_carried = |mode: &Mode| {
        old.unsupported(*mode).is_some() && request.service.unsupported(*mode).is_none()
    };
    old.choice.is_some() || (record.was_none() && Mode::ALL.iter().any(now_carried))
}

fn served(request: &ServiceRequest<'_>, mode: Mode) -> Verdict {
    let record =
        Edit::set(Field::Annotation(names::BALANCER_DECISION), Decision::Served(mode).to_string());
    let has_none = request.service.class.is_none();
    let class = mode.row().class.filter(|_| has_none && is_class_mutable(request));
    let class = class.map(|class| Edit::set(Field::BalancerClass, class));
    let edits = record::annotations(mode).chain([record]).chain(class).collect();
    Verdict::patched(Reason::served(mode), edits).about(names::BALANCER)
}

/// Returns whether the API server lets the request set the class of the load balancer: only a request
/// that makes the Service a LoadBalancer may.
fn is_class_mutable(request: &ServiceRequest<'_>) -> bool {
    match (request.operation, request.old) {
        (Operation::Create, _) => true,
        (Operation::Update, old) => old.is_some_and(|old| !old.is_load_balancer),
        (Operation::Repair, _) => false,
    }
}

fn unserved(service: &ServiceView, record: Record, choice: &str) -> Verdict {
    let about = format!("{:?}", clipped(choice, QUOTED));
    skipped(service, record, SkipReason::UnsupportedMode, &about)
}

#[cfg(test)]
mod tests;
