//! Carries out the decisions of [`Assignments`]. Requests to the API server run concurrently, so
//! that a slow one delays no other.

use crate::assignments::{Action, Assignments, Written};
use crate::frame::Mac;
use crate::heartbeat::Status;
use crate::leases::{Change, Leases, LeasesError, Listed};
use crate::metrics::Metrics;
use crate::network::{Cause, Command, Epoch, Notice};
use fastrak_api::assignment::{self, Assignment};
use fastrak_api::node::NodeName;
use fastrak_runtime::chain::Chain;
use fastrak_runtime::ready::ReadyHandle;
use fastrak_runtime::shutdown::Shutdown;
use futures::StreamExt as _;
use k8s_openapi::api::coordination::v1::Lease;
use kube::runtime::watcher::Event;
use std::convert::Infallible;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

/// The time between two steps.
const TICK: Duration = Duration::from_millis(50);
/// How long a node that shuts down may take to hand its addresses over.
const HAND_OVER: Duration = Duration::from_secs(3);

/// The controller of one node.
pub struct Controller {
    assignments: Assignments,
    leases: Leases,
    commands: UnboundedSender<Command>,
    reports: Reports,
    /// The MAC address of the interface, once it was up.
    mac: Option<Mac>,
    is_up: bool,
    is_only: bool,
    requests: JoinSet<Outcome>,
}

/// Where the controller reports its state.
#[derive(Debug)]
pub struct Reports {
    /// What the task that writes heartbeats needs.
    pub status: watch::Sender<Status>,
    /// Ready while the interface can be used.
    pub interface: ReadyHandle,
    /// Ready while no other speaker works for the node.
    pub node: ReadyHandle,
    /// Ready after the assignments were listed once.
    pub assignments: ReadyHandle,
    /// The metrics.
    pub metrics: Metrics,
}

/// The result of a request.
enum Outcome {
    Listed(u64, Epoch, Result<Listed, LeasesError>),
    Written(Assignment, Change, Epoch, Result<Option<Assignment>, LeasesError>),
    Heartbeat(NodeName, Result<Option<String>, LeasesError>),
}

impl Controller {
    /// Returns a controller that sends `commands` to the network task.
    #[must_use]
    pub fn new(
        assignments: Assignments,
        leases: Leases,
        commands: UnboundedSender<Command>,
        reports: Reports,
    ) -> Self {
        let requests = JoinSet::new();
        let (mac, is_up, is_only) = (None, false, false);
        Self { assignments, leases, commands, reports, mac, is_up, is_only, requests }
    }

    /// Runs until shutdown is requested, and then hands all addresses over.
    pub async fn run(
        mut self,
        mut notices: UnboundedReceiver<Notice>,
        shutdown: Shutdown,
    ) -> Result<(), Infallible> {
        let mut events = std::pin::pin!(self.leases.watch().events());
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut deadline = None;
        while deadline.is_none_or(|at| Instant::now() < at && self.assignments.can_hand_over()) {
            tokio::select! {
                Some(event) = events.next() => self.watched(event),
                Some(notice) = notices.recv() => self.handle_notice(notice),
                Some(Ok(outcome)) = self.requests.join_next() => self.finished(outcome),
                _ = ticks.tick() => self.assignments.step(Instant::now()),
                () = shutdown.requested(), if deadline.is_none() => {
                    deadline = Some(Instant::now() + HAND_OVER);
                    self.assignments.stop();
                }
            }
            self.act();
        }
        Ok(())
    }

    fn watched(&mut self, event: Event<Lease>) {
        let (lease, is_deleted) = match event {
            Event::Apply(lease) | Event::InitApply(lease) => (lease, false),
            Event::Delete(lease) => (lease, true),
            Event::Init => return,
            // The list of a watch may come from a cache, and does not show what was deleted.
            Event::InitDone => return self.assignments.expire(),
        };
        if is_deleted {
            self.deleted(&lease);
            return;
        }
        match Assignment::read(&lease) {
            Ok(assignment) => self.assignments.watched(assignment, Instant::now()),
            Err(error) => {
                // What it was before is not assigned any more.
                self.deleted(&lease);
                let lease = lease.metadata.name.unwrap_or_default();
                tracing::warn!(lease, error = %Chain(&error), "ignored a Lease");
            }
        }
    }

    fn deleted(&mut self, lease: &Lease) {
        let metadata = &lease.metadata;
        let version = assignment::version(metadata.resource_version.as_deref());
        let address = metadata.name.as_deref().and_then(assignment::address);
        if let Some(address) = address {
            let uid = metadata.uid.as_deref().unwrap_or_default();
            self.assignments.deleted(address, uid, version.unwrap_or_default());
        }
    }

    fn handle_notice(&mut self, notice: Notice) {
        match notice {
            Notice::Seen { sighting, count } => self.assignments.seen(sighting, count),
            Notice::Silenced { cause, epoch } => {
                self.silenced(cause);
                self.assignments.silenced(epoch, Instant::now());
            }
            Notice::OtherSpeaker(other) => self.other_speaker(other),
        }
    }

    fn other_speaker(&mut self, other: Option<String>) {
        self.is_only = other.is_none();
        if let Some(mac) = other {
            let reason = format!(
                "another machine, with MAC address {mac}, runs a speaker for this node; rename one of \
                 the two nodes"
            );
            tracing::error!(reason, "found another speaker of this node; answering for no address");
            self.reports.node.not_ready(reason);
            // The process ends if the network task does.
            let _ended = self.commands.send(Command::SilenceAll);
        } else {
            self.reports.node.ready();
        }
        self.enable();
    }

    fn enable(&mut self) {
        self.assignments.enable(self.is_up && self.is_only, Instant::now());
    }

    fn silenced(&mut self, cause: Cause) {
        match cause {
            Cause::Requested => return,
            Cause::Stopped(pause) => {
                tracing::warn!(
                    ?pause,
                    "stopped answering after a pause, until the assignments are listed"
                );
                return;
            }
            Cause::Down(reason) => {
                tracing::warn!(reason, "cannot use the interface; answering for no address");
                self.reports.interface.not_ready(reason);
                self.is_up = false;
            }
            Cause::Up(interface, mac) => {
                tracing::info!(%interface, %mac, "using the interface");
                self.reports.interface.ready();
                (self.is_up, self.mac) = (true, Some(mac));
            }
        }
        self.reports.metrics.interface(self.is_up);
        self.enable();
    }

    fn finished(&mut self, outcome: Outcome) {
        let now = Instant::now();
        match outcome {
            Outcome::Listed(number, epoch, result) => {
                let listed = logged(result);
                if listed.is_some() {
                    self.reports.assignments.ready();
                }
                self.assignments.listed(number, epoch, listed, now);
            }
            Outcome::Heartbeat(node, result) => {
                self.assignments.heartbeat(&node, logged(result), now);
                // A takeover that it allows does not wait for the next tick.
                self.assignments.step(now);
            }
            Outcome::Written(before, change, epoch, result) => {
                let written = match logged(result) {
                    Some(Some(assignment)) => {
                        let address = before.address;
                        tracing::info!(%address, ?change, "changed the assignment");
                        self.count(change);
                        Written::Done(Box::new(assignment))
                    }
                    Some(None) => Written::Superseded,
                    None => Written::Failed,
                };
                self.assignments.written(&before, epoch, written, now);
            }
        }
    }

    fn count(&self, change: Change) {
        match change {
            Change::TakeOver => self.reports.metrics.taken_over(),
            Change::Refuse(_) => self.reports.metrics.conflict(),
            Change::Accept | Change::HandOver => {}
        }
    }

    /// Carries out what is due.
    fn act(&mut self) {
        for action in self.assignments.take_actions() {
            self.carry_out(action);
        }
        let roles = self.assignments.roles();
        self.reports.metrics.roles(roles);
        let status = Status { mac: self.mac, answers: roles.0 > 0 };
        self.reports.status.send_if_modified(|shown| std::mem::replace(shown, status) != status);
    }

    fn carry_out(&mut self, action: Action) {
        let leases = self.leases.clone();
        match action {
            Action::Send(command) => {
                if let Command::Answer(address, ..) = &command {
                    tracing::info!(%address, "answering for the address");
                }
                // The process ends if the network task does.
                let _ended = self.commands.send(command);
            }
            Action::Warn(sighting) => {
                let (address, mac) = (sighting.address, sighting.mac);
                self.reports.metrics.conflict();
                tracing::warn!(%address, %mac, "found another device that uses the address; not answering until the assignments are listed");
            }
            Action::List(number, epoch) => {
                let request = async move { Outcome::Listed(number, epoch, leases.list().await) };
                self.requests.spawn(request);
            }
            Action::ReadHeartbeat(node) => {
                let request = async move {
                    let read = leases.heartbeat(&node).await;
                    Outcome::Heartbeat(node, read.map(|found| found.map(|found| found.version)))
                };
                self.requests.spawn(request);
            }
            Action::Write(assignment, change, epoch) => {
                let request = async move {
                    let written = leases.write(&assignment, change).await;
                    Outcome::Written(assignment, change, epoch, written)
                };
                self.requests.spawn(request);
            }
        }
    }
}

/// Logs an error.
fn logged<T>(result: Result<T, LeasesError>) -> Option<T> {
    result
        .inspect_err(|error| {
            tracing::warn!(error = %Chain(error), "could not complete a request to the API server");
        })
        .ok()
}
