//! The Lease of a frontend, as the leader sees it: the assignment, and the Service that has it.

use super::lease::{Owner, owned_by};
use super::state::Versioned;
use fastrak_api::assignment::State;
use fastrak_api::frontend::{Frontend, FrontendAssignment, FrontendError};
use fastrak_api::names;
use fastrak_api::node::NodeName;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::ObjectMeta;

/// A Lease of a frontend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FrontendLease {
    pub(super) assignment: FrontendAssignment,
    /// The Service that has the frontend.
    pub(super) owner: Owner,
    /// When it was proposed.
    pub(super) acquired: Option<Timestamp>,
}

impl FrontendLease {
    /// Reads a Lease.
    pub(super) fn read(lease: &Lease) -> Result<Self, FrontendError> {
        let acquired = lease.spec.as_ref().and_then(|spec| spec.acquire_time.as_ref());
        Ok(Self {
            assignment: FrontendAssignment::read(lease)?,
            owner: Owner::read(lease),
            acquired: acquired.map(|time| time.0),
        })
    }

    /// Returns the frontend.
    pub(super) fn frontend(&self) -> Frontend {
        self.assignment.frontend
    }
}

impl Versioned for FrontendLease {
    fn version(&self) -> u64 {
        self.assignment.version
    }
}

/// Returns the Lease of a frontend for a Service.
pub(super) fn lease(
    frontend: Frontend,
    node: &NodeName,
    owner: &Owner,
    state: State,
    now: Timestamp,
) -> Lease {
    let annotations = [(names::ADDRESS_STATE.to_owned(), state.to_string())];
    Lease {
        metadata: ObjectMeta {
            name: Some(frontend.lease_name()),
            labels: Some([(names::FRONTEND.to_owned(), node.key().to_string())].into()),
            annotations: Some(annotations.into_iter().chain(owned_by(owner)).collect()),
            ..ObjectMeta::default()
        },
        spec: Some(LeaseSpec {
            holder_identity: Some(node.to_string()),
            acquire_time: Some(MicroTime(now)),
            ..LeaseSpec::default()
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_reads_back_with_its_service() {
        let frontend = Frontend::of_name("192.0.2.1.udp.53").unwrap();
        let owner = Owner { key: ("shop".to_owned(), "dns".to_owned()), uid: "u1".to_owned() };
        let node = NodeName::parse("node-a").unwrap();
        let mut lease = lease(frontend, &node, &owner, State::Proposed, Timestamp::UNIX_EPOCH);
        lease.metadata.resource_version = Some("7".to_owned());
        let read = FrontendLease::read(&lease).unwrap();
        assert_eq!((read.frontend(), &read.assignment.node), (frontend, &node));
        assert_eq!((read.assignment.state, read.owner), (State::Proposed, owner));
        assert_eq!((read.acquired, read.assignment.conflict), (Some(Timestamp::UNIX_EPOCH), None));
    }
}
