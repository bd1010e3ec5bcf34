//! Why a Service does not get an address, and what to do.

use crate::allocation::lease::AddressLease;
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
}

impl Problem {
    /// Returns the problem of an address that a node has refused.
    pub(super) fn conflict(lease: &AddressLease, is_requested: bool) -> Self {
        let mac = lease.conflict.clone().unwrap_or_default();
        Self::Conflict { address: lease.address(), mac, is_requested }
    }

    /// Returns whether the Service has no address because of it.
    pub(in crate::allocation) fn is_blocking(&self) -> bool {
        !matches!(self, Self::Conflict { is_requested: false, .. })
    }

    /// Returns the reason of the event about it.
    pub(in crate::allocation) fn reason(&self) -> EventReason {
        match self {
            Self::Conflict { .. } | Self::ManyConflicts => EventReason::AddressInUse,
            Self::NotAnAddress(_)
            | Self::NotInPool { .. }
            | Self::Taken(_)
            | Self::NoPool { .. }
            | Self::Exhausted { .. }
            | Self::NoSpeaker { .. }
            | Self::NotAccepted { .. } => EventReason::AddressNotAssigned,
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
        }
    }
}

fn family(is_ipv4: bool) -> &'static str {
    if is_ipv4 { "IPv4" } else { "IPv6" }
}
