//! A frontend: an address of a node, a protocol and a port on which the node serves a Service of the
//! mode `node-ip`. Each has one Lease that is named by it, so that the API server itself refuses to
//! give a frontend to two Services.
//!
//! The leader of the webhook creates the Lease as proposed. The node's speaker checks whether the
//! port is free, and accepts or refuses it.

use crate::assignment::{self, Assignable, AssignmentError, Common, State, annotation};
use crate::balancer::Protocol;
use crate::names;
use crate::node::{NodeKey, NodeName};
use k8s_openapi::api::coordination::v1::Lease;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// An address, a protocol and a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Frontend {
    /// The address of a node.
    pub address: IpAddr,
    /// The protocol.
    pub protocol: Protocol,
    /// The port.
    pub port: u16,
}

crate::text_enum! {
    /// Why a node cannot serve a frontend: the value of the annotation.
    pub enum Conflict {
        /// A process of the node listens on the port.
        Listening = "listening",
        /// A connection to the port succeeds although no process of the node listens on it: packets
        /// are redirected, for example by a port of a container runtime or another load balancer.
        Redirected = "redirected",
    }
}

/// A frontend and its node, as its Lease shows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrontendAssignment {
    /// The frontend.
    pub frontend: Frontend,
    /// The node that has the address.
    pub node: NodeName,
    /// Whether the node has accepted it.
    pub state: State,
    /// Why the node has refused it.
    pub conflict: Option<Conflict>,
    /// The UID of the Lease.
    pub uid: String,
    /// The version of the Lease, which every write of a speaker names.
    pub version: u64,
}

impl Frontend {
    /// The key of a Lease that is named after no frontend.
    pub const NONE: Self =
        Self { address: IpAddr::V4(Ipv4Addr::UNSPECIFIED), protocol: Protocol::Tcp, port: 0 };

    /// Returns the name of the Lease, such as `192.0.2.1.tcp.80`.
    #[must_use]
    pub fn lease_name(&self) -> String {
        let protocol = self.protocol.as_str().to_ascii_lowercase();
        format!("{}.{protocol}.{}", assignment::lease_name(self.address), self.port)
    }
}

impl Assignable for Frontend {
    const KIND: &'static str = "a frontend";

    fn of_name(name: &str) -> Option<Self> {
        let (rest, port) = name.rsplit_once('.')?;
        let (address, protocol) = rest.rsplit_once('.')?;
        let this = Self {
            address: assignment::address(address)?,
            protocol: Protocol::parse(&protocol.to_ascii_uppercase())?,
            port: port.parse().ok().filter(|port| *port > 0)?,
        };
        (this.lease_name() == name).then_some(this)
    }
}

impl fmt::Display for Frontend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", SocketAddr::new(self.address, self.port), self.protocol)
    }
}

impl FrontendAssignment {
    /// Reads the frontend from its Lease.
    pub fn read(lease: &Lease) -> Result<Self, AssignmentError<Frontend>> {
        let Common { assigned: frontend, holder: node, state, uid, version } = Common::read(lease)?;
        let conflict = annotation(lease, names::FRONTEND_CONFLICT).and_then(Conflict::parse);
        Ok(Self { frontend, node, state, conflict, uid, version })
    }
}

/// Returns the label selector of the Leases of a node's frontends.
#[must_use]
pub fn selector(node: &NodeKey) -> String {
    format!("{}={node}", names::FRONTEND)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn lease(
        change: impl FnOnce(&mut Value),
    ) -> Result<FrontendAssignment, AssignmentError<Frontend>> {
        let mut lease = json!({
            "metadata": {
                "name": "192.0.2.1.tcp.80",
                "uid": "u1",
                "resourceVersion": "7",
                "annotations": {
                    names::ADDRESS_STATE: "refused", names::FRONTEND_CONFLICT: "listening",
                },
            },
            "spec": { "holderIdentity": "node-a" },
        });
        change(&mut lease);
        FrontendAssignment::read(&serde_json::from_value(lease).unwrap())
    }

    #[test]
    fn a_frontend_is_read_from_its_lease() {
        let read = lease(|_| ()).unwrap();
        assert_eq!(read.frontend.to_string(), "192.0.2.1:80/TCP");
        assert_eq!((read.node.as_str(), read.state), ("node-a", State::Refused));
        assert_eq!((read.conflict, read.version), (Some(Conflict::Listening), 7));
    }

    #[test]
    fn every_other_lease_is_refused_with_the_reason() {
        let frontend = Frontend::of_name("192.0.2.1.tcp.80").unwrap();
        for (at, value, expected) in [
            ("/metadata/name", json!("192.0.2.1"), AssignmentError::Name("192.0.2.1".to_owned())),
            ("/spec/holderIdentity", json!("Node A"), AssignmentError::Holder(frontend)),
            ("/metadata/annotations", json!({}), AssignmentError::State(frontend)),
            ("/metadata/resourceVersion", json!("x"), AssignmentError::Version(frontend)),
        ] {
            let read = lease(|lease| *lease.pointer_mut(at).unwrap() = value.clone());
            assert_eq!(read, Err(expected), "{at}: {value}");
        }
    }

    #[test]
    fn a_frontend_has_one_name() {
        for name in [
            "192.0.2.1.tcp.080",
            "192.0.2.1.tcp.0",
            "192.0.2.1.tcp.65536",
            "192.0.2.1.TCP.80",
            "192.0.2.1.icmp.80",
            "192.0.2.1.tcp.",
            "192.0.2.1.80",
            "2001:db8::1.tcp.80",
            "",
        ] {
            assert_eq!(Frontend::of_name(name), None, "{name:?}");
        }
    }

    proptest! {
        #[test]
        fn every_frontend_is_read_from_its_name(
            v6 in any::<bool>(), low in any::<u8>(), port in 1..=u16::MAX,
            protocol in proptest::sample::select(Protocol::ALL.to_vec()),
        ) {
            let address: IpAddr = if v6 {
                format!("2001:db8::{low:x}").parse().unwrap()
            } else {
                IpAddr::from([192, 0, 2, low])
            };
            let frontend = Frontend { address, protocol, port };
            prop_assert_eq!(Frontend::of_name(&frontend.lease_name()), Some(frontend));
        }

        #[test]
        fn no_name_panics(name in ".{0,64}") {
            let _frontend = Frontend::of_name(&name);
        }
    }
}
