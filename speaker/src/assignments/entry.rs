//! What this node does for one address.

use super::{Action, RETRY};
use crate::frame::Mac;
use crate::leases::Change;
use crate::monitor::{self, Monitor};
use crate::network::{Command, Epoch, Ticket};
use crate::verification::{self, Verification};
use fastrak_api::assignment::{Assignment, State};
use fastrak_api::node::NodeName;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// The times after which a new holder announces an address again, the last first: a switch or a client
/// may have missed the first announcement.
const ANNOUNCE_AGAIN: [Duration; 2] = [Duration::from_millis(2200), Duration::from_millis(1100)];
/// The time between two announcements after that. A node whose cable was out for a time, and which
/// therefore still answers for an address that it has lost, yields to the next announcement.
const ANNOUNCE_INTERVAL: Duration = Duration::from_secs(5);
/// The time after which a failed write is repeated while the node stops.
const RETRY_STOPPING: Duration = Duration::from_millis(200);
/// The time after which a write that succeeded is repeated if the watch still shows the assignment
/// before it.
const EXPECTED: Duration = Duration::from_secs(3);
/// The number of foreign stations that are remembered for an address.
const MAX_FOREIGN: usize = 4;

/// An assignment and what this node does for it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) assignment: Assignment,
    pub(super) role: Role,
    waiting: Waiting,
    /// The station that was seen last, and those that were shown to use the address wrongly.
    seen: Option<Mac>,
    foreign: BTreeSet<Mac>,
}

/// Whether a write keeps the entry from its next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waiting {
    No,
    Requested,
    Until(Instant),
}

/// Where an assignment comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Evidence {
    /// A watch event, after the list with this number was requested. It may be old.
    Watch { requested: u64 },
    /// The list with this number.
    List(u64),
    /// The response to this node's own write.
    Write,
}

/// What this node does for an address.
#[derive(Debug)]
pub(super) enum Role {
    /// Nothing.
    None,
    /// Checks that nobody uses the address.
    Verify(Verification),
    /// Answers for the address. Announces it again at these times, the last first.
    Answer(Vec<Instant>),
    /// Is silent until a list with a greater number.
    Yield { after: u64 },
    /// Observes the holder.
    Observe(Monitor),
}

impl Entry {
    /// Returns what `node` does for an assignment after `known`. It starts to answer only on current
    /// evidence.
    pub(super) fn follow(
        known: Option<Self>,
        assignment: Assignment,
        node: &NodeName,
        evidence: Evidence,
        now: Instant,
    ) -> Self {
        let is_holder = assignment.holder == *node;
        let is_standby = assignment.standby.as_ref() == Some(node);
        let (before, role) = match known {
            Some(known) => (Some(known.assignment), known.role),
            None => (None, Role::None),
        };
        let same_holder = before.is_some_and(|before| before.holder == assignment.holder);
        let role = match (assignment.state, role) {
            (State::Proposed, Role::Verify(verification)) if is_holder => {
                Role::Verify(verification)
            }
            (State::Proposed, _) if is_holder => Role::Verify(Verification::new(now)),
            (State::Accepted, Role::Answer(times)) if is_holder => Role::Answer(times),
            (State::Accepted, role) if is_holder => match (evidence, role) {
                (Evidence::Write, _) => Role::answer(now),
                (Evidence::List(number), Role::Yield { after }) if number <= after => {
                    Role::Yield { after }
                }
                (Evidence::List(_), _) => Role::answer(now),
                (Evidence::Watch { .. }, Role::Yield { after }) => Role::Yield { after },
                (Evidence::Watch { requested }, _) => Role::Yield { after: requested },
            },
            (State::Accepted, Role::Observe(monitor)) if is_standby && same_holder => {
                Role::Observe(monitor)
            }
            (State::Accepted, _) if is_standby => Role::Observe(Monitor::default()),
            (State::Proposed | State::Accepted | State::Refused, _) => Role::None,
        };
        // A changed assignment may name a station that was foreign before.
        let (waiting, foreign) = (Waiting::No, BTreeSet::new());
        Self { assignment, role, waiting, seen: None, foreign }
    }

    pub(super) fn address(&self) -> IpAddr {
        self.assignment.address
    }

    pub(super) fn answers(&self) -> bool {
        matches!(self.role, Role::Answer(_))
    }

    pub(super) fn observes(&self) -> bool {
        matches!(self.role, Role::Observe(_))
    }

    pub(super) fn can_hand_over(&self) -> bool {
        self.answers() && self.assignment.standby.is_some()
    }

    /// Returns the holder if it leaves probes unanswered at `now`.
    pub(super) fn silent_holder(&self, now: Instant) -> Option<&NodeName> {
        let Role::Observe(monitor) = &self.role else { return None };
        monitor.is_silent(now).then_some(&self.assignment.holder)
    }

    /// Forgets what was observed before the network task silenced all addresses, after the list `number` was
    /// requested.
    pub(super) fn pause(&mut self, number: u64, now: Instant) {
        match &mut self.role {
            Role::Answer(_) | Role::Yield { .. } => self.role = Role::Yield { after: number },
            Role::Observe(monitor) => *monitor = Monitor::default(),
            Role::Verify(verification) => *verification = Verification::new(now),
            Role::None => {}
        }
    }

    /// Records that another station uses the address, after the list `number` was requested. Returns
    /// whether the network task has silenced it.
    pub(super) fn seen(&mut self, mac: Mac, number: u64) -> bool {
        match &mut self.role {
            Role::Verify(verification) => verification.seen(mac),
            Role::Observe(monitor) => monitor.answered(),
            Role::Answer(_) => {
                (self.role, self.seen) = (Role::Yield { after: number }, Some(mac));
                return true;
            }
            Role::None | Role::Yield { .. } => {}
        }
        false
    }

    /// Records the response to a write.
    pub(super) fn written(&mut self, has_failed: bool, now: Instant) {
        self.waiting = Waiting::Until(now + if has_failed { RETRY } else { EXPECTED });
        if let Role::Observe(monitor) = &mut self.role {
            // What was observed is old when the write is repeated.
            *monitor = Monitor::default();
        }
    }

    /// Checks, without the API server, that nobody uses an address that this node had to silence. It
    /// could not be listed, so no other node can have taken it over since.
    pub(super) fn verify_alone(&mut self, now: Instant) {
        if matches!(self.role, Role::Yield { .. }) {
            self.role = Role::Verify(Verification::new(now));
        }
    }

    /// Answers again after the list `number`. Returns whether it does.
    pub(super) fn resume(&mut self, number: u64, now: Instant) -> bool {
        let resumes = match self.role {
            Role::Yield { after } => after < number,
            // The list came while the node verified the address alone.
            Role::Verify(_) => self.assignment.state == State::Accepted,
            Role::None | Role::Answer(_) | Role::Observe(_) => false,
        };
        if resumes {
            self.role = Role::answer(now);
            // The assignments have not changed, so the station uses the address wrongly.
            if self.foreign.len() < MAX_FOREIGN {
                self.foreign.extend(self.seen.take());
            }
        }
        resumes
    }

    /// Returns what is due at `now`. `stopped`: the heartbeat of the holder has stopped.
    pub(super) fn step(
        &mut self,
        now: Instant,
        (stopped, is_stopping): (bool, bool),
        ticket: Ticket,
    ) -> Vec<Action> {
        let address = self.address();
        let change = match &mut self.role {
            Role::Verify(verification) => match verification.step(now) {
                verification::Step::Wait => None,
                verification::Step::Probe => return vec![Action::Send(Command::Probe(address))],
                verification::Step::Accept if self.assignment.state == State::Accepted => {
                    self.role = Role::answer(now);
                    return self.commands(ticket).map(Action::Send).collect();
                }
                verification::Step::Accept => Some(Change::Accept),
                verification::Step::Refuse(mac) => {
                    (self.assignment.state == State::Proposed).then_some(Change::Refuse(mac))
                }
            },
            Role::Observe(monitor) => match monitor.step(now, stopped) {
                monitor::Step::Wait => None,
                monitor::Step::Probe => return vec![Action::Send(Command::Ask(address))],
                monitor::Step::TakeOver => Some(Change::TakeOver),
            },
            Role::Answer(times) => {
                if is_announcement_due(times, now) {
                    return vec![Action::Send(Command::Announce(address))];
                }
                (is_stopping && self.assignment.standby.is_some()).then_some(Change::HandOver)
            }
            Role::None | Role::Yield { .. } => None,
        };
        change
            .and_then(|change| self.write(change, (is_stopping, now), ticket.epoch))
            .into_iter()
            .collect()
    }

    fn write(
        &mut self,
        change: Change,
        (is_stopping, now): (bool, Instant),
        epoch: Epoch,
    ) -> Option<Action> {
        match self.waiting {
            Waiting::Requested => return None,
            Waiting::Until(time) => {
                let saved = if is_stopping { RETRY - RETRY_STOPPING } else { Duration::ZERO };
                if now + saved < time {
                    return None;
                }
            }
            Waiting::No => {}
        }
        self.waiting = Waiting::Requested;
        Some(Action::Write(self.assignment.clone(), change, epoch))
    }

    /// Returns the commands that make the network task do this and nothing else for the address. A
    /// command that changes nothing is harmless.
    pub(super) fn commands(&self, ticket: Ticket) -> impl Iterator<Item = Command> + use<> {
        let address = self.address();
        let observe = match &self.role {
            Role::Verify(_) | Role::Observe(_) => Command::Observe(address),
            Role::None | Role::Answer(_) | Role::Yield { .. } => Command::Ignore(address),
        };
        let answer = match &self.role {
            Role::Answer(_) => {
                let tolerate = Command::Tolerate(address, self.foreign.clone());
                vec![tolerate, Command::Answer(address, ticket)]
            }
            Role::None | Role::Verify(_) | Role::Yield { .. } | Role::Observe(_) => {
                vec![Command::Silence(address)]
            }
        };
        [observe].into_iter().chain(answer)
    }
}

impl Role {
    /// Returns the role of a node that starts to answer at `now`.
    fn answer(now: Instant) -> Self {
        Self::Answer(ANNOUNCE_AGAIN.map(|after| now + after).to_vec())
    }
}

/// Takes the next of these times if it is over. The last one is followed by another.
fn is_announcement_due(times: &mut Vec<Instant>, now: Instant) -> bool {
    let is_due = times.pop_if(|next| *next <= now).is_some();
    if is_due && times.is_empty() {
        times.push(now + ANNOUNCE_INTERVAL);
    }
    is_due
}
