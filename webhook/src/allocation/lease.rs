//! The Lease of an address, as the leader sees it: the assignment, and the Service that has it.

use super::service::Key;
use fastrak_api::assignment::{Assignment, AssignmentError, State, lease_name};
use fastrak_api::names;
use fastrak_api::node::NodeName;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::ObjectMeta;
use std::net::IpAddr;

/// A Lease of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AddressLease {
    pub(super) assignment: Assignment,
    /// The Service that has the address. Empty texts if it names none.
    pub(super) service: Key,
    pub(super) service_uid: String,
    /// When its holder was last chosen.
    pub(super) acquired: Option<Timestamp>,
    /// The MAC address of the station that uses the address.
    pub(super) conflict: Option<String>,
}

impl AddressLease {
    /// Reads a Lease.
    pub(super) fn read(lease: &Lease) -> Result<Self, AssignmentError> {
        let annotations = lease.metadata.annotations.as_ref();
        let annotation = |key: &str| annotations.and_then(|map| map.get(key)).cloned();
        let text = |key: &str| annotation(key).unwrap_or_default();
        let acquired = lease.spec.as_ref().and_then(|spec| spec.acquire_time.as_ref());
        Ok(Self {
            assignment: Assignment::read(lease)?,
            service: (text(names::SERVICE_NAMESPACE), text(names::SERVICE_NAME)),
            service_uid: text(names::SERVICE_UID),
            acquired: acquired.map(|time| time.0),
            conflict: annotation(names::ADDRESS_CONFLICT),
        })
    }

    /// Returns the address.
    pub(super) fn address(&self) -> IpAddr {
        self.assignment.address
    }

    /// Returns whether the holder has found the address in use.
    pub(super) fn is_refused(&self) -> bool {
        self.assignment.state == State::Refused
    }
}

/// The nodes that are chosen for an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Nodes {
    pub(super) holder: NodeName,
    pub(super) standby: Option<NodeName>,
}

/// Returns the Lease that proposes an address for a Service to its holder.
pub(super) fn proposal(
    address: IpAddr,
    nodes: &Nodes,
    (namespace, name): &Key,
    uid: &str,
    now: Timestamp,
) -> Lease {
    let mut annotations = vec![
        (names::ADDRESS_STATE, State::Proposed.as_str()),
        (names::SERVICE_NAMESPACE, namespace),
        (names::SERVICE_NAME, name),
        (names::SERVICE_UID, uid),
    ];
    annotations.extend(nodes.standby.as_ref().map(|standby| (names::STANDBY, standby.as_str())));
    let owned = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    Lease {
        metadata: ObjectMeta {
            name: Some(lease_name(address)),
            labels: Some([owned((names::ADDRESS, names::ADDRESS_ENABLED))].into()),
            annotations: Some(annotations.into_iter().map(owned).collect()),
            ..ObjectMeta::default()
        },
        spec: Some(LeaseSpec {
            holder_identity: Some(nodes.holder.to_string()),
            acquire_time: Some(MicroTime(now)),
            ..LeaseSpec::default()
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proposal_reads_back_with_its_service() {
        let node = |name: &str| NodeName::parse(name).unwrap();
        let nodes = Nodes { holder: node("a"), standby: Some(node("b")) };
        let (address, now) = ("192.0.2.9".parse().unwrap(), Timestamp::UNIX_EPOCH);
        let key = ("shop".to_owned(), "web".to_owned());
        let mut lease = proposal(address, &nodes, &key, "u1", now);
        lease.metadata.resource_version = Some("7".to_owned());
        let read = AddressLease::read(&lease).unwrap();
        assert_eq!((read.address(), read.assignment.state), (address, State::Proposed));
        assert_eq!(
            (&read.assignment.holder, &read.assignment.standby),
            (&nodes.holder, &nodes.standby)
        );
        assert_eq!((read.service, read.service_uid.as_str()), (key, "u1"));
        assert_eq!((read.acquired, read.conflict), (Some(now), None));
    }
}
