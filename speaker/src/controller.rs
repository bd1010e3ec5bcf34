//! Carries out the assignments of this node: verifies proposed addresses, answers for accepted ones,
//! and observes those for which this node is the standby.
//!
//! One task owns all state. Requests to the API server run beside it, one for each address at a time.

use crate::leases::{Change, Leases, LeasesError};
use crate::monitor::{self, Monitor};
use crate::network::{Command, Epoch, Notice};
use crate::responder::Sighting;
use crate::verification::{self, Verification};
use fastrak_api::assignment::{Assignment, State};
use fastrak_api::node::NodeName;
use fastrak_runtime::chain::Chain;
use fastrak_runtime::shutdown::Shutdown;
use futures::StreamExt as _;
use k8s_openapi::api::coordination::v1::Lease;
use kube::runtime::watcher::Event;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::IpAddr;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

/// The time between two steps.
const TICK: Duration = Duration::from_millis(50);
/// The times after which a new holder announces an address again: a switch or a client may have missed
/// the first announcement.
const ANNOUNCE_AGAIN: [Duration; 3] =
    [Duration::from_millis(1100), Duration::from_millis(2200), Duration::from_millis(4400)];
/// The time after which a failed request is repeated.
const RETRY: Duration = Duration::from_secs(1);
/// How long the assignments of a stopping node may take to change their holder.
const HAND_OVER: Duration = Duration::from_secs(3);

/// The controller of one node.
pub struct Controller {
    node: NodeName,
    leases: Leases,
    commands: UnboundedSender<Command>,
    entries: BTreeMap<IpAddr, Entry>,
    requests: JoinSet<Outcome>,
    epoch: Epoch,
    // Whether the assignments were read since the network task was last stopped.
    is_current: bool,
    is_listing: bool,
    answers: watch::Sender<bool>,
}

struct Entry {
    assignment: Assignment,
    part: Part,
    is_requesting: bool,
    // A request has failed: nothing is requested again before this time.
    not_before: Option<Instant>,
}

/// What this node does for an address.
enum Part {
    /// Nothing.
    None,
    /// Checks that nobody uses the address.
    Verify(Verification),
    /// Answers for the address. Announces it again at these times.
    Answer(Vec<Instant>),
    /// Another station uses the address: reads the assignment before it answers again.
    Yield,
    /// Observes the holder.
    Observe(Monitor),
}

/// The result of a request.
enum Outcome {
    Listed(Epoch, Result<Vec<Assignment>, LeasesError>),
    Written(IpAddr, Change, Result<bool, LeasesError>),
    Heartbeat(IpAddr, Result<Option<String>, LeasesError>),
}

impl Controller {
    /// Returns a controller without assignments. `answers` shows whether this node answers for any.
    #[must_use]
    pub fn new(
        node: NodeName,
        leases: Leases,
        commands: UnboundedSender<Command>,
        answers: watch::Sender<bool>,
    ) -> Self {
        Self {
            node,
            leases,
            commands,
            entries: BTreeMap::new(),
            requests: JoinSet::new(),
            epoch: Epoch::default(),
            is_current: false,
            is_listing: false,
            answers,
        }
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
        loop {
            tokio::select! {
                Some(event) = events.next() => self.watched(event),
                Some(notice) = notices.recv() => self.noticed(notice),
                Some(Ok(outcome)) = self.requests.join_next() => self.finished(outcome),
                _ = ticks.tick() => self.step(Instant::now()),
                () = shutdown.requested(), if deadline.is_none() => {
                    deadline = Some(Instant::now() + HAND_OVER);
                    self.hand_over();
                }
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline || !self.answers_any()) {
                return Ok(());
            }
        }
    }

    fn watched(&mut self, event: Event<Lease>) {
        match event {
            Event::Apply(lease) | Event::InitApply(lease) => match Assignment::read(&lease) {
                Ok(assignment) => self.apply(assignment),
                Err(error) => {
                    let name = lease.metadata.name.unwrap_or_default();
                    tracing::warn!(lease = name, error = %Chain(&error), "ignored a Lease");
                }
            },
            Event::Delete(lease) => {
                if let Ok(assignment) = Assignment::read(&lease) {
                    self.remove(&assignment);
                }
            }
            // What is missing from the list is found by the list of all assignments.
            Event::Init => {}
            Event::InitDone => self.is_current = false,
        }
    }

    fn noticed(&mut self, notice: Notice) {
        match notice {
            Notice::Seen(sighting) => self.seen(sighting),
            Notice::Paused { pause, epoch } => {
                tracing::warn!(?pause, "was stopped: silent until the assignments are read again");
                self.epoch = epoch;
                self.is_current = false;
                for entry in self.entries.values_mut() {
                    match &mut entry.part {
                        Part::Answer(_) => entry.part = Part::Yield,
                        Part::Observe(monitor) => monitor.answered(),
                        Part::None | Part::Verify(_) | Part::Yield => {}
                    }
                }
                self.show();
            }
        }
    }

    fn seen(&mut self, sighting: Sighting) {
        let Some(entry) = self.entries.get_mut(&sighting.address) else { return };
        match &mut entry.part {
            Part::Verify(verification) => verification.seen(sighting.mac),
            Part::Observe(monitor) => monitor.answered(),
            Part::Answer(_) => {
                tracing::warn!(address = %sighting.address, mac = %sighting.mac, "another station uses the address");
                entry.part = Part::Yield;
                self.is_current = false;
                self.send(Command::Silence(sighting.address));
                self.show();
            }
            Part::None | Part::Yield => {}
        }
    }

    /// Applies an assignment unless a newer one is known.
    fn apply(&mut self, assignment: Assignment) {
        let address = assignment.address;
        let known = self.entries.remove(&address);
        if let Some(known) = known {
            if !is_newer(&assignment, &known.assignment) {
                self.entries.insert(address, known);
                return;
            }
            self.leave(address, &known.part, &assignment);
            let part = self.enter(&assignment, Some(known.part));
            let is_requesting = known.is_requesting;
            self.entries
                .insert(address, Entry { assignment, part, is_requesting, not_before: None });
        } else {
            let part = self.enter(&assignment, None);
            self.entries.insert(
                address,
                Entry { assignment, part, is_requesting: false, not_before: None },
            );
        }
        self.show();
    }

    fn remove(&mut self, deleted: &Assignment) {
        let address = deleted.address;
        if self.entries.get(&address).is_some_and(|entry| entry.assignment.uid == deleted.uid) {
            self.entries.remove(&address);
            self.send(Command::Silence(address));
            self.send(Command::Ignore(address));
            self.show();
        }
    }

    /// Ends what `part` does, unless `next` goes on with it.
    fn leave(&self, address: IpAddr, part: &Part, next: &Assignment) {
        let goes_on = self.is_holder(next) && next.state == State::Accepted;
        match part {
            Part::Answer(_) if !goes_on => self.send(Command::Silence(address)),
            Part::Verify(_) | Part::Observe(_) => self.send(Command::Ignore(address)),
            Part::None | Part::Yield | Part::Answer(_) => {}
        }
    }

    /// Begins what an assignment requires of this node.
    fn enter(&self, assignment: &Assignment, before: Option<Part>) -> Part {
        let (address, now) = (assignment.address, Instant::now());
        let is_holder = self.is_holder(assignment);
        match assignment.state {
            State::Proposed if is_holder => {
                self.send(Command::Observe(address));
                match before {
                    Some(Part::Verify(verification)) => Part::Verify(verification),
                    _ => Part::Verify(Verification::new(now)),
                }
            }
            State::Accepted if is_holder => match before {
                Some(Part::Answer(times)) => Part::Answer(times),
                _ if self.is_current => self.start(address, now),
                _ => Part::Yield,
            },
            State::Accepted if assignment.standby.as_ref() == Some(&self.node) => {
                self.send(Command::Observe(address));
                Part::Observe(Monitor::default())
            }
            State::Proposed | State::Accepted | State::Refused => Part::None,
        }
    }

    fn start(&self, address: IpAddr, now: Instant) -> Part {
        tracing::info!(%address, "answering for the address");
        self.send(Command::Answer(address, self.epoch));
        Part::Answer(ANNOUNCE_AGAIN.iter().rev().map(|after| now + *after).collect())
    }

    /// Does what is due at `now`.
    fn step(&mut self, now: Instant) {
        if !self.is_current && !self.is_listing {
            self.is_listing = true;
            let (leases, epoch) = (self.leases.clone(), self.epoch);
            self.requests.spawn(async move { Outcome::Listed(epoch, leases.list().await) });
        }
        let due: Vec<_> = self.entries.keys().copied().collect();
        due.into_iter().for_each(|address| self.step_one(address, now));
    }

    fn step_one(&mut self, address: IpAddr, now: Instant) {
        let Some(entry) = self.entries.get_mut(&address) else { return };
        if entry.is_requesting || entry.not_before.is_some_and(|time| now < time) {
            return;
        }
        match &mut entry.part {
            Part::Verify(verification) => match verification.step(now) {
                verification::Step::Wait => {}
                verification::Step::Probe => self.send(Command::Probe(address)),
                verification::Step::Accept => self.write(address, Change::Accept),
                verification::Step::Refuse(mac) => self.write(address, Change::Refuse(mac)),
            },
            Part::Observe(monitor) => match monitor.step(now) {
                monitor::Step::Wait => {}
                monitor::Step::Probe => self.send(Command::Probe(address)),
                monitor::Step::ReadHeartbeat => self.read_heartbeat(address),
                monitor::Step::TakeOver => self.write(address, Change::TakeOver),
            },
            Part::Answer(times) if times.last().is_some_and(|next| *next <= now) => {
                times.pop();
                self.send(Command::Announce(address));
            }
            Part::Answer(_) | Part::None | Part::Yield => {}
        }
    }

    fn write(&mut self, address: IpAddr, change: Change) {
        let Some(entry) = self.entries.get_mut(&address) else { return };
        entry.is_requesting = true;
        let (leases, assignment) = (self.leases.clone(), entry.assignment.clone());
        self.requests.spawn(async move {
            Outcome::Written(address, change, leases.write(&assignment, change).await)
        });
    }

    fn read_heartbeat(&mut self, address: IpAddr) {
        let Some(entry) = self.entries.get_mut(&address) else { return };
        entry.is_requesting = true;
        let (leases, holder) = (self.leases.clone(), entry.assignment.holder.clone());
        self.requests
            .spawn(async move { Outcome::Heartbeat(address, leases.heartbeat(&holder).await) });
    }

    fn finished(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Listed(epoch, listed) => self.listed(epoch, listed),
            Outcome::Written(address, change, result) => {
                match result {
                    Ok(true) => tracing::info!(%address, ?change, "changed the assignment"),
                    // The watch brings the newer assignment.
                    Ok(false) => tracing::debug!(%address, ?change, "the assignment has changed"),
                    Err(error) => {
                        tracing::warn!(%address, ?change, error = %Chain(&error), "could not change the assignment");
                        self.retry_later(address);
                    }
                }
                self.released(address);
            }
            Outcome::Heartbeat(address, result) => {
                self.released(address);
                let Some(entry) = self.entries.get_mut(&address) else { return };
                match (&mut entry.part, result) {
                    (Part::Observe(monitor), Ok(version)) => {
                        monitor.heartbeat(version, Instant::now());
                    }
                    (_, Err(error)) => {
                        tracing::warn!(%address, error = %Chain(&error), "could not read the heartbeat");
                    }
                    (_, Ok(_)) => {}
                }
            }
        }
    }

    fn retry_later(&mut self, address: IpAddr) {
        if let Some(entry) = self.entries.get_mut(&address) {
            entry.not_before = Some(Instant::now() + RETRY);
        }
    }

    fn released(&mut self, address: IpAddr) {
        if let Some(entry) = self.entries.get_mut(&address) {
            entry.is_requesting = false;
        }
    }

    fn listed(&mut self, epoch: Epoch, listed: Result<Vec<Assignment>, LeasesError>) {
        self.is_listing = false;
        let listed = match listed {
            Ok(listed) if epoch == self.epoch => listed,
            Ok(_) => return,
            Err(error) => {
                tracing::warn!(error = %Chain(&error), "could not read the assignments");
                return;
            }
        };
        self.is_current = true;
        let known: Vec<_> = self.entries.values().map(|entry| entry.assignment.clone()).collect();
        for gone in
            known.iter().filter(|known| !listed.iter().any(|new| new.address == known.address))
        {
            self.remove(gone);
        }
        for assignment in listed {
            self.apply(assignment);
        }
        let now = Instant::now();
        let yielded = |entry: &&Entry| matches!(entry.part, Part::Yield);
        let again: Vec<_> =
            self.entries.values().filter(yielded).map(|entry| entry.assignment.address).collect();
        for address in again {
            let part = self.start(address, now);
            self.entries.entry(address).and_modify(|entry| entry.part = part);
        }
        self.show();
    }

    fn hand_over(&mut self) {
        let held = self.entries.values().filter(|entry| self.is_holder(&entry.assignment));
        let held: Vec<_> = held
            .filter(|entry| entry.assignment.standby.is_some())
            .map(|entry| entry.assignment.address)
            .collect();
        held.into_iter().for_each(|address| self.write(address, Change::HandOver));
    }

    fn is_holder(&self, assignment: &Assignment) -> bool {
        assignment.holder == self.node
    }

    fn answers_any(&self) -> bool {
        let handed = |entry: &Entry| {
            matches!(entry.part, Part::Answer(_)) && entry.assignment.standby.is_some()
        };
        self.entries.values().any(handed)
    }

    fn show(&self) {
        let answers = self.entries.values().any(|entry| matches!(entry.part, Part::Answer(_)));
        self.answers.send_if_modified(|shown| std::mem::replace(shown, answers) != answers);
    }

    fn send(&self, command: Command) {
        // The network task ends the process if it ends.
        let _ended = self.commands.send(command);
    }
}

/// Returns whether `new` is newer than `known`. Versions of the same object are numbers that grow.
fn is_newer(new: &Assignment, known: &Assignment) -> bool {
    let number = |version: &str| version.parse::<u64>().ok();
    match (number(&new.version), number(&known.version)) {
        (Some(new), Some(known)) => new > known,
        _ => new.version != known.version,
    }
}
