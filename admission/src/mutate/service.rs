//! Who is to give a Service its address: decided once, recorded on the Service, and kept until its
//! user says otherwise. It never writes a field of the spec, and it leaves alone what is another
//! load balancer's.

mod limits;
mod record;
mod server;
mod settings;

pub use self::server::Server;
pub use self::settings::{Alternative, Balancer, Settings};

use self::record::Record;
use crate::patch::{Edit, Field};
use crate::snapshot::Snapshot;
use crate::verdict::{Outcome, Reason, Verdict, clipped};
use fastrak_api::balancer::{Choice, Decision, Ingress, ServiceView, SkipReason};
use fastrak_api::names::{self, inlets};

/// A Service, and what is happening to it.
#[derive(Clone, Copy, Debug)]
pub struct ServiceRequest<'a> {
    /// The Service as it is to be.
    pub service: &'a ServiceView,
    /// The Service as it was before an update.
    pub old: Option<&'a ServiceView>,
}

/// Somebody asks for what this version cannot ask for, or for what is nothing: the words.
struct Unserved(String);

/// What holds for a Service that asks for nobody.
struct Fallback {
    /// Who serves it, by its namespace or else by the settings.
    server: Result<Server, Unserved>,
    /// Who serves it where the inlets operator cannot.
    alternative: Server,
}

/// How much of a user's text a message repeats.
const QUOTED: usize = 24;

/// Decides about a Service.
#[must_use]
pub fn service(ask: &ServiceRequest<'_>, snapshot: &Snapshot, settings: Settings) -> Verdict {
    let service = ask.service;
    if let Some((reason, about)) = beyond_scope(service, snapshot) {
        return Verdict::untouched(reason).about(about);
    }
    let record = Record::of(ask);
    let verdict = if !service.is_load_balancer {
        given_up(service, record)
    } else if let Some(mark) = record.own_manage(service) {
        skipped(service, record, SkipReason::UserManaged, mark)
    } else {
        let record = record.or_tunnelled(service);
        let fallback = Fallback::of(service, snapshot, settings);
        match asked(service.choice.as_deref()) {
            Err(Unserved(text)) => unserved(service, record, &text),
            Ok(choice) => match foreign(service).filter(|_| record.decided().is_none()) {
                Some((reason, mark)) => skipped(service, record, reason, &mark),
                None => decided(ask, choice, record, &fallback),
            },
        }
    };
    let verdict = match snapshot.inlets_operator {
        Some(false) => limits::remarked_absence(ask, verdict),
        Some(true) | None => verdict,
    };
    let verdict = without_idle_edits(service, verdict);
    // An earlier decision was reported before.
    if matches!(verdict.outcome, Outcome::Patched(_)) { verdict.with_warning() } else { verdict }
}

fn beyond_scope<'a>(service: &'a ServiceView, snapshot: &Snapshot) -> Option<(Reason, &'a str)> {
    let namespace = service.namespace.as_str();
    let rules = [
        (service.opted_out || snapshot.is_opted_out(namespace), Reason::OptedOut, ""),
        (snapshot.is_system(namespace), Reason::SystemNamespace, namespace),
        (service.deleting, Reason::Deleting, ""),
    ];
    rules.into_iter().find_map(|(holds, reason, about)| holds.then_some((reason, about)))
}

/// The Service wants no address. What was asked for it is taken back, or the operator keeps a
/// machine that somebody pays for.
fn given_up(service: &ServiceView, record: Record) -> Verdict {
    if service.decision.is_none() && !record.is_there() {
        return Verdict::untouched(Reason::NotLoadBalancer);
    }
    let mut edits = record.taken_back(service);
    edits.push(Edit::remove(Field::Annotation(names::BALANCER_DECISION)));
    Verdict::patched(Reason::GivenUp, edits)
}

impl Fallback {
    fn of(service: &ServiceView, snapshot: &Snapshot, settings: Settings) -> Self {
        let namespace = snapshot.of_namespace(&service.namespace);
        let asked = asked(namespace.and_then(|fact| fact.balancer.as_deref()));
        Self {
            server: asked.map(|server| server.unwrap_or(settings.balancer.server())),
            alternative: settings.alternative.server(),
        }
    }
}

/// Who is asked for, if this version can ask them.
fn asked(choice: Option<&str>) -> Result<Option<Server>, Unserved> {
    let Some(text) = choice else { return Ok(None) };
    match Choice::parse(text) {
        Ok(Choice::Inlets) => Ok(Some(Server::Inlets)),
        Ok(Choice::None) => Ok(Some(Server::Nobody)),
        Ok(Choice::NodeIp | Choice::IpAlias | Choice::Class(_)) | Err(_) => {
            Err(Unserved(text.to_owned()))
        }
    }
}

/// Why the Service is someone else's, with the mark by which that is seen. A mark that comes after a
/// decision does not make a machine go away that is in use; an address that another load balancer has
/// given does, because both would write the same status.
fn foreign(service: &ServiceView) -> Option<(SkipReason, String)> {
    let address = match (service.ingress, service.has_external_ips) {
        (Ingress::Unknown | Ingress::Foreign, _) => Some("status.loadBalancer".to_owned()),
        (Ingress::Absent, true) => Some("spec.externalIPs".to_owned()),
        // The operator writes both.
        (Ingress::Absent, false) | (Ingress::Inlets, _) => None,
    };
    let marks = [
        (SkipReason::Headless, service.headless.then(|| "spec.clusterIP".to_owned())),
        (SkipReason::ForeignClass, service.class.clone()),
        (SkipReason::ForeignAddress, address),
        (SkipReason::ForeignMark, service.foreign_mark.clone()),
    ];
    marks.into_iter().find_map(|(reason, mark)| Some((reason, mark?)))
}

fn skipped(service: &ServiceView, record: Record, reason: SkipReason, about: &str) -> Verdict {
    let mut edits = record.ended(service, reason);
    let decision = Decision::Skipped(reason).to_string();
    edits.push(Edit::set(Field::Annotation(names::BALANCER_DECISION), decision));
    Verdict::patched(reason_of(reason), edits).about(about)
}

fn decided(
    ask: &ServiceRequest<'_>,
    choice: Option<Server>,
    record: Record,
    fallback: &Fallback,
) -> Verdict {
    let service = ask.service;
    let recorded = record.decided();
    let kept = recorded.filter(|_| !is_to_be_redecided(ask, record));
    let server = match (choice.or(kept), &fallback.server) {
        (Some(server), _) => server,
        (None, Ok(server)) => *server,
        // Nothing will be recorded any more, and whoever decides about that looks at marks first.
        (None, Err(Unserved(text))) => {
            return match foreign(service) {
                Some((reason, mark)) => skipped(service, record, reason, &mark),
                None => unserved(service, record, text),
            };
        }
    };
    let is_taken = server == Server::Inlets && service.ingress == Ingress::Foreign;
    if let Some((reason, mark)) = foreign(service).filter(|_| is_taken) {
        return skipped(service, record, reason, &mark);
    }
    match service.beyond_inlets.filter(|_| server == Server::Inlets) {
        None => limits::remarked(ask, served(server)),
        Some(beyond) if recorded == Some(Server::Inlets) && limits::spares_a_tunnel(beyond) => {
            limits::remarked(ask, served(server))
        }
        Some(beyond) => {
            let verdict = served(fallback.alternative).about(beyond.to_string());
            Verdict { reason: limits::reason(beyond), ..verdict }
        }
    }
}

/// Returns whether a recorded decision no longer stands, though no choice is written: the choice
/// that led to it has been taken off, or what inlets could not do is not asked for any more.
fn is_to_be_redecided(ask: &ServiceRequest<'_>, record: Record) -> bool {
    let Some(old) = ask.old else { return false };
    let carried_now = old.beyond_inlets.is_some() && ask.service.beyond_inlets.is_none();
    old.choice.is_some() || (record.was_nobody() && carried_now)
}

fn served(server: Server) -> Verdict {
    let mut edits = server.edits();
    let decision = server.decision().to_string();
    edits.push(Edit::set(Field::Annotation(names::BALANCER_DECISION), decision));
    let reason = match server {
        Server::Inlets => Reason::Inlets,
        Server::Nobody => Reason::NoBalancer,
    };
    Verdict::patched(reason, edits).about(names::BALANCER)
}

fn unserved(service: &ServiceView, record: Record, choice: &str) -> Verdict {
    let about = format!("{} {:?}", names::BALANCER, clipped(choice, QUOTED));
    skipped(service, record, SkipReason::UnservedChoice, &about)
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
