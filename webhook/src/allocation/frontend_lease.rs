//! The Lease of a frontend, as the leader sees it: the assignment, and the Service that has it.

use super::lease::{NewLease, Owner, acquired};
use super::state::Versioned;
use fastrak_api::assignment::{AssignmentError, State};
use fastrak_api::frontend::{Frontend, FrontendAssignment};
use fastrak_api::names;
use fastrak_api::node::NodeName;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::jiff::Timestamp;

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
    pub(super) fn read(lease: &Lease) -> Result<Self, AssignmentError<Frontend>> {
        Ok(Self {
            assignment: FrontendAssignment::read(lease)?,
            owner: Owner::read(lease),
            acquired: acquired(lease),
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
    let key = node.key();
    let lease = NewLease {
        name: frontend.lease_name(),
        label: (names::FRONTEND, key.as_str()),
        holder: node,
        standby: None,
        state,
    };
    lease.owned_by(owner, now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use fastrak_api::assignment::Assignable as _;

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
