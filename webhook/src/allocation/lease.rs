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

/// The Service that a Lease belongs to. Empty texts if it names none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) key: Key,
    pub(super) uid: String,
}

impl Owner {
    /// Reads the Service of a Lease.
    pub(super) fn read(lease: &Lease) -> Self {
        let annotations = lease.metadata.annotations.as_ref();
        let text =
            |key: &str| annotations.and_then(|map| map.get(key)).cloned().unwrap_or_default();
        Self {
            key: (text(names::SERVICE_NAMESPACE), text(names::SERVICE_NAME)),
            uid: text(names::SERVICE_UID),
        }
    }

    /// Returns the annotations that name the Service.
    pub(super) fn annotations(&self) -> [(&'static str, &str); 3] {
        let Self { key: (namespace, name), uid } = self;
        [
            (names::SERVICE_NAMESPACE, namespace),
            (names::SERVICE_NAME, name),
            (names::SERVICE_UID, uid),
        ]
    }
}

/// What the leader writes into a new Lease beside its owner.
pub(super) struct NewLease<'a> {
    pub(super) name: String,
    pub(super) label: (&'a str, &'a str),
    pub(super) holder: &'a NodeName,
    pub(super) standby: Option<&'a NodeName>,
    pub(super) state: State,
}

impl NewLease<'_> {
    /// Returns the Lease for a Service.
    pub(super) fn owned_by(self, owner: &Owner, now: Timestamp) -> Lease {
        let text = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
        let state = (names::ADDRESS_STATE, self.state.as_str());
        let standby = self.standby.map(|standby| (names::STANDBY, standby.as_str()));
        let annotations = [state].into_iter().chain(standby).chain(owner.annotations());
        Lease {
            metadata: ObjectMeta {
                name: Some(self.name),
                labels: Some([text(self.label)].into()),
                annotations: Some(annotations.map(text).collect()),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(self.holder.to_string()),
                acquire_time: Some(MicroTime(now)),
                ..LeaseSpec::default()
            }),
        }
    }
}

/// Returns when the holder of a Lease was chosen.
pub(super) fn acquired(lease: &Lease) -> Option<Timestamp> {
    lease.spec.as_ref()?.acquire_time.as_ref().map(|time| time.0)
}

/// A Lease of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AddressLease {
    pub(super) assignment: Assignment,
    /// The Service that has the address.
    pub(super) owner: Owner,
    /// When its holder was last chosen.
    pub(super) acquired: Option<Timestamp>,
    /// The MAC address of the station that uses the address.
    pub(super) conflict: Option<String>,
}

impl AddressLease {
    /// Reads a Lease.
    pub(super) fn read(lease: &Lease) -> Result<Self, AssignmentError> {
        let annotations = lease.metadata.annotations.as_ref();
        let conflict = annotations.and_then(|map| map.get(names::ADDRESS_CONFLICT));
        Ok(Self {
            assignment: Assignment::read(lease)?,
            owner: Owner::read(lease),
            acquired: acquired(lease),
            conflict: conflict.cloned(),
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
pub(super) fn proposal(address: IpAddr, nodes: &Nodes, owner: &Owner, now: Timestamp) -> Lease {
    let lease = NewLease {
        name: lease_name(address),
        label: (names::ADDRESS, names::ADDRESS_ENABLED),
        holder: &nodes.holder,
        standby: nodes.standby.as_ref(),
        state: State::Proposed,
    };
    lease.owned_by(owner, now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proposal_reads_back_with_its_service() {
        let node = |name: &str| NodeName::parse(name).unwrap();
        let nodes = Nodes { holder: node("a"), standby: Some(node("b")) };
        let (address, now) = ("192.0.2.9".parse().unwrap(), Timestamp::UNIX_EPOCH);
        let owner = Owner { key: ("shop".to_owned(), "web".to_owned()), uid: "u1".to_owned() };
        let mut lease = proposal(address, &nodes, &owner, now);
        lease.metadata.resource_version = Some("7".to_owned());
        let read = AddressLease::read(&lease).unwrap();
        assert_eq!((read.address(), read.assignment.state), (address, State::Proposed));
        assert_eq!(
            (&read.assignment.holder, &read.assignment.standby),
            (&nodes.holder, &nodes.standby)
        );
        assert_eq!(read.owner, owner);
        assert_eq!((read.acquired, read.conflict), (Some(now), None));
    }
}
