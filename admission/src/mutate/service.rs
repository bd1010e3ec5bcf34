//! The mode that gives a Service its address: decided once, recorded on the Service, and kept until
//! its user names another. The module writes one field of the spec, the load balancer class, and never
//! changes Services of other load balancers.

mod choice;
mod class;
mod limits;
mod record;
pub mod settings;

pub use self::settings::Settings;

use self::choice::{Fallback, Unserved, chosen};
use self::record::Record;
use super::Operation;
use super::fields::without_idle_edits;
use crate::patch::{Edit, Field};
use crate::snapshot::Snapshot;
use crate::verdict::{Outcome, Reason, Verdict, clipped};
use fastrak_api::balancer::{Choice, Decision, Ingress, Mode, ServiceView, SkipReason};
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
            Ok(choice) => {
                let wanted = choice.or(fallback.choice.as_ref().ok().copied());
                let foreign = foreign(service, wanted, settings);
                match foreign.filter(|_| record.decided().is_none()) {
                    Some((reason, mark)) => {
                        let verdict = skipped(service, record, reason, &mark);
                        class::remarked_if_closed(request, choice, verdict)
                    }
                    None => decided(request, choice, record, &fallback),
                }
            }
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
    if service.decision.is_none() && !record.exists() {
        return Verdict::untouched(Reason::NotLoadBalancer);
    }
    let mut edits = record.removed(service);
    edits.push(Edit::remove(Field::Annotation(names::BALANCER_DECISION)));
    Verdict::patched(Reason::NoLongerLoadBalancer, edits)
}

/// Returns whether the Service names the class of a mode that is installed.
fn is_ours(service: &ServiceView, settings: Settings) -> bool {
    let mut modes = Mode::ALL.into_iter().filter(|mode| settings.serves(*mode));
    service.class.is_some() && modes.any(|mode| mode.row().class == service.class.as_deref())
}

/// Returns why the Service is another load balancer's, with the mark that shows it. A mark that is
/// added after a decision does not remove an address that is in use. An address of another load
/// balancer does, because both would write the same status. A Service for which a class is chosen may
/// have the class and the marks of that load balancer.
fn foreign(
    service: &ServiceView,
    choice: Option<Choice<'_>>,
    settings: Settings,
) -> Option<(SkipReason, String)> {
    let chosen = choice.filter(|choice| choice.mode == Mode::Class);
    let is_chosen = |class: &String| chosen.is_some_and(|one| one.class == Some(class.as_str()));
    let class = service.class.clone().filter(|_| !is_ours(service, settings));
    let mark = service.foreign_mark.clone().filter(|_| chosen.is_none());
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
        (SkipReason::ForeignClass, class.filter(|class| !is_chosen(class))),
        (SkipReason::ForeignAddress, address),
        (SkipReason::ForeignMark, mark),
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
    choice: Option<Choice<'_>>,
    record: Record,
    fallback: &Fallback<'_>,
) -> Verdict {
    let (service, settings) = (request.service, fallback.settings);
    let recorded = record.decided();
    let kept = recorded
        .filter(|_| !must_decide_again(request, record) && !fallback.replaces(recorded, service));
    let choice = match (choice.or(kept.map(Choice::of)), &fallback.choice) {
        (Some(choice), _) => choice,
        (None, Ok(choice)) => *choice,
        // The record ends here, and without one a foreign mark comes first.
        (None, Err(Unserved(text))) => {
            return match foreign(service, None, settings) {
                Some((reason, mark)) => skipped(service, record, reason, &mark),
                None => unserved(service, record, text),
            };
        }
    };
    if let Some(mode) = class::fixed(request, choice, recorded) {
        let verdict = carried(request, Choice::of(mode), record, fallback);
        return class::remarked(request, verdict);
    }
    carried(request, fallback.resolved(choice, recorded, service), record, fallback)
}

/// Serves a Service by a mode if the mode can carry it and no other load balancer has given it an
/// address.
fn carried(
    request: &ServiceRequest<'_>,
    choice: Choice<'_>,
    record: Record,
    fallback: &Fallback<'_>,
) -> Verdict {
    let (service, mode, recorded) = (request.service, choice.mode, record.decided());
    let is_taken = mode.gives_addresses() && service.ingress == Ingress::Foreign;
    if let Some((reason, mark)) = foreign(service, None, fallback.settings).filter(|_| is_taken) {
        return skipped(service, record, reason, &mark);
    }
    match service.unsupported(mode) {
        Some(what) if recorded != Some(mode) || !what.may_continue() => {
            let alternative = fallback.alternative;
            let verdict = served(request, Choice::of(alternative));
            if alternative.gives_addresses() {
                return verdict.remark(what.of_mode(mode));
            }
            Verdict { reason: Reason::unsupported(what), ..verdict.about(what.of_mode(mode)) }
        }
        Some(_) | None => limits::remarked(request, mode, served(request, choice)),
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

fn served(request: &ServiceRequest<'_>, Choice { mode, class }: Choice<'_>) -> Verdict {
    let record =
        Edit::set(Field::Annotation(names::BALANCER_DECISION), Decision::Served(mode).to_string());
    let edit = class.filter(|_| class::is_open(request));
    let edit = edit.map(|class| Edit::set(Field::BalancerClass, class));
    let edits = record::annotations(mode).chain([record]).chain(edit).collect();
    let about = class.filter(|_| mode == Mode::Class).unwrap_or(names::BALANCER);
    Verdict::patched(Reason::served(mode), edits).about(about)
}

fn unserved(service: &ServiceView, record: Record, choice: &str) -> Verdict {
    let about = format!("{:?}", clipped(choice, QUOTED));
    let verdict = skipped(service, record, SkipReason::UnsupportedMode, &about);
    match Choice::parse(choice) {
        Some(Choice { mode, .. }) => {
            Verdict { reason: Reason::ModeNotInstalled, ..verdict.about(mode.as_str()) }
        }
        None => verdict,
    }
}

#[cfg(test)]
mod tests;
