//! The assignment of an address to nodes: one Lease for each address, named by it, so that the API
//! server itself refuses to assign an address twice.
//!
//! The leader of the webhook creates it as proposed. The holder's speaker accepts or refuses it. The
//! standby takes it over if the holder fails.

use crate::address_range::is_possible;
use crate::names;
use crate::node::NodeName;
use k8s_openapi::api::coordination::v1::Lease;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// An assignment, as its Lease shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The address.
    pub address: IpAddr,
    /// The node that answers for it.
    pub holder: NodeName,
    /// The node that takes it over if the holder fails.
    pub standby: Option<NodeName>,
    /// Whether the holder has accepted it.
    pub state: State,
    /// The UID of the Lease: another object of the same name is another assignment.
    pub uid: String,
    /// The version of the Lease, which every write of a speaker names. Versions of Leases grow.
    pub version: u64,
}

crate::text_enum! {
    /// Whether the holder has accepted an assignment: the value of the annotation.
    pub enum State {
        /// The holder has not answered yet.
        Proposed = "proposed",
        /// The holder answers for the address.
        Accepted = "accepted",
        /// The holder has found the address in use.
        Refused = "refused",
    }
}

/// What one Lease assigns and is named by: an address or a frontend.
pub trait Assignable: Copy + fmt::Debug + fmt::Display {
    /// Its kind, with the article.
    const KIND: &'static str;

    /// Returns what a Lease with this name assigns.
    fn of_name(name: &str) -> Option<Self>;
}

impl Assignable for IpAddr {
    const KIND: &'static str = "an address";

    fn of_name(name: &str) -> Option<Self> {
        address(name)
    }
}

/// Why a Lease is no assignment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AssignmentError<K: Assignable = IpAddr> {
    /// The Lease has another name.
    #[error("Lease {0:?} is not named after {kind}", kind = K::KIND)]
    Name(String),
    /// The holder is missing or not the name of a node.
    #[error("the holder of {0} is missing or not the name of a node")]
    Holder(K),
    /// The standby is not the name of a node.
    #[error("the standby of {0} is not the name of a node")]
    Standby(K),
    /// The state is missing or unknown.
    #[error("the state of {0} is not one of proposed, accepted, refused")]
    State(K),
    /// The version of the Lease is not a number.
    #[error("the version of the Lease of {0} is not a number")]
    Version(K),
}

/// What the Leases of addresses and of frontends have in common.
pub(crate) struct Common<K> {
    pub(crate) assigned: K,
    pub(crate) holder: NodeName,
    pub(crate) state: State,
    pub(crate) uid: String,
    pub(crate) version: u64,
}

impl<K: Assignable> Common<K> {
    /// Reads it from a Lease.
    pub(crate) fn read(lease: &Lease) -> Result<Self, AssignmentError<K>> {
        let metadata = &lease.metadata;
        let name = metadata.name.clone().unwrap_or_default();
        let assigned = K::of_name(&name).ok_or(AssignmentError::Name(name))?;
        let holder = lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref());
        let holder = NodeName::parse(holder.unwrap_or_default());
        let state = annotation(lease, names::ADDRESS_STATE).and_then(State::parse);
        let version = version(metadata.resource_version.as_deref());
        Ok(Self {
            assigned,
            holder: holder.map_err(|_| AssignmentError::Holder(assigned))?,
            state: state.ok_or(AssignmentError::State(assigned))?,
            uid: metadata.uid.clone().unwrap_or_default(),
            version: version.ok_or(AssignmentError::Version(assigned))?,
        })
    }
}

/// Returns an annotation of a Lease.
pub(crate) fn annotation<'a>(lease: &'a Lease, key: &str) -> Option<&'a str> {
    Some(lease.metadata.annotations.as_ref()?.get(key)?.as_str())
}

impl Assignment {
    /// Reads the assignment from its Lease.
    pub fn read(lease: &Lease) -> Result<Self, AssignmentError> {
        let Common { assigned: address, holder, state, uid, version } = Common::read(lease)?;
        let standby = annotation(lease, names::STANDBY).map(NodeName::parse).transpose();
        let standby = standby.map_err(|_| AssignmentError::Standby(address))?;
        Ok(Self { address, holder, standby, state, uid, version })
    }
}

/// Returns the label selector of the Leases of addresses.
#[must_use]
pub fn selector() -> String {
    format!("{}={}", names::ADDRESS, names::ADDRESS_ENABLED)
}

/// Returns the name of the Lease of an address. A name has no colons, so an IPv6 address is written
/// in full with hyphens: each address has exactly one name.
#[must_use]
pub fn lease_name(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => address.segments().map(|group| format!("{group:04x}")).join("-"),
    }
}

/// How the name of each heartbeat begins, and that of no assignment.
pub const HEARTBEAT_PREFIX: &str = "node.";

/// Returns the name of the Lease by which a node shows that its speaker works.
#[must_use]
pub fn heartbeat_name(node: &NodeName) -> String {
    // The key is shorter than a node's name may be.
    format!("{HEARTBEAT_PREFIX}{}", node.key())
}

/// Returns the address that a Lease is named by.
#[must_use]
pub fn address(name: &str) -> Option<IpAddr> {
    let parsed = if name.contains('-') {
        let address: Ipv6Addr = name.replace('-', ":").parse().ok()?;
        IpAddr::V6(address)
    } else {
        IpAddr::V4(name.parse().ok()?)
    };
    (lease_name(parsed) == name && is_possible(parsed)).then_some(parsed)
}

/// Returns the version of a Lease, a list or a deletion as a number.
#[must_use]
pub fn version(text: Option<&str>) -> Option<u64> {
    text?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn lease(change: impl FnOnce(&mut Value)) -> Result<Assignment, AssignmentError> {
        let mut lease = json!({
            "metadata": {
                "name": "192.0.2.10",
                "uid": "u1",
                "resourceVersion": "7",
                "annotations": { names::STANDBY: "node-b", names::ADDRESS_STATE: "accepted" },
            },
            "spec": { "holderIdentity": "node-a" },
        });
        change(&mut lease);
        Assignment::read(&serde_json::from_value(lease).unwrap())
    }

    #[test]
    fn an_assignment_is_read_from_its_lease() {
        let read = lease(|_| ()).unwrap();
        assert_eq!(read.address, "192.0.2.10".parse::<IpAddr>().unwrap());
        assert_eq!(read.holder.as_str(), "node-a");
        assert_eq!(read.standby.unwrap().as_str(), "node-b");
        assert_eq!((read.state, read.uid.as_str(), read.version), (State::Accepted, "u1", 7));
    }

    #[test]
    fn an_assignment_needs_no_standby() {
        let annotations = json!({ names::ADDRESS_STATE: "proposed" });
        let read = lease(|lease| lease["metadata"]["annotations"] = annotations).unwrap();
        assert_eq!((read.standby, read.state), (None, State::Proposed));
    }

    #[test]
    fn every_other_lease_is_refused_with_the_reason() {
        let address = "192.0.2.10".parse().unwrap();
        let standby = json!({ names::STANDBY: "B", names::ADDRESS_STATE: "accepted" });
        for (at, value, expected) in [
            (
                "/metadata/name",
                json!("192.0.2.010"),
                AssignmentError::Name("192.0.2.010".to_owned()),
            ),
            ("/metadata/name", json!("web"), AssignmentError::Name("web".to_owned())),
            ("/spec/holderIdentity", json!(""), AssignmentError::Holder(address)),
            ("/spec/holderIdentity", json!("Node A"), AssignmentError::Holder(address)),
            ("/metadata/annotations", standby, AssignmentError::Standby(address)),
            ("/metadata/annotations", json!({}), AssignmentError::State(address)),
        ] {
            let read = lease(|lease| *lease.pointer_mut(at).unwrap() = value.clone());
            assert_eq!(read, Err(expected), "{at}: {value}");
        }
    }

    #[test]
    fn an_ipv6_address_is_written_in_full() {
        let name = lease_name("2001:db8::10".parse().unwrap());
        assert_eq!(name, "2001-0db8-0000-0000-0000-0000-0000-0010");
        assert_eq!(address("2001-db8-0-0-0-0-0-10"), None, "each address has one name");
    }

    proptest! {
        #[test]
        fn every_address_is_read_from_its_name(v4 in any::<[u8; 4]>(), v6 in any::<[u8; 16]>()) {
            for original in [IpAddr::from(v4), IpAddr::from(v6)] {
                let expected = is_possible(original).then_some(original);
                prop_assert_eq!(address(&lease_name(original)), expected);
            }
        }

        #[test]
        fn no_name_panics(name in ".{0,64}") {
            let _address = address(&name);
        }
    }
}
