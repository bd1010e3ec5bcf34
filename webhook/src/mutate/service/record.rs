//! What is recorded on a Service about who serves it, and which of its words to the inlets operator are
//! fastrak's own. It does not decide who serves it.

use super::{Server, ServiceAsk};
use crate::patch::{Edit, Field};
use fastrak_api::balancer::{Ingress, ServiceView};
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
}

impl Record {
    /// Reads the record.
    pub(super) fn of(ask: &ServiceAsk<'_>) -> Self {
        let read = |service: &ServiceView| service.decision().and_then(Server::recorded);
        Self { now: read(ask.service), before: ask.old.and_then(read) }
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

    /// Whether nobody was to serve the Service before the update.
    pub(super) fn was_nobody(self) -> bool {
        self.before == Some(Server::Nobody)
    }

    fn servers(self) -> impl Iterator<Item = Server> {
        [self.now, self.before].into_iter().flatten()
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

    /// The annotation by which the Service's user, and not fastrak, tells the operator what to do.
    pub(super) fn own_manage(self, service: &ServiceView) -> Option<&'static str> {
        let [current, legacy] = self.words(service);
        let are_there = [service.manage.0.is_some(), service.manage.1.is_some()];
        let words = [current, legacy].into_iter().zip(are_there);
        words.filter(|((_, ours), is_there)| *is_there && !ours).map(|((key, _), _)| key).next()
    }

    /// What fastrak told the operator is taken back; what the user told it stays.
    pub(super) fn taken_back(self, service: &ServiceView) -> Vec<Edit> {
        let ours = self.words(service).into_iter().filter(|(_, ours)| *ours);
        ours.map(|(key, _)| Edit::remove(Field::Annotation(key))).collect()
    }
}
