//! Services as fastrak reads them: how one is to get an address, and what was decided about it.
//!
//! The decision itself is the webhook's.

mod beyond;
mod decision;
mod foreign;
mod ingress;
mod partial;

pub use self::beyond::{BeyondInlets, EVERYBODY, Protocol};
pub use self::decision::{Choice, ChoiceError, Decision, SkipReason};
pub use self::foreign::PREFIXES as FOREIGN_PREFIXES;
pub use self::ingress::Ingress;
pub use self::partial::{IngressEntry, LoadBalancer, PartialService, Port, Spec, Status};

use crate::names::{self, inlets, kubernetes};
use crate::object::{Mapping, Metadata, clipped, owned};
use k8s_openapi::api::core::v1::Service;

/// A Service, reduced to what fastrak decides by.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of the object, and independent of the rest"
)]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceView {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Whether its type is LoadBalancer.
    pub is_load_balancer: bool,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// Whether its labels opt out of fastrak.
    pub opted_out: bool,
    /// Whether it has no cluster address.
    pub headless: bool,
    /// The load balancer's class that it names.
    pub class: Option<String>,
    /// Why it is not for inlets, which cannot do all that it asks for.
    pub beyond_inlets: Option<BeyondInlets>,
    /// Whether its pods are to see the addresses of their clients.
    pub is_local: bool,
    /// Who has given it the addresses in its status.
    pub ingress: Ingress,
    /// Whether its spec bears external addresses.
    pub has_external_ips: bool,
    /// An annotation, a label or a finalizer by which it is another load balancer's.
    pub foreign_mark: Option<String>,
    /// What it asks for, unread; see [`ServiceView::choice`].
    pub choice: Option<String>,
    /// What was decided, unread; see [`ServiceView::decision`].
    pub decision: Option<String>,
    /// What it says to the inlets operator: to current ones, and to older ones.
    pub manage: (Option<String>, Option<String>),
}

impl ServiceView {
    /// Reads a Service.
    #[must_use]
    pub fn read(service: &Service) -> Self {
        Self::of(&PartialService::of(service))
    }

    /// Reads a Service by its parts.
    #[must_use]
    pub fn of(service: &PartialService<'_>) -> Self {
        let mut this = Self { ingress: Ingress::of(service), ..Self::default() };
        if let Some(Mapping(metadata)) = &service.metadata {
            this.take_metadata(metadata);
        }
        if let Some(Mapping(spec)) = &service.spec {
            this.take_spec(spec);
        }
        this
    }

    fn take_metadata(&mut self, metadata: &Metadata<'_>) {
        let annotation = |key: &str| metadata.annotation(key).map(clipped);
        self.namespace = owned(metadata.namespace.as_ref()).unwrap_or_default();
        self.name = owned(metadata.name.as_ref()).unwrap_or_default();
        self.deleting = metadata.deletion_timestamp.is_some();
        self.opted_out = metadata.label(names::ADMISSION) == Some(names::ADMISSION_DISABLED);
        self.foreign_mark = foreign::mark(metadata).map(clipped);
        let ranges = metadata.annotation(kubernetes::SOURCE_RANGES).unwrap_or_default();
        self.beyond_inlets = BeyondInlets::of_annotation(ranges);
        self.choice = annotation(names::BALANCER);
        self.decision = annotation(names::BALANCER_DECISION);
        self.manage = (annotation(inlets::MANAGE), annotation(inlets::MANAGE_LEGACY));
    }

    fn take_spec(&mut self, spec: &Spec<'_>) {
        self.is_load_balancer = spec.type_.as_deref() == Some("LoadBalancer");
        self.headless = spec.cluster_ip.as_deref() == Some("None");
        self.class = owned(spec.load_balancer_class.as_ref());
        self.has_external_ips = spec.external_ips.as_ref().is_some_and(|ips| !ips.is_empty());
        self.is_local = spec.external_traffic_policy.as_deref() == Some("Local");
        self.beyond_inlets = self.beyond_inlets.or_else(|| BeyondInlets::of(spec));
    }

    /// What the Service asks for.
    pub fn choice(&self) -> Result<Option<Choice>, ChoiceError> {
        self.choice.as_deref().map(Choice::parse).transpose()
    }

    /// What was decided about it. A text that is no decision is as good as none.
    #[must_use]
    pub fn decision(&self) -> Option<Decision> {
        self.decision.as_deref().and_then(Decision::parse)
    }
}

#[cfg(test)]
mod tests;
