//! The ways in which a Service can get an address: one row each, with what it writes and carries.
//!
//! Which mode serves a Service is the webhook's to decide.

use super::partial::{PartialService, Port};
use crate::names::{self, inlets, kubernetes};
use crate::object::Mapping;
use std::fmt;

/// A way in which a Service gets an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// The inlets operator gives it a machine with a public address.
    Inlets,
    /// It gets an address of a pool or, if none is free for it, the addresses of nodes.
    Auto,
    /// It gets an address of a pool, and a node answers for it.
    AddressPool,
    /// It gets the addresses of the nodes on which its ports are free.
    NodeIp,
    /// Another load balancer of a certain class serves it.
    Class,
    /// It gets no address.
    None,
}

/// A row of the table: what sets a mode apart.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Its name, in annotations, flags and records.
    pub name: &'static str,
    /// The values that it writes of [`MANAGED`].
    pub annotations: [&'static str; MANAGED.len()],
    /// The load balancer class that it writes while the API server allows it.
    pub class: Option<&'static str>,
    /// The field manager that writes the addresses of its Services, if it gives them addresses.
    pub manager: Option<&'static str>,
    /// What it can carry.
    pub carries: Carries,
}

/// The annotations that modes write.
pub const MANAGED: [&str; 2] = [inlets::MANAGE, inlets::MANAGE_LEGACY];

/// The values of [`MANAGED`] by which the inlets operator ignores a Service.
const KEEP_INLETS_AWAY: [&str; MANAGED.len()] = ["0", "false"];

/// What the modes of `deploy/addresses` have in common. kube-proxy forwards every protocol and
/// enforces source ranges.
const ADDRESSES: Row = Row {
    name: "",
    annotations: KEEP_INLETS_AWAY,
    class: Some(names::ADDRESS_CLASS),
    manager: Some(names::MANAGER_ADDRESSES),
    carries: Carries::EVERYTHING,
};

/// What the modes that give no address have in common.
const NOTHING: Row = Row {
    name: "",
    annotations: KEEP_INLETS_AWAY,
    class: None,
    manager: None,
    carries: Carries::EVERYTHING,
};

/// What a mode can carry of all that a Service can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carries {
    /// The protocols of ports.
    pub protocols: &'static [Protocol],
    /// Ports that it uses itself, so that no Service can.
    pub reserved_ports: &'static [i32],
    /// True if it keeps out clients from outside of the source ranges.
    pub source_ranges: bool,
    /// True if it can give a certain address.
    pub requested_address: bool,
    /// True if pods see the addresses of clients, which `externalTrafficPolicy: Local` asks for.
    pub client_addresses: bool,
}

/// A part of a Service that a mode cannot carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsupported {
    /// Source ranges. Traffic out of a tunnel has the address of a pod, so nothing in the cluster
    /// can distinguish clients.
    SourceRanges,
    /// A certain address.
    RequestedAddress,
    /// A port of this protocol.
    Protocol(i32, Protocol),
    /// A port that the mode uses itself.
    ReservedPort(i32),
}

crate::text_enum! {
    /// A port's protocol.
    pub enum Protocol {
        /// TCP.
        Tcp = "TCP",
        /// UDP.
        Udp = "UDP",
        /// SCTP.
        Sctp = "SCTP",
    }
}

/// The source range that lets every client in: each client of a tunnel has an IPv4 address.
pub const EVERYBODY: &str = "0.0.0.0/0";

impl Mode {
    /// All modes. Of several modes with one field manager the first is assumed for a Service without
    /// a record: `auto` keeps all addresses.
    pub const ALL: [Self; 6] =
        [Self::Inlets, Self::Auto, Self::AddressPool, Self::NodeIp, Self::Class, Self::None];

    /// Returns the row of the mode.
    #[must_use]
    pub const fn row(self) -> Row {
        match self {
            Self::Inlets => Row {
                name: "inlets",
                annotations: ["1", "true"],
                class: None,
                manager: Some(inlets::OPERATOR),
                carries: Carries {
                    protocols: &[Protocol::Tcp],
                    reserved_ports: &[inlets::CONTROL_PORT],
                    source_ranges: false,
                    requested_address: false,
                    client_addresses: false,
                },
            },
            Self::Auto => Row { name: "auto", ..ADDRESSES },
            Self::AddressPool => Row { name: "address-pool", ..ADDRESSES },
            Self::NodeIp => Row { name: "node-ip", ..ADDRESSES },
            // The other load balancer knows what it can carry.
            Self::Class => Row { name: "class", ..NOTHING },
            // A Service without an address leaves nothing to carry.
            Self::None => Row { name: "none", ..NOTHING },
        }
    }

    /// Returns the name of the mode.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.row().name
    }

    /// Parses the name of a mode.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == text)
    }

    /// Returns the mode whose addresses this field manager writes.
    pub(super) fn of_manager(manager: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.row().manager == Some(manager))
    }

    /// Returns whether the mode gives its Services addresses.
    #[must_use]
    pub const fn gives_addresses(self) -> bool {
        self.row().manager.is_some()
    }

    /// Returns whether the mode can serve every Service that another one cannot.
    #[must_use]
    pub fn carries_everything(self) -> bool {
        self.row().carries == Carries::EVERYTHING
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Carries {
    /// All that a Service can ask for.
    pub const EVERYTHING: Self = Self {
        protocols: &[Protocol::Tcp, Protocol::Udp, Protocol::Sctp],
        reserved_ports: &[],
        source_ranges: true,
        requested_address: true,
        client_addresses: true,
    };
}

/// The requirements of a Service that its mode may not meet.
pub(super) struct Demands<'a> {
    has_source_ranges: bool,
    has_address: bool,
    ports: &'a [Port<'a>],
}

impl<'a> Demands<'a> {
    pub(super) fn of(service: &'a PartialService<'a>) -> Self {
        let metadata = service.metadata.as_ref().map(|Mapping(metadata)| metadata);
        let annotated =
            metadata.and_then(|metadata| metadata.annotation(kubernetes::SOURCE_RANGES));
        let annotated = annotated.unwrap_or_default().split(',').filter(|range| !range.is_empty());
        let spec = service.spec.as_ref().map(|Mapping(spec)| spec);
        let ranges = spec.and_then(|spec| spec.load_balancer_source_ranges.as_deref());
        let ranges = ranges.unwrap_or_default().iter().map(|range| range.as_str());
        let address = spec.and_then(|spec| spec.load_balancer_ip.as_deref());
        let addresses = metadata.and_then(|it| it.annotation(names::LOAD_BALANCER_IPS));
        let mut requested = address.into_iter().chain(addresses);
        Self {
            has_source_ranges: are_restrictive(annotated) || are_restrictive(ranges),
            has_address: requested.any(|text| !text.is_empty()),
            ports: spec.and_then(|spec| spec.ports.as_deref()).unwrap_or_default(),
        }
    }

    /// Returns the first demand that a mode cannot meet.
    pub(super) fn unsupported(&self, mode: Mode) -> Option<Unsupported> {
        let carries = mode.row().carries;
        if self.has_source_ranges && !carries.source_ranges {
            return Some(Unsupported::SourceRanges);
        }
        if self.has_address && !carries.requested_address {
            return Some(Unsupported::RequestedAddress);
        }
        self.ports.iter().find_map(|port| {
            let number = port.port.unwrap_or_default();
            let protocol = port.protocol();
            if !carries.protocols.contains(&protocol) {
                return Some(Unsupported::Protocol(number, protocol));
            }
            let reserved = carries.reserved_ports.contains(&number);
            reserved.then_some(Unsupported::ReservedPort(number))
        })
    }
}

fn are_restrictive<'a>(ranges: impl Iterator<Item = &'a str>) -> bool {
    let mut ranges = ranges.peekable();
    ranges.peek().is_some() && !ranges.any(|range| range == EVERYBODY)
}

impl Unsupported {
    /// Returns whether a mode may continue to serve the Service. A mode that carries only the other
    /// ports, or gives another address than the requested one, serves its clients as before. A mode
    /// that lets in clients that the Service excludes may not continue: a lost address can be
    /// replaced, but disclosed data cannot be withdrawn.
    #[must_use]
    pub const fn may_continue(self) -> bool {
        match self {
            Self::SourceRanges => false,
            Self::RequestedAddress | Self::Protocol(..) | Self::ReservedPort(_) => true,
        }
    }

    /// Describes what a mode does not do for a Service.
    #[must_use]
    pub fn of_mode(self, mode: Mode) -> String {
        match self {
            Self::SourceRanges => format!("{mode} ignores spec.loadBalancerSourceRanges"),
            Self::RequestedAddress => format!("{mode} ignores the requested address"),
            Self::Protocol(port, protocol) => {
                format!("{mode} cannot carry port {port}/{protocol}")
            }
            Self::ReservedPort(port) => format!("{mode} uses port {port} itself"),
        }
    }
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SourceRanges => f.write_str("spec.loadBalancerSourceRanges"),
            Self::RequestedAddress => f.write_str("the requested address"),
            Self::Protocol(port, protocol) => write!(f, "port {port} is {protocol}"),
            Self::ReservedPort(port) => write!(f, "port {port} is the tunnel's own"),
        }
    }
}
