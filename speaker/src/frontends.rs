//! Accepts or refuses the frontends of this node, and checks them again: a port that a process of the
//! node listens on must not be forwarded to a Service.

mod sockets;

use crate::host::proc;
use crate::leases::Leases;
use fastrak_api::assignment::{Assignable as _, State};
use fastrak_api::balancer::Protocol;
use fastrak_api::frontend::{Conflict, Frontend, FrontendAssignment};
use fastrak_runtime::chain::Chain;
use fastrak_runtime::reflector::Reflector;
use fastrak_runtime::shutdown::Shutdown;
use fastrak_runtime::timer::reached;
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
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

/// The time between two checks.
const INTERVAL: Duration = Duration::from_secs(10);
/// The number of checks in a row that must find a conflict before an accepted frontend is refused. Some
/// sockets exist only for a moment.
const CONFLICT_THRESHOLD: u8 = 2;
/// The number of checks in a row that must reach another program before a proposed frontend is refused,
/// and the time between them: kube-proxy forwards a port for a second or more after a Service has given
/// it up.
const REDIRECT_THRESHOLD: u8 = 6;
const RECHECK_INTERVAL: Duration = Duration::from_millis(500);
/// How long a connection to the node's own address may take.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(300);

/// The frontends of one node.
pub struct Frontends {
    leases: Leases,
    known: Reflector<Frontend, FrontendAssignment>,
    /// The number of checks in a row that have found a frontend in use.
    conflicts: BTreeMap<Frontend, u8>,
    /// When proposed frontends are checked again.
    recheck: Option<Instant>,
}

impl Frontends {
    /// Returns the task.
    #[must_use]
    pub fn new(leases: Leases) -> Self {
        Self { leases, known: Reflector::default(), conflicts: BTreeMap::new(), recheck: None }
    }

    /// Runs until shutdown is requested.
    pub async fn run(mut self, shutdown: Shutdown) -> Result<(), Infallible> {
        let mut events = std::pin::pin!(self.leases.watch_frontends(read).events());
        let mut checks = interval(INTERVAL);
        checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let due = tokio::select! {
                () = shutdown.requested() => return Ok(()),
                Some(event) = events.next() => self.proposed(event),
                _ = checks.tick() => self.select(|_| true),
                () = reached(self.recheck) => {
                    self.recheck = None;
                    self.select(|of| of.state == State::Proposed)
                }
            };
            self.check(due).await;
        }
    }

    /// Applies an event. Returns the frontends that it proposes.
    fn proposed(&mut self, event: Event<(Frontend, Option<FrontendAssignment>)>) -> Assignments {
        let (mut is_list, mut changed) = (false, None);
        match &event {
            Event::InitDone => {
                is_list = true;
                self.conflicts.clear();
            }
            Event::Apply((frontend, _)) => changed = Some(*frontend),
            Event::Delete((frontend, _)) => drop(self.conflicts.remove(frontend)),
            Event::Init | Event::InitApply(_) => {}
        }
        self.known.apply(event);
        self.select(|of| of.state == State::Proposed && (is_list || changed == Some(of.frontend)))
    }

    fn select(&self, is_due: impl Fn(&FrontendAssignment) -> bool) -> Assignments {
        let known = self.known.all().unwrap_or_default();
        known.values().filter(|assignment| is_due(assignment)).cloned().collect()
    }

    /// Checks frontends, and writes the answers that have changed.
    async fn check(&mut self, due: Assignments) {
        if due.is_empty() {
            return;
        }
        let listeners = Listeners::read(&proc::sockets());
        let results = due.iter().map(|assignment| observe(assignment, &listeners));
        for (assignment, result) in due.iter().zip(join_all(results).await) {
            let frontend = assignment.frontend;
            let conflicts = self.count(frontend, result);
            let answer = answer(assignment.state, result, conflicts);
            if let (None, State::Proposed, CheckResult::InUse(_)) =
                (answer, assignment.state, result)
            {
                self.recheck = Some(Instant::now() + RECHECK_INTERVAL);
            }
            let Some((state, conflict)) = answer else { continue };
            match self.leases.answer(assignment, state, conflict).await {
                Ok(()) => tracing::info!(%frontend, %state, "wrote whether the node serves a port"),
                Err(error) => {
                    tracing::warn!(%frontend, error = %Chain(&error), "could not write whether the node serves a port");
                }
            }
        }
    }

    /// Counts the checks in a row that have found the frontend in use.
    fn count(&mut self, frontend: Frontend, result: CheckResult) -> u8 {
        if !matches!(result, CheckResult::InUse(_)) {
            self.conflicts.remove(&frontend);
            return 0;
        }
        let count = self.conflicts.entry(frontend).or_default();
        *count = count.saturating_add(1);
        *count
    }
}

/// The result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CheckResult {
    Free,
    InUse(Conflict),
    /// This machine does not have the address: another one may have the name of the node.
    NotLocal,
}

type Assignments = Vec<FrontendAssignment>;

/// Parses the Lease of a frontend. Another Lease has no value.
fn read(text: &str) -> Result<(Frontend, Option<FrontendAssignment>), serde_json::Error> {
    let lease: Lease = serde_json::from_str(text)?;
    let name = lease.metadata.name.as_deref().unwrap_or_default();
    let assignment = FrontendAssignment::read(&lease).inspect_err(|error| {
        tracing::warn!(lease = name, error = %Chain(error), "ignored a Lease");
    });
    Ok((Frontend::of_name(name).unwrap_or(Frontend::NONE), assignment.ok()))
}

/// Returns the state to write, with the conflict of a refusal.
fn answer(state: State, result: CheckResult, conflicts: u8) -> Option<(State, Option<Conflict>)> {
    match (state, result) {
        (State::Proposed | State::Refused, CheckResult::Free) => Some((State::Accepted, None)),
        (State::Proposed, CheckResult::InUse(Conflict::Redirected))
            if conflicts < REDIRECT_THRESHOLD =>
        {
            None
        }
        (State::Proposed, CheckResult::InUse(conflict)) => Some((State::Refused, Some(conflict))),
        (State::Accepted, CheckResult::InUse(conflict)) if conflicts >= CONFLICT_THRESHOLD => {
            Some((State::Refused, Some(conflict)))
        }
        (State::Accepted | State::Refused, _) | (_, CheckResult::NotLocal) => None,
    }
}

/// Checks whether the node can serve a frontend. A connection is tried only before the Service has the
/// address: later it would reach the Service.
async fn observe(assignment: &FrontendAssignment, listeners: &Listeners) -> CheckResult {
    let Frontend { address, protocol, port } = assignment.frontend;
    let is_unserved = protocol == Protocol::Tcp && assignment.state != State::Accepted;
    if UdpSocket::bind((address, 0)).is_err() {
        CheckResult::NotLocal
    } else if listeners.uses(protocol, address, port) {
        CheckResult::InUse(Conflict::Listening)
    } else if is_unserved && connects(address, port).await {
        CheckResult::InUse(Conflict::Redirected)
    } else {
        CheckResult::Free
    }
}

async fn connects(address: IpAddr, port: u16) -> bool {
    matches!(timeout(CONNECT_TIMEOUT, TcpStream::connect((address, port))).await, Ok(Ok(_)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::proc::Tables;
    use fastrak_api::node::NodeName;

    fn assignment(state: State) -> FrontendAssignment {
        let frontend = Frontend::of_name("192.0.2.1.tcp.80").unwrap();
        let node = NodeName::parse("node-a").unwrap();
        let uid = "u1".to_owned();
        FrontendAssignment { frontend, node, state, conflict: None, uid, version: 1 }
    }

    #[test]
    fn a_free_port_is_accepted_and_one_in_use_refused() {
        let in_use = CheckResult::InUse(Conflict::Listening);
        let refused = Some((State::Refused, Some(Conflict::Listening)));
        let redirected = Some((State::Refused, Some(Conflict::Redirected)));
        for (state, conflicts, found, expected) in [
            (State::Proposed, 0, CheckResult::Free, Some((State::Accepted, None))),
            (State::Proposed, 1, in_use, refused),
            (State::Proposed, 5, CheckResult::InUse(Conflict::Redirected), None),
            (State::Proposed, 6, CheckResult::InUse(Conflict::Redirected), redirected),
            (State::Accepted, 0, CheckResult::Free, None),
            (State::Accepted, 1, in_use, None),
            (State::Accepted, 2, in_use, refused),
            (State::Refused, 3, in_use, None),
            (State::Refused, 0, CheckResult::Free, Some((State::Accepted, None))),
            (State::Proposed, 0, CheckResult::NotLocal, None),
            (State::Accepted, 0, CheckResult::NotLocal, None),
        ] {
            assert_eq!(answer(state, found, conflicts), expected, "{state} {found:?}");
        }
    }

    #[tokio::test]
    async fn a_port_is_free_unless_something_answers_on_it() {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let at = |state, address: &str| {
            let frontend =
                Frontend { address: address.parse().unwrap(), protocol: Protocol::Tcp, port };
            FrontendAssignment { frontend, ..assignment(state) }
        };
        let found = |assignment: FrontendAssignment, tables: Tables| async move {
            observe(&assignment, &Listeners::read(&tables)).await
        };
        let none = Tables::default();
        let proposed = at(State::Proposed, "127.0.0.1");
        assert_eq!(
            found(proposed.clone(), none.clone()).await,
            CheckResult::InUse(Conflict::Redirected)
        );
        assert_eq!(found(at(State::Accepted, "127.0.0.1"), none.clone()).await, CheckResult::Free);
        let real = found(proposed.clone(), proc::sockets()).await;
        assert_eq!(real, CheckResult::InUse(Conflict::Listening));
        assert_eq!(
            found(at(State::Proposed, "192.0.2.1"), none.clone()).await,
            CheckResult::NotLocal
        );
        drop(listener);
        assert_eq!(found(proposed, none).await, CheckResult::Free);
    }
}
