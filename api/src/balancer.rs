//! Services as fastrak reads them: the mode that each names, and the decision about it.
//!
//! The decision itself is the webhook's.

mod choice;
mod decision;
mod foreign;
mod ingress;
mod mode;
mod partial;

pub use self::choice::Choice;
pub use self::decision::{Decision, SkipReason};
pub use self::foreign::PREFIXES as FOREIGN_PREFIXES;
pub use self::ingress::Ingress;
pub use self::mode::{Carries, EVERYBODY, MANAGED, Mode, Protocol, Row, Unsupported};
pub use self::partial::{IngressEntry, LoadBalancer, PartialService, Port, Spec, Status};

use self::mode::Demands;
use crate::names;
use crate::object::{Mapping, Metadata, clipped, owned};

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
    /// True if its type is LoadBalancer.
    pub is_load_balancer: bool,
    /// True if it is being deleted.
    pub deleting: bool,
    /// True if its labels opt out of fastrak.
    pub opted_out: bool,
    /// True if it has no cluster address.
    pub headless: bool,
    /// The load balancer class that it names.
    pub class: Option<String>,
    /// What each of [`Mode::ALL`] cannot carry of it; see [`ServiceView::unsupported`].
    unsupported: [Option<Unsupported>; Mode::ALL.len()],
    /// True if its `externalTrafficPolicy` is Local: its pods see the addresses of clients.
    pub is_local: bool,
    /// Which load balancer has given it the addresses in its status.
    pub ingress: Ingress,
    /// True if its spec has external addresses.
    pub has_external_ips: bool,
    /// An annotation, a label or a finalizer of another load balancer.
    pub foreign_mark: Option<String>,
    /// The mode that it names, unparsed; see [`Mode::parse`].
    pub choice: Option<String>,
    /// What was decided, unparsed; see [`ServiceView::decision`].
    pub decision: Option<String>,
    /// Its values of the annotations [`MANAGED`].
    pub managed: [Option<String>; MANAGED.len()],
}

impl ServiceView {
    /// Reads a Service by its parts.
    #[must_use]
    pub fn of(service: &PartialService<'_>) -> Self {
        let demands = Demands::of(service);
        let mut this = Self {
            ingress: Ingress::of(service),
            unsupported: Mode::ALL.map(|mode| demands.unsupported(mode)),
            ..Self::default()
        };
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
        self.choice = annotation(names::BALANCER);
        self.decision = annotation(names::BALANCER_DECISION);
        self.managed = MANAGED.map(annotation);
    }

    fn take_spec(&mut self, spec: &Spec<'_>) {
        self.is_load_balancer = spec.type_.as_deref() == Some("LoadBalancer");
        self.headless = spec.cluster_ip.as_deref() == Some("None");
        self.class = owned(spec.load_balancer_class.as_ref());
        self.has_external_ips = spec.external_ips.as_ref().is_some_and(|ips| !ips.is_empty());
        self.is_local = spec.external_traffic_policy.as_deref() == Some("Local");
    }

    /// Returns what a mode cannot carry of the Service. The first such thing counts.
    #[must_use]
    pub const fn unsupported(&self, mode: Mode) -> Option<Unsupported> {
        self.unsupported[mode as usize]
    }

    /// Returns the recorded decision. A text that is not a decision counts as none.
    #[must_use]
    pub fn decision(&self) -> Option<Decision> {
        self.decision.as_deref().and_then(Decision::parse)
    }
}

#[cfg(test)]
mod tests;
