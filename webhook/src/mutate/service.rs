//! Who is to give a Service its address: decided once, recorded on the Service, and kept until its
//! user says otherwise. It never writes a field of the spec, and it leaves alone what is another
//! load balancer's.

mod settings;

pub use self::settings::{Alternative, Balancer, Settings};

use crate::facts::Facts;
use crate::patch::{Edit, Field};
use crate::verdict::{Outcome, Reason, Verdict, clipped};
use fastrak_api::balancer::{Choice, Decision, ServiceView, SkipReason};
use fastrak_api::names::{self, inlets};

/// A Service, and what is happening to it.
#[derive(Clone, Copy, Debug)]
pub struct ServiceAsk<'a> {
    /// The Service as it is to be.
    pub service: &'a ServiceView,
    /// The Service as it was before an update.
    pub old: Option<&'a ServiceView>,
}

/// Who serves a Service, of those that this version can ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Server {
    Inlets,
    Nobody,
}

/// The Service asks for what this version cannot ask for, or for what is nothing.
struct Unserved;

/// How much of a user's text a message repeats.
const QUOTED: usize = 24;

/// Decides about a Service.
#[must_use]
pub fn service(ask: &ServiceAsk<'_>, facts: &Facts, settings: Settings) -> Verdict {
    let service = ask.service;
    if let Some(reason) = beyond_scope(service, facts) {
        return Verdict::untouched(reason);
    }
    let recorded = service.decision().and_then(Server::recorded);
    let verdict = if !service.is_load_balancer {
        given_up(service, recorded)
    } else if let Some(mark) = own_manage(service, recorded) {
        skipped(service, recorded, SkipReason::UserManaged, mark)
    } else {
        match asked(service) {
            Err(Unserved) => unserved(service, recorded),
            Ok(choice) => match foreign(service).filter(|_| recorded.is_none()) {
                Some((reason, mark)) => skipped(service, recorded, reason, &mark),
                None => decided(ask, choice, recorded, settings),
            },
        }
    };
    without_idle_edits(service, verdict)
}

fn beyond_scope(service: &ServiceView, facts: &Facts) -> Option<Reason> {
    let rules = [
        (service.opted_out, Reason::OptedOut),
        (facts.is_system(&service.namespace), Reason::SystemNamespace),
        (service.deleting, Reason::Deleting),
    ];
    rules.into_iter().find_map(|(holds, reason)| holds.then_some(reason))
}

/// The Service wants no address. What was asked for it is taken back, or the operator keeps a
/// machine that somebody pays for.
fn given_up(service: &ServiceView, recorded: Option<Server>) -> Verdict {
    if service.decision.is_none() {
        return Verdict::untouched(Reason::NotLoadBalancer);
    }
    let mut edits = taken_back(service, recorded);
    edits.push(Edit::remove(Field::Annotation(names::BALANCER_DECISION)));
    Verdict::patched(Reason::GivenUp, edits)
}

/// What the Service asks for, if this version can ask for it.
fn asked(service: &ServiceView) -> Result<Option<Server>, Unserved> {
    match service.choice() {
        Ok(None) => Ok(None),
        Ok(Some(Choice::Inlets)) => Ok(Some(Server::Inlets)),
        Ok(Some(Choice::None)) => Ok(Some(Server::Nobody)),
        Ok(Some(Choice::NodeIp | Choice::IpAlias | Choice::Class(_))) | Err(_) => Err(Unserved),
    }
}

/// Why the Service is someone else's, with the mark by which that is seen. It is asked only where
/// nothing has been decided: afterwards the addresses are the operator's own work, and a mark that
/// comes later does not make a machine go away that is in use.
fn foreign(service: &ServiceView) -> Option<(SkipReason, String)> {
    let finalizer = service.has_foreign_finalizer.then(|| "a finalizer".to_owned());
    let address = match (service.has_ingress, service.has_external_ips) {
        (true, _) => Some("status.loadBalancer".to_owned()),
        (false, true) => Some("spec.externalIPs".to_owned()),
        (false, false) => None,
    };
    let marks = [
        (SkipReason::Headless, service.headless.then(|| "spec.clusterIP".to_owned())),
        (SkipReason::ForeignClass, service.class.clone()),
        (SkipReason::ForeignAddress, address),
        (SkipReason::ForeignMark, service.foreign_annotation.clone().or(finalizer)),
    ];
    marks.into_iter().find_map(|(reason, mark)| Some((reason, mark?)))
}

/// The annotation by which the Service's user, and not we, tells the operator what to do.
fn own_manage(service: &ServiceView, recorded: Option<Server>) -> Option<&'static str> {
    let ours = recorded.map(Server::manage);
    let foreign = |value: &Option<String>, ours: Option<&str>| {
        value.as_deref().is_some_and(|value| Some(value) != ours)
    };
    if foreign(&service.manage.0, ours.map(|(current, _)| current)) {
        return Some(inlets::MANAGE);
    }
    foreign(&service.manage.1, ours.map(|(_, legacy)| legacy)).then_some(inlets::MANAGE_LEGACY)
}

fn skipped(
    service: &ServiceView,
    recorded: Option<Server>,
    reason: SkipReason,
    mark: &str,
) -> Verdict {
    let mut edits = taken_back(service, recorded);
    let decision = Decision::Skipped(reason).to_string();
    edits.push(Edit::set(Field::Annotation(names::BALANCER_DECISION), decision.as_str()));
    let verdict = Verdict::patched(reason_of(reason), edits);
    match &service.choice {
        Some(choice) if service.decision.as_ref() != Some(&decision) => {
            let (choice, mark) = (clipped(choice, QUOTED), clipped(mark, QUOTED));
            verdict.warn(&format!("{} {choice:?} is not followed: {mark} is set", names::BALANCER))
        }
        _ => verdict,
    }
}

fn decided(
    ask: &ServiceAsk<'_>,
    choice: Option<Server>,
    recorded: Option<Server>,
    settings: Settings,
) -> Verdict {
    let service = ask.service;
    let kept = recorded.filter(|server| !is_to_be_redecided(ask, *server));
    let server = choice.or(kept).unwrap_or(settings.balancer.server());
    let beyond = service.beyond_inlets().filter(|_| server == Server::Inlets);
    let Some(problem) = beyond else { return served(server) };
    // A tunnel that serves the other ports is not torn down for the one that it cannot carry.
    let server = match recorded {
        Some(Server::Inlets) => Server::Inlets,
        _ => settings.alternative.server(),
    };
    let verdict = served(server);
    let told = ask.old.is_some_and(|old| old.beyond_inlets() == service.beyond_inlets());
    if told {
        return verdict;
    }
    let instead = if server == Server::Nobody { ": nobody serves this Service" } else { "" };
    verdict.warn(&format!("{problem}, which inlets cannot carry{instead}"))
}

/// Whether a recorded decision no longer stands, though no choice is written: the choice that led
/// to it has been taken off, or the port that inlets could not carry is gone.
fn is_to_be_redecided(ask: &ServiceAsk<'_>, recorded: Server) -> bool {
    let Some(old) = ask.old else { return false };
    let carried_now = old.beyond_inlets().is_some() && ask.service.beyond_inlets().is_none();
    old.choice.is_some() || (recorded == Server::Nobody && carried_now)
}

fn served(server: Server) -> Verdict {
    let (current, legacy) = server.manage();
    let edits = vec![
        Edit::set(Field::Annotation(inlets::MANAGE), current),
        Edit::set(Field::Annotation(inlets::MANAGE_LEGACY), legacy),
        Edit::set(Field::Annotation(names::BALANCER_DECISION), server.decision().to_string()),
    ];
    let reason = match server {
        Server::Inlets => Reason::Inlets,
        Server::Nobody => Reason::NoBalancer,
    };
    Verdict::patched(reason, edits)
}

fn unserved(service: &ServiceView, recorded: Option<Server>) -> Verdict {
    let mut edits = taken_back(service, recorded);
    let decision = Decision::Skipped(SkipReason::UnservedChoice).to_string();
    edits.push(Edit::set(Field::Annotation(names::BALANCER_DECISION), decision.as_str()));
    let verdict = Verdict::patched(Reason::UnservedChoice, edits);
    if service.decision.as_ref() == Some(&decision) {
        return verdict;
    }
    let choice = clipped(service.choice.as_deref().unwrap_or_default(), QUOTED);
    let text = "is not served; this version serves: inlets, none";
    verdict.warn(&format!("{} {choice:?} {text}", names::BALANCER))
}

/// What we told the operator is taken back; what the user told it stays.
fn taken_back(service: &ServiceView, recorded: Option<Server>) -> Vec<Edit> {
    let Some(server) = recorded else { return Vec::new() };
    let (current, legacy) = server.manage();
    let pairs = [
        (&service.manage.0, current, inlets::MANAGE),
        (&service.manage.1, legacy, inlets::MANAGE_LEGACY),
    ];
    let ours = pairs.into_iter().filter(|(value, ours, _)| value.as_deref() == Some(*ours));
    ours.map(|(_, _, key)| Edit::remove(Field::Annotation(key))).collect()
}

fn without_idle_edits(service: &ServiceView, mut verdict: Verdict) -> Verdict {
    if let Outcome::Patched(edits) = verdict.outcome {
        let changes = |edit: &Edit| edit.value.as_deref() != value(service, edit.field);
        let edits = edits.into_iter().filter(changes).collect();
        verdict.outcome = Verdict::patched(verdict.reason, edits).outcome;
    }
    verdict
}

fn value(service: &ServiceView, field: Field) -> Option<&str> {
    match field {
        Field::Annotation(inlets::MANAGE) => service.manage.0.as_deref(),
        Field::Annotation(inlets::MANAGE_LEGACY) => service.manage.1.as_deref(),
        Field::Annotation(names::BALANCER_DECISION) => service.decision.as_deref(),
        Field::Annotation(_) | Field::Label(_) | Field::ClassName => None,
    }
}

impl Server {
    fn recorded(decision: Decision) -> Option<Self> {
        match decision {
            Decision::Inlets => Some(Self::Inlets),
            Decision::None => Some(Self::Nobody),
            Decision::Skipped(_) => None,
        }
    }

    /// What the operator is told: current ones, and those of 0.16 and earlier.
    const fn manage(self) -> (&'static str, &'static str) {
        match self {
            Self::Inlets => ("1", "true"),
            Self::Nobody => ("0", "false"),
        }
    }

    const fn decision(self) -> Decision {
        match self {
            Self::Inlets => Decision::Inlets,
            Self::Nobody => Decision::None,
        }
    }
}

impl Balancer {
    const fn server(self) -> Server {
        match self {
            Self::Inlets => Server::Inlets,
            Self::None => Server::Nobody,
        }
    }
}

impl Alternative {
    const fn server(self) -> Server {
        match self {
            Self::None => Server::Nobody,
        }
    }
}

const fn reason_of(reason: SkipReason) -> Reason {
    match reason {
        SkipReason::Headless => Reason::Headless,
        SkipReason::ForeignClass => Reason::ForeignBalancer,
        SkipReason::ForeignAddress => Reason::ForeignAddress,
        SkipReason::ForeignMark => Reason::ForeignMark,
        SkipReason::UserManaged => Reason::UserManaged,
        SkipReason::UnservedChoice => Reason::UnservedChoice,
    }
}

#[cfg(test)]
mod tests;
