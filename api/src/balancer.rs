//! Services as fastrak reads them: how one is to get an address, and what was decided about it.
//!
//! The decision itself is the webhook's.

mod foreign;

pub use self::foreign::PREFIXES as FOREIGN_PREFIXES;
mod shape;

pub use self::shape::{LoadBalancer, Port, ServiceShape, Spec, Status};

use crate::names::{self, inlets, kubernetes};
use crate::object::{Mapping, Metadata, Pairs, clipped, owned};
use k8s_openapi::api::core::v1::Service;
use std::fmt;

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
    /// The first of its ports that inlets cannot carry.
    pub beyond_inlets: Option<(i32, Protocol)>,
    /// Whether its status bears an address.
    pub has_ingress: bool,
    /// Whether its spec bears external addresses.
    pub has_external_ips: bool,
    /// Whether a controller of someone else's has put its finalizer on it.
    pub has_foreign_finalizer: bool,
    /// An annotation by which it is another load balancer's.
    pub foreign_annotation: Option<String>,
    /// What it asks for, unread; see [`ServiceView::choice`].
    pub choice: Option<String>,
    /// What was decided, unread; see [`ServiceView::decision`].
    pub decision: Option<String>,
    /// What it says to the inlets operator: to current ones, and to older ones.
    pub manage: (Option<String>, Option<String>),
}

/// A port's protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

/// How a Service is to get its address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// A machine with a public address, from the inlets operator.
    Inlets,
    /// A node's own address.
    NodeIp,
    /// An address of an unused subnet.
    IpAlias,
    /// Another load balancer, by its class.
    Class(String),
    /// Not at all.
    None,
}

/// What was decided about a Service, as it is recorded on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Decision {
    /// The inlets operator serves it.
    Inlets,
    /// Nobody serves it.
    None,
    /// It was left as it is.
    Skipped(SkipReason),
}

/// Why a Service was left as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SkipReason {
    /// It has no cluster address to forward to.
    Headless,
    /// Its load balancer's class is someone else's.
    ForeignClass,
    /// Someone else has given it an address.
    ForeignAddress,
    /// Its annotations or finalizers are another load balancer's.
    ForeignMark,
    /// Its user has told the inlets operator what to do.
    UserManaged,
    /// It asks for what this version does not serve, or for what is nothing.
    UnservedChoice,
}

/// A text that is no way to an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "annotation {key} is {value:?}; write one of: inlets, node-ip, ip-alias, class=<name>, none",
    key = names::BALANCER
)]
pub struct ChoiceError {
    value: String,
}

impl ServiceView {
    /// Reads a Service.
    #[must_use]
    pub fn read(service: &Service) -> Self {
        Self::of(&ServiceShape::of(service))
    }

    /// Reads a Service by its parts.
    #[must_use]
    pub fn of(service: &ServiceShape<'_>) -> Self {
        let status = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
        let ingress = status.and_then(|status| status.ingress.as_ref());
        let mut this = Self {
            has_ingress: ingress.is_some_and(|ingress| !ingress.is_empty()),
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
        let mut finalizers = metadata.finalizers.iter().flatten();
        self.namespace = owned(metadata.namespace.as_ref()).unwrap_or_default();
        self.name = owned(metadata.name.as_ref()).unwrap_or_default();
        self.deleting = metadata.deletion_timestamp.is_some();
        self.opted_out = metadata.label(names::ADMISSION) == Some(names::ADMISSION_DISABLED);
        self.has_foreign_finalizer =
            finalizers.any(|finalizer| finalizer.as_str() == kubernetes::SERVICE_FINALIZER);
        // The first by its name, in whatever order they came: the same Service gets the same words.
        let keys = metadata.annotations.iter().flat_map(Pairs::keys);
        self.foreign_annotation = keys.filter(|key| foreign::marks(key)).min().map(clipped);
        self.choice = annotation(names::BALANCER);
        self.decision = annotation(names::BALANCER_DECISION);
        self.manage = (annotation(inlets::MANAGE), annotation(inlets::MANAGE_LEGACY));
    }

    fn take_spec(&mut self, spec: &Spec<'_>) {
        self.is_load_balancer = spec.type_.as_deref() == Some("LoadBalancer");
        self.headless = spec.cluster_ip.as_deref() == Some("None");
        self.class = owned(spec.load_balancer_class.as_ref());
        self.has_external_ips = spec.external_ips.as_ref().is_some_and(|ips| !ips.is_empty());
        let port = |port: &Port<'_>| {
            (port.port.unwrap_or_default(), Protocol::read(port.protocol.as_deref()))
        };
        let beyond = |(port, protocol): &(i32, Protocol)| {
            *protocol != Protocol::Tcp || *port == inlets::CONTROL_PORT
        };
        self.beyond_inlets = spec.ports.iter().flatten().map(port).find(beyond);
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

    /// What the inlets operator cannot carry of it, for people to read.
    #[must_use]
    pub fn beyond_inlets(&self) -> Option<String> {
        self.beyond_inlets.map(|(port, protocol)| match protocol {
            Protocol::Tcp => format!("port {port} is the tunnel's own"),
            Protocol::Udp => format!("port {port} is UDP"),
            Protocol::Sctp => format!("port {port} is SCTP"),
        })
    }
}

impl Protocol {
    fn read(text: Option<&str>) -> Self {
        match text {
            Some("UDP") => Self::Udp,
            Some("SCTP") => Self::Sctp,
            _ => Self::Tcp,
        }
    }
}

impl Choice {
    /// Reads a way to an address.
    pub fn parse(text: &str) -> Result<Self, ChoiceError> {
        match text {
            "inlets" => Ok(Self::Inlets),
            "node-ip" => Ok(Self::NodeIp),
            "ip-alias" => Ok(Self::IpAlias),
            "none" => Ok(Self::None),
            _ => match text.strip_prefix("class=") {
                Some(name) if !name.is_empty() => Ok(Self::Class(name.to_owned())),
                _ => Err(ChoiceError { value: text.to_owned() }),
            },
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inlets => f.write_str("inlets"),
            Self::NodeIp => f.write_str("node-ip"),
            Self::IpAlias => f.write_str("ip-alias"),
            Self::Class(name) => write!(f, "class={name}"),
            Self::None => f.write_str("none"),
        }
    }
}

const SKIPPED: &str = "skipped:";

impl Decision {
    /// Reads the annotation `fastrak.io/balancer-decision`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "inlets" => Some(Self::Inlets),
            "none" => Some(Self::None),
            _ => SkipReason::parse(text.strip_prefix(SKIPPED)?).map(Self::Skipped),
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inlets => f.write_str("inlets"),
            Self::None => f.write_str("none"),
            Self::Skipped(reason) => write!(f, "{SKIPPED}{}", reason.as_str()),
        }
    }
}

impl SkipReason {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Headless,
        Self::ForeignClass,
        Self::ForeignAddress,
        Self::ForeignMark,
        Self::UserManaged,
        Self::UnservedChoice,
    ];

    /// The reason as it is recorded.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Headless => "headless",
            Self::ForeignClass => "foreign-class",
            Self::ForeignAddress => "foreign-address",
            Self::ForeignMark => "foreign-mark",
            Self::UserManaged => "user-managed",
            Self::UnservedChoice => "unserved-choice",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }
}

#[cfg(test)]
mod tests;
