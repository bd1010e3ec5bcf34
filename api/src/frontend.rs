//! A frontend: an address of a node, a protocol and a port on which the node serves a Service of the
//! mode `node-ip`. Each has one Lease that is named by it, so that the API server itself refuses to
//! give a frontend to two Services.
//!
//! The leader of the webhook creates the Lease as proposed. The node's speaker checks whether the
//! port is free, and accepts or refuses it.

use crate::assignment::{self, State};
use crate::balancer::Protocol;
use crate::names;
use crate::node::{NodeKey, NodeName};
use k8s_openapi::api::coordination::v1::Lease;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

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

/// Why a Lease is no frontend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrontendError {
    /// The name of the Lease is not a frontend.
    #[error("Lease {0:?} is not named after a frontend")]
    Name(String),
    /// The holder is missing or not the name of a node.
    #[error("the holder of {0} is missing or not the name of a node")]
    Holder(Frontend),
    /// The state is missing or unknown.
    #[error("the state of {0} is not one of proposed, accepted, refused")]
    State(Frontend),
    /// The version of the Lease is not a number.
    #[error("the version of the Lease of {0} is not a number")]
    Version(Frontend),
}

impl Frontend {
    /// Returns the name of the Lease, such as `192.0.2.1.tcp.80`.
    #[must_use]
    pub fn lease_name(&self) -> String {
        let protocol = self.protocol.as_str().to_ascii_lowercase();
        format!("{}.{protocol}.{}", assignment::lease_name(self.address), self.port)
    }

    /// Returns the frontend that a Lease is named by.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
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
    pub fn read(lease: &Lease) -> Result<Self, FrontendError> {
        let metadata = &lease.metadata;
        let name = metadata.name.clone().unwrap_or_default();
        let frontend = Frontend::of_name(&name).ok_or(FrontendError::Name(name))?;
        let annotation = |key| Some(metadata.annotations.as_ref()?.get(key)?.as_str());
        let holder = lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref());
        let node = NodeName::parse(holder.unwrap_or_default());
        let state = annotation(names::ADDRESS_STATE).and_then(State::parse);
        let version = assignment::version(metadata.resource_version.as_deref());
        Ok(Self {
            frontend,
            node: node.map_err(|_| FrontendError::Holder(frontend))?,
            state: state.ok_or(FrontendError::State(frontend))?,
            conflict: annotation(names::FRONTEND_CONFLICT).and_then(Conflict::parse),
            uid: metadata.uid.clone().unwrap_or_default(),
            version: version.ok_or(FrontendError::Version(frontend))?,
        })
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

    fn lease(change: impl FnOnce(&mut Value)) -> Result<FrontendAssignment, FrontendError> {
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
            ("/metadata/name", json!("192.0.2.1"), FrontendError::Name("192.0.2.1".to_owned())),
            ("/spec/holderIdentity", json!("Node A"), FrontendError::Holder(frontend)),
            ("/metadata/annotations", json!({}), FrontendError::State(frontend)),
            ("/metadata/resourceVersion", json!("x"), FrontendError::Version(frontend)),
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
