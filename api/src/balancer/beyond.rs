//! What inlets cannot do of all that a Service can ask for. Whether that takes a tunnel from a Service is
//! the webhook's to decide.

use super::partial::{Port, Spec};
use crate::names::inlets;
use std::fmt;

/// Who may connect if this is one of the source ranges: every client of a tunnel has an IPv4 address.
pub const EVERYBODY: &str = "0.0.0.0/0";

/// What a Service asks for and inlets cannot do. The first of these counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BeyondInlets {
    /// Only some clients are to reach it. What comes out of a tunnel has the address of a pod, so nothing
    /// in the cluster can tell them apart.
    SourceRanges,
    /// It is to have a certain address.
    RequestedAddress,
    /// It has this port.
    Port(i32, Protocol),
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

impl BeyondInlets {
    /// Reads it from the spec of a Service.
    pub(super) fn of(spec: &Spec<'_>) -> Option<Self> {
        let ranges = spec.load_balancer_source_ranges.iter().flatten();
        let address = spec.load_balancer_ip.as_deref().unwrap_or_default();
        if are_restrictive(ranges.map(|range| range.as_str())) {
            return Some(Self::SourceRanges);
        }
        if !address.is_empty() {
            return Some(Self::RequestedAddress);
        }
        let ports = spec.ports.iter().flatten().map(|port: &Port<'_>| {
            (port.port.unwrap_or_default(), Protocol::read(port.protocol.as_deref()))
        });
        let mut beyond = ports
            .filter(|(port, protocol)| *protocol != Protocol::Tcp || *port == inlets::CONTROL_PORT);
        beyond.next().map(|(port, protocol)| Self::Port(port, protocol))
    }

    /// Reads it from the annotation that source ranges were before they were a field.
    pub(super) fn of_annotation(ranges: &str) -> Option<Self> {
        let ranges = ranges.split(',').filter(|range| !range.is_empty());
        are_restrictive(ranges).then_some(Self::SourceRanges)
    }
}

fn are_restrictive<'a>(ranges: impl Iterator<Item = &'a str>) -> bool {
    let mut ranges = ranges.peekable();
    ranges.peek().is_some() && !ranges.any(|range| range == EVERYBODY)
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

impl fmt::Display for BeyondInlets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SourceRanges => f.write_str("spec.loadBalancerSourceRanges"),
            Self::RequestedAddress => f.write_str("spec.loadBalancerIP"),
            Self::Port(port, Protocol::Tcp) => write!(f, "port {port} is the tunnel's own"),
            Self::Port(port, Protocol::Udp) => write!(f, "port {port} is UDP"),
            Self::Port(port, Protocol::Sctp) => write!(f, "port {port} is SCTP"),
        }
    }
}
