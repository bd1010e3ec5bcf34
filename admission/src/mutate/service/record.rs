//! What is recorded on a Service about who serves it, and which of its words to the inlets operator are
//! fastrak's own. It does not decide who serves it.

use super::{Server, ServiceRequest};
use crate::patch::{Edit, Field};
use fastrak_api::balancer::{Decision, Ingress, ServiceView, SkipReason};
use fastrak_api::names::inlets;

/// Who was decided for.
///
/// A client that does not know the record takes it off, with the rest of the annotations, when it
/// replaces the Service. The decision on the old object stands then.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    /// By the object as it is to be.
    now: Option<Server>,
    /// By the object before an update.
    before: Option<Server>,
    /// Whether fastrak keeps the operator away from a Service that another load balancer serves.
    withheld: bool,
}

impl Record {
    /// Reads the record.
    pub(super) fn of(ask: &ServiceRequest<'_>) -> Self {
        let read = |service: &ServiceView| service.decision().and_then(Server::recorded);
        let withheld = is_withheld(ask.service) || ask.old.is_some_and(is_withheld);
        Self { now: read(ask.service), before: ask.old.and_then(read), withheld }
    }

    /// The same; without any record, the inlets operator if it has given the Service its address. A
    /// repair has no old object: the address is all that is left of the decision.
    pub(super) fn or_tunnelled(self, service: &ServiceView) -> Self {
        let is_tunnelled = service.decision.is_none() && service.ingress == Ingress::Inlets;
        let tunnelled = is_tunnelled.then_some(Server::Inlets);
        Self { now: self.now.or(self.before).or(tunnelled), ..self }
    }

    /// Who serves the Service, if that was decided.
    pub(super) fn decided(self) -> Option<Server> {
        self.now.or(self.before)
    }

    /// Returns whether fastrak has written something for the operator.
    pub(super) fn is_there(self) -> bool {
        self.withheld || self.decided().is_some()
    }

    /// Returns whether nobody was to serve the Service before the update.
    pub(super) fn was_nobody(self) -> bool {
        self.before == Some(Server::Nobody)
    }

    /// The servers whose words to the operator are fastrak's.
    fn servers(self) -> impl Iterator<Item = Server> {
        let withheld = self.withheld.then_some(Server::Nobody);
        [self.now, self.before, withheld].into_iter().flatten()
    }

    /// The words to the operator, each with whether they are fastrak's.
    fn words(self, service: &ServiceView) -> [(&'static str, bool); 2] {
        let (current, legacy) = (service.manage.0.as_deref(), service.manage.1.as_deref());
        let mut servers = self.servers();
        let ours = servers.any(|server| current == Some(server.manage().0));
        let mut servers = self.servers();
        let ours_legacy = servers.any(|server| legacy == Some(server.manage().1));
        [(inlets::MANAGE, ours), (inlets::MANAGE_LEGACY, ours_legacy)]
    }

    /// The annotation by which the Service's user, and not fastrak, instructs the operator.
    pub(super) fn own_manage(self, service: &ServiceView) -> Option<&'static str> {
        let [current, legacy] = self.words(service);
        let are_there = [service.manage.0.is_some(), service.manage.1.is_some()];
        let words = [current, legacy].into_iter().zip(are_there);
        words.filter(|((_, ours), is_there)| *is_there && !ours).map(|((key, _), _)| key).next()
    }

    /// What fastrak wrote for the operator is taken back; what the user wrote for it stays.
    pub(super) fn taken_back(self, service: &ServiceView) -> Vec<Edit> {
        let ours = self.words(service).into_iter().filter(|(_, ours)| *ours);
        ours.map(|(key, _)| Edit::remove(Field::Annotation(key))).collect()
    }

    /// Returns what a skip does with fastrak's words to the operator.
    ///
    /// A Service that loses its record to a foreign address keeps the operator away. Without a word an
    /// operator that runs without `-annotated-only` would build a tunnel again.
    pub(super) fn ended(self, service: &ServiceView, reason: SkipReason) -> Vec<Edit> {
        if reason == SkipReason::ForeignAddress && self.is_there() {
            return Server::Nobody.edits();
        }
        self.taken_back(service)
    }
}

/// Returns whether the Service bears all that fastrak writes when a foreign address ends its
/// record. Fastrak writes both words; one alone is the user's.
fn is_withheld(service: &ServiceView) -> bool {
    let (current, legacy) = Server::Nobody.manage();
    service.decision() == Some(Decision::Skipped(SkipReason::ForeignAddress))
        && service.manage.0.as_deref() == Some(current)
        && service.manage.1.as_deref() == Some(legacy)
}
