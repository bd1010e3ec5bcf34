//! Why a Service does not get an address, and what to do.

use crate::allocation::lease::AddressLease;
use crate::allocation::service::Key;
use fastrak_api::frontend::{Conflict, Frontend};
use fastrak_api::names;
use fastrak_api::node::NodeName;
use fastrak_api::reason::EventReason;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

/// The number of nodes that a message names for one cause.
const NAMED_NODES: usize = 3;

/// Why a Service does not get an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::allocation) enum Problem {
    /// The request is not an address.
    NotAnAddress(String),
    /// The requested address is in no pool that the namespace may use.
    NotInPool { address: IpAddr, namespace: String },
    /// Another Service has the requested address.
    Taken(IpAddr),
    /// A device outside of the cluster uses the address.
    Conflict { address: IpAddr, mac: String, is_requested: bool },
    /// Devices outside of the cluster answer for several addresses of the pools.
    ManyConflicts,
    /// No pool has addresses of the family for the namespace. The text names a pool that cannot be
    /// used, and why.
    NoPool { is_ipv4: bool, namespace: String, unusable: Option<String> },
    /// All addresses of these pools are assigned.
    Exhausted { is_ipv4: bool, pools: Vec<String> },
    /// No node of the pool runs a speaker that is Ready.
    NoSpeaker { pool: String },
    /// The speaker of the node does not respond.
    NotAccepted { address: IpAddr, node: NodeName },
    /// No node has an address of the families of the Service, or the requested ones.
    NoNode { requested: Vec<IpAddr> },
    /// These nodes cannot serve these ports. Not blocking: other nodes serve the Service.
    PortsInUse { causes: Vec<(Frontend, NodeName, Cause)>, is_blocking: bool },
}

/// Why a node cannot serve a port of a Service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::allocation) enum Cause {
    /// The port is reserved by `--node-ip-reserved-ports`.
    Reserved,
    /// A pod has it as a host port.
    Pod(Key),
    /// Another Service has it.
    Service(Key),
    /// The speaker has found it in use.
    Conflict(Conflict),
    /// The speaker has refused it without a reason that this version knows.
    Refused,
    /// No speaker is Ready.
    NoSpeaker,
    /// The speaker does not respond.
    NotAccepted,
}

impl Cause {
    /// Returns whether the port is in use outside of Services.
    pub(super) fn is_conflict(&self) -> bool {
        match self {
            Self::Pod(_) | Self::Conflict(_) | Self::Refused => true,
            Self::Reserved | Self::Service(_) | Self::NoSpeaker | Self::NotAccepted => false,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reserved => f.write_str("it is reserved (--node-ip-reserved-ports)"),
            Self::Pod((namespace, name)) => write!(f, "pod {namespace}/{name} has it as hostPort"),
            Self::Service((namespace, name)) => write!(f, "Service {namespace}/{name} has it"),
            Self::Conflict(Conflict::Listening) => f.write_str("a process listens on it"),
            Self::Conflict(Conflict::Redirected) => {
                f.write_str("connections to it are redirected to another program")
            }
            Self::Refused => f.write_str("the speaker refuses it"),
            Self::NoSpeaker => f.write_str("no speaker is Ready"),
            Self::NotAccepted => {
                f.write_str("the speaker does not respond; see the log of its pod")
            }
        }
    }
}

/// Describes which nodes cannot serve which ports, each cause once.
fn describe(causes: &[(Frontend, NodeName, Cause)]) -> String {
    let mut nodes: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for (frontend, node, cause) in causes {
        let port = format!("{}/{}", frontend.port, frontend.protocol);
        nodes.entry((port, cause)).or_default().insert(node.as_str());
    }
    let texts = nodes.into_iter().map(|((port, cause), nodes)| {
        let named: Vec<_> = nodes.iter().take(NAMED_NODES).copied().collect();
        let more = nodes.len() - named.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("{port} on {}{more}: {cause}", named.join(", "))
    });
    texts.collect::<Vec<_>>().join("; ")
}

impl Problem {
    /// Returns the problem of an address that a node has refused.
    pub(super) fn conflict(lease: &AddressLease, is_requested: bool) -> Self {
        let mac = lease.conflict.clone().unwrap_or_default();
        Self::Conflict { address: lease.address(), mac, is_requested }
    }

    /// Returns whether the Service has no address because of it.
    pub(in crate::allocation) fn is_blocking(&self) -> bool {
        !matches!(
            self,
            Self::Conflict { is_requested: false, .. }
                | Self::PortsInUse { is_blocking: false, .. }
        )
    }

    /// Returns the reason of the event about it.
    pub(in crate::allocation) fn reason(&self) -> EventReason {
        match self {
            Self::Conflict { .. }
            | Self::ManyConflicts
            | Self::PortsInUse { is_blocking: false, .. } => EventReason::AddressInUse,
            Self::NotAnAddress(_)
            | Self::NotInPool { .. }
            | Self::Taken(_)
            | Self::NoPool { .. }
            | Self::Exhausted { .. }
            | Self::NoSpeaker { .. }
            | Self::NotAccepted { .. }
            | Self::NoNode { .. }
            | Self::PortsInUse { is_blocking: true, .. } => EventReason::AddressNotAssigned,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAnAddress(text) => write!(
                f,
                "the requested address {text:?} is not an IP address; correct annotation {} or \
                 spec.loadBalancerIP",
                names::LOAD_BALANCER_IPS
            ),
            Self::NotInPool { address, namespace } => write!(
                f,
                "the requested address {address} is in no AddressPool for namespace {namespace}; \
                 request another address, or add it to an AddressPool"
            ),
            Self::Taken(address) => write!(
                f,
                "the requested address {address} belongs to another Service; request another address"
            ),
            Self::Conflict { address, mac, is_requested: true } => write!(
                f,
                "a device with MAC address {mac} uses the requested address {address}; request another \
                 address, or remove the device"
            ),
            Self::Conflict { address, mac, is_requested: false } => write!(
                f,
                "a device with MAC address {mac} uses address {address}; the Service gets another \
                 address; remove {address} from its AddressPool"
            ),
            Self::ManyConflicts => f.write_str(
                "devices outside of the cluster answer for several addresses of the AddressPools, so no \
                 other one is tried for 10 minutes; look for a proxy of ARP or NDP",
            ),
            Self::NoPool { is_ipv4, namespace, unusable } => {
                let family = family(*is_ipv4);
                write!(f, "no AddressPool has {family} addresses for namespace {namespace}; ")?;
                match unusable {
                    Some(reason) => f.write_str(reason),
                    None => f.write_str("create one"),
                }
            }
            Self::Exhausted { is_ipv4, pools } => write!(
                f,
                "all {} addresses of {} are assigned; add addresses, or delete a Service",
                family(*is_ipv4),
                pools.join(", ")
            ),
            Self::NoSpeaker { pool } => write!(
                f,
                "no node can answer for addresses of AddressPool {pool}: it must match \
                 spec.nodeSelector and run a Ready speaker (pods with label {}={})",
                names::kubernetes::APP_NAME,
                names::SPEAKER
            ),
            Self::NotAccepted { address, node } => write!(
                f,
                "the speaker of node {node} has not accepted address {address} within 10s; see \
                 the log of its pod"
            ),
            Self::NoNode { requested } => no_node(f, requested),
            Self::PortsInUse { causes, is_blocking } => ports_in_use(f, causes, *is_blocking),
        }
    }
}

fn family(is_ipv4: bool) -> &'static str {
    if is_ipv4 { "IPv4" } else { "IPv6" }
}

fn no_node(f: &mut fmt::Formatter<'_>, requested: &[IpAddr]) -> fmt::Result {
    let requested: Vec<_> = requested.iter().map(ToString::to_string).collect();
    if requested.is_empty() {
        return f.write_str(
            "no node has an address of the IP families of the Service; see spec.ipFamilies and the \
             InternalIP addresses of the nodes",
        );
    }
    write!(
        f,
        "the requested address {} is no InternalIP of a node; request another address",
        requested.join(" or ")
    )
}

fn ports_in_use(
    f: &mut fmt::Formatter<'_>,
    causes: &[(Frontend, NodeName, Cause)],
    is_blocking: bool,
) -> fmt::Result {
    let causes = describe(causes);
    if is_blocking {
        return write!(
            f,
            "no node can serve all ports of the Service on its own address: {causes}; free the port, \
             or change spec.ports"
        );
    }
    write!(
        f,
        "the Service does not get the addresses of all nodes: {causes}; free the port to add them"
    )
}
