//! Why a Service does not get an address, and what to do.

mod cause;

pub(in crate::allocation) use self::cause::Cause;

use self::cause::describe;
use crate::allocation::lease::AddressLease;
use crate::allocation::service::MAX_PORTS;
use fastrak_api::frontend::Frontend;
use fastrak_api::names;
use fastrak_api::node::NodeName;
use fastrak_api::reason::EventReason;
use std::fmt;
use std::net::IpAddr;

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
    Conflict { address: IpAddr, mac: String, of: AddressOf },
    /// Devices outside of the cluster answer for several addresses of the pools.
    ManyConflicts,
    /// No pool assigns addresses of the family automatically to the namespace. The text names a pool
    /// that cannot be used, and why.
    NoPool { is_ipv4: bool, namespace: String, unusable: Option<String> },
    /// All addresses of these pools are assigned.
    Exhausted { is_ipv4: bool, pools: Vec<String> },
    /// No node of the pool runs a speaker that is Ready.
    NoSpeaker { pool: String },
    /// The speaker of the node does not respond.
    NotAccepted { address: IpAddr, node: NodeName, is_published: bool },
    /// The node that answers runs no pod of the Service, and no node that does can answer.
    WithoutPod { address: IpAddr, node: NodeName },
    /// Only nodes that run pods of the Service can serve it, and none is ready.
    NoReadyPod,
    /// The Service has too many ports for the addresses of nodes.
    ManyPorts,
    /// No node has an address of the families of the Service, or the requested ones.
    NoNode { requested: Vec<IpAddr>, is_local: bool },
    /// Several nodes have the address, and no other address is left.
    Ambiguous(IpAddr),
    /// These nodes cannot serve these ports. Not blocking: other nodes serve the Service.
    PortsInUse { causes: Vec<(Frontend, NodeName, Cause)>, is_blocking: bool },
}

/// How a Service has come to an address that a device uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::allocation) enum AddressOf {
    /// It was chosen for the Service, which gets another one.
    Choice,
    /// The Service requests it.
    Request,
    /// It is in the status of the Service: clients know it.
    Status,
}

impl Problem {
    /// Returns the problem of an address that a node has refused.
    pub(super) fn conflict(lease: &AddressLease, of: AddressOf) -> Self {
        let mac = lease.conflict.clone().unwrap_or_default();
        Self::Conflict { address: lease.address(), mac, of }
    }

    /// Returns whether the Service has no address because of it.
    pub(in crate::allocation) fn is_blocking(&self) -> bool {
        !matches!(
            self,
            Self::Conflict { of: AddressOf::Choice, .. }
                | Self::Conflict { of: AddressOf::Status, .. }
                | Self::NotAccepted { is_published: true, .. }
                | Self::WithoutPod { .. }
                | Self::PortsInUse { is_blocking: false, .. }
        )
    }

    /// Returns the reason of the event about it.
    pub(in crate::allocation) fn reason(&self) -> EventReason {
        match self {
            Self::Conflict { .. }
            | Self::ManyConflicts
            | Self::PortsInUse { is_blocking: false, .. } => EventReason::AddressInUse,
            Self::NotAccepted { is_published: true, .. } | Self::WithoutPod { .. } => {
                EventReason::AddressUnreachable
            }
            Self::NotAnAddress(_)
            | Self::NotInPool { .. }
            | Self::Taken(_)
            | Self::NoPool { .. }
            | Self::Exhausted { .. }
            | Self::NoSpeaker { .. }
            | Self::NotAccepted { is_published: false, .. }
            | Self::NoReadyPod
            | Self::ManyPorts
            | Self::NoNode { .. }
            | Self::Ambiguous(_)
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
            Self::Conflict { address, mac, of } => conflict(f, *address, mac, *of),
            Self::ManyConflicts => f.write_str(
                "devices outside of the cluster answer for several addresses of the AddressPools, so no \
                 other one is tried for 10 minutes; look for a proxy of ARP or NDP",
            ),
            Self::NoPool { is_ipv4, namespace, unusable } => write!(
                f,
                "no AddressPool assigns {} addresses automatically to namespace {namespace}; {}",
                family(*is_ipv4),
                unusable.as_deref().unwrap_or(POOL_REMEDY)
            ),
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
            Self::NotAccepted { address, node, is_published: _ } => write!(
                f,
                "the speaker of node {node} has not accepted address {address} within 10s; see \
                 the log of its pod"
            ),
            Self::WithoutPod { address, node } => without_pod(f, *address, node),
            Self::NoReadyPod => f.write_str(NO_READY_POD),
            Self::ManyPorts => write!(
                f,
                "a Service with more than {MAX_PORTS} ports gets no addresses of nodes; divide it, or set \
                 annotation {}: address-pool",
                names::BALANCER
            ),
            Self::NoNode { requested, is_local } => no_node(f, requested, *is_local),
            Self::Ambiguous(address) => ambiguous(f, *address),
            Self::PortsInUse { causes, is_blocking } => ports_in_use(f, causes, *is_blocking),
        }
    }
}

fn conflict(f: &mut fmt::Formatter<'_>, address: IpAddr, mac: &str, of: AddressOf) -> fmt::Result {
    match of {
        AddressOf::Choice => write!(
            f,
            "a device with MAC address {mac} uses address {address}; the Service gets another \
             address; remove {address} from its AddressPool"
        ),
        AddressOf::Request => write!(
            f,
            "a device with MAC address {mac} uses the requested address {address}; request another \
             address, or remove the device"
        ),
        AddressOf::Status => write!(
            f,
            "a device with MAC address {mac} uses address {address} of the Service, which keeps it; \
             it is tried again every minute; remove the device from the network, or request another \
             address with annotation {}",
            names::LOAD_BALANCER_IPS
        ),
    }
}

fn family(is_ipv4: bool) -> &'static str {
    if is_ipv4 { "IPv4" } else { "IPv6" }
}

const POOL_REMEDY: &str = "create one, or see spec.autoAssign and spec.namespaceSelector";
const NO_READY_POD: &str = "externalTrafficPolicy is Local and no pod of the Service is ready; the Service \
                            gets the addresses of the nodes that run its ready pods: see its pods, or set \
                            externalTrafficPolicy: Cluster";
const NO_LOCAL_NODE: &str = "externalTrafficPolicy is Local and no node that runs a ready pod of the Service \
                             can serve it; see the requested address, spec.ipFamilies and the label \
                             node.kubernetes.io/exclude-from-external-load-balancers of the node";

fn without_pod(f: &mut fmt::Formatter<'_>, address: IpAddr, node: &NodeName) -> fmt::Result {
    write!(
        f,
        "node {node} answers for {address} and runs no ready pod of the Service, which \
         externalTrafficPolicy: Local requires; no node that does can answer: it must match \
         spec.nodeSelector of the AddressPool, run a Ready speaker and not be excluded from load \
         balancers"
    )
}

fn no_node(f: &mut fmt::Formatter<'_>, requested: &[IpAddr], is_local: bool) -> fmt::Result {
    if is_local {
        return f.write_str(NO_LOCAL_NODE);
    }
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

fn ambiguous(f: &mut fmt::Formatter<'_>, address: IpAddr) -> fmt::Result {
    write!(
        f,
        "address {address} is the InternalIP of several nodes, so no Service gets it; give each node \
         a unique address"
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
