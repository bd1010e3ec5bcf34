//! Accepts or refuses the frontends of this node, and checks them again: a port that a process of the
//! node listens on must not be forwarded to a Service.

mod sockets;

use crate::host::proc;
#[cfg(test)]
use crate::host::proc::Tables;
use crate::leases::Leases;
use fastrak_api::assignment::State;
use fastrak_api::balancer::Protocol;
use fastrak_api::frontend::{Conflict, Frontend, FrontendAssignment};
use fastrak_runtime::chain::Chain;
use fastrak_runtime::shutdown::Shutdown;
use futures::StreamExt as _;
use futures::future::join_all;
use k8s_openapi::api::coordination::v1::Lease;
use kube::runtime::watcher::Event;
use sockets::Listeners;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{IpAddr, UdpSocket};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// The time between two checks.
const INTERVAL: Duration = Duration::from_secs(10);
/// The number of checks in a row that must find a conflict before an accepted frontend is refused. Some
/// sockets exist only for a moment.
const SEEN: u8 = 2;
/// How long a connection to the node's own address may take.
const CONNECT: Duration = Duration::from_millis(300);

/// The frontends of one node.
pub struct Frontends {
    leases: Leases,
    known: BTreeMap<Frontend, Known>,
}

struct Known {
    assignment: FrontendAssignment,
    /// The number of checks in a row that have found a conflict.
    conflicts: u8,
}

impl Frontends {
    /// Returns the task.
    #[must_use]
    pub fn new(leases: Leases) -> Self {
        Self { leases, known: BTreeMap::new() }
    }

    /// Runs until shutdown is requested.
    pub async fn run(mut self, shutdown: Shutdown) -> Result<(), Infallible> {
        let mut events = std::pin::pin!(self.leases.watch_frontends().events());
        let mut listed = Vec::new();
        let mut checks = interval(INTERVAL);
        checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.requested() => return Ok(()),
                Some(event) = events.next() => match event {
                    Event::Init => listed.clear(),
                    Event::InitApply(lease) => listed.push(lease),
                    Event::InitDone => {
                        self.known.clear();
                        let all: Vec<_> = listed.drain(..).filter_map(|lease| self.put(&lease)).collect();
                        self.check(&all).await;
                    }
                    Event::Apply(lease) => {
                        let changed = self.put(&lease);
                        self.check(changed.as_slice()).await;
                    }
                    Event::Delete(lease) => drop(self.remove(&lease)),
                },
                _ = checks.tick() => {
                    let all: Vec<_> = self.known.keys().copied().collect();
                    self.check(&all).await;
                }
            }
        }
    }

    /// Records a Lease. Returns its frontend if the node has not answered yet.
    fn put(&mut self, lease: &Lease) -> Option<Frontend> {
        match FrontendAssignment::read(lease) {
            Ok(assignment) => {
                let frontend = assignment.frontend;
                let conflicts = self.known.get(&frontend).map_or(0, |known| known.conflicts);
                let is_proposed = assignment.state == State::Proposed;
                self.known.insert(frontend, Known { assignment, conflicts });
                is_proposed.then_some(frontend)
            }
            Err(error) => {
                let lease_name = self.remove(lease);
                tracing::warn!(lease = lease_name, error = %Chain(&error), "ignored a Lease");
                None
            }
        }
    }

    fn remove(&mut self, lease: &Lease) -> String {
        let name = lease.metadata.name.clone().unwrap_or_default();
        if let Some(frontend) = Frontend::of_name(&name) {
            self.known.remove(&frontend);
        }
        name
    }

    /// Checks frontends, and writes the answers that have changed.
    async fn check(&mut self, frontends: &[Frontend]) {
        if frontends.is_empty() {
            return;
        }
        let listeners = Listeners::read(&proc::sockets());
        let known = frontends.iter().filter_map(|at| Some(self.known.get(at)?.assignment.clone()));
        let found = join_all(known.map(|assignment| observe(assignment, &listeners))).await;
        for (assignment, found) in found {
            let Some(known) = self.known.get_mut(&assignment.frontend) else { continue };
            let is_in_use = matches!(found, Found::InUse(_));
            known.conflicts = if is_in_use { known.conflicts.saturating_add(1) } else { 0 };
            let Some((state, conflict)) = known.answer(found) else { continue };
            let frontend = assignment.frontend;
            match self.leases.answer(&assignment, state, conflict).await {
                Ok(()) => tracing::info!(%frontend, %state, "answered"),
                Err(error) => {
                    tracing::warn!(%frontend, error = %Chain(&error), "could not answer");
                }
            }
        }
    }
}

/// What a check has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Free,
    InUse(Conflict),
    /// This machine does not have the address: another one may have the name of the node.
    Elsewhere,
}

impl Known {
    /// Returns the state to write, with the conflict of a refusal.
    fn answer(&self, found: Found) -> Option<(State, Option<Conflict>)> {
        match (self.assignment.state, found) {
            (State::Proposed | State::Refused, Found::Free) => Some((State::Accepted, None)),
            (State::Proposed, Found::InUse(conflict)) => Some((State::Refused, Some(conflict))),
            (State::Accepted, Found::InUse(conflict)) if self.conflicts >= SEEN => {
                Some((State::Refused, Some(conflict)))
            }
            (State::Accepted | State::Refused, _) | (_, Found::Elsewhere) => None,
        }
    }
}

/// Checks whether the node can serve a frontend. A connection is tried only before the Service has the
/// address: later it would reach the Service.
async fn observe(
    assignment: FrontendAssignment,
    listeners: &Listeners,
) -> (FrontendAssignment, Found) {
    let Frontend { address, protocol, port } = assignment.frontend;
    let is_redirected = protocol == Protocol::Tcp && assignment.state != State::Accepted;
    let found = if UdpSocket::bind((address, 0)).is_err() {
        Found::Elsewhere
    } else if listeners.uses(protocol, address, port) {
        Found::InUse(Conflict::Listening)
    } else if is_redirected && connects(address, port).await {
        Found::InUse(Conflict::Redirected)
    } else {
        Found::Free
    };
    (assignment, found)
}

async fn connects(address: IpAddr, port: u16) -> bool {
    matches!(timeout(CONNECT, TcpStream::connect((address, port))).await, Ok(Ok(_)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use fastrak_api::node::NodeName;

    fn known(state: State, conflicts: u8) -> Known {
        let frontend = Frontend::of_name("192.0.2.1.tcp.80").unwrap();
        let node = NodeName::parse("node-a").unwrap();
        let uid = "u1".to_owned();
        let assignment =
            FrontendAssignment { frontend, node, state, conflict: None, uid, version: 1 };
        Known { assignment, conflicts }
    }

    #[test]
    fn a_free_port_is_accepted_and_one_in_use_refused() {
        let in_use = Found::InUse(Conflict::Listening);
        let refused = Some((State::Refused, Some(Conflict::Listening)));
        for (state, conflicts, found, expected) in [
            (State::Proposed, 0, Found::Free, Some((State::Accepted, None))),
            (State::Proposed, 1, in_use, refused),
            (State::Accepted, 0, Found::Free, None),
            (State::Accepted, 1, in_use, None),
            (State::Accepted, 2, in_use, refused),
            (State::Refused, 3, in_use, None),
            (State::Refused, 0, Found::Free, Some((State::Accepted, None))),
            (State::Proposed, 0, Found::Elsewhere, None),
            (State::Accepted, 0, Found::Elsewhere, None),
        ] {
            assert_eq!(known(state, conflicts).answer(found), expected, "{state} {found:?}");
        }
    }

    #[tokio::test]
    async fn a_port_is_free_unless_something_answers_on_it() {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let at = |state, address: &str| {
            let frontend =
                Frontend { address: address.parse().unwrap(), protocol: Protocol::Tcp, port };
            FrontendAssignment { frontend, ..known(state, 0).assignment }
        };
        let found = |assignment, tables: Tables| async move {
            observe(assignment, &Listeners::read(&tables)).await.1
        };
        let none = Tables::default();
        let proposed = at(State::Proposed, "127.0.0.1");
        assert_eq!(found(proposed.clone(), none.clone()).await, Found::InUse(Conflict::Redirected));
        assert_eq!(found(at(State::Accepted, "127.0.0.1"), none.clone()).await, Found::Free);
        let real = found(proposed.clone(), proc::sockets()).await;
        assert_eq!(real, Found::InUse(Conflict::Listening));
        assert_eq!(found(at(State::Proposed, "192.0.2.1"), none.clone()).await, Found::Elsewhere);
        drop(listener);
        assert_eq!(found(proposed, none).await, Found::Free);
    }
}
