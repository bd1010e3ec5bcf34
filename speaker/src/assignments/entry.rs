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
    pub(super) part: Part,
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
pub(super) enum Part {
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
        let (before, part) = match known {
            Some(known) => (Some(known.assignment), known.part),
            None => (None, Part::None),
        };
        let same_holder = before.is_some_and(|before| before.holder == assignment.holder);
        let part = match (assignment.state, part) {
            (State::Proposed, Part::Verify(verification)) if is_holder => {
                Part::Verify(verification)
            }
            (State::Proposed, _) if is_holder => Part::Verify(Verification::new(now)),
            (State::Accepted, Part::Answer(times)) if is_holder => Part::Answer(times),
            (State::Accepted, part) if is_holder => match (evidence, part) {
                (Evidence::Write, _) => Part::answer(now),
                (Evidence::List(number), Part::Yield { after }) if number <= after => {
                    Part::Yield { after }
                }
                (Evidence::List(_), _) => Part::answer(now),
                (Evidence::Watch { .. }, Part::Yield { after }) => Part::Yield { after },
                (Evidence::Watch { requested }, _) => Part::Yield { after: requested },
            },
            (State::Accepted, Part::Observe(monitor)) if is_standby && same_holder => {
                Part::Observe(monitor)
            }
            (State::Accepted, _) if is_standby => Part::Observe(Monitor::default()),
            (State::Proposed | State::Accepted | State::Refused, _) => Part::None,
        };
        // A changed assignment may name a station that was foreign before.
        let (waiting, foreign) = (Waiting::No, BTreeSet::new());
        Self { assignment, part, waiting, seen: None, foreign }
    }

    pub(super) fn address(&self) -> IpAddr {
        self.assignment.address
    }

    pub(super) fn answers(&self) -> bool {
        matches!(self.part, Part::Answer(_))
    }

    pub(super) fn observes(&self) -> bool {
        matches!(self.part, Part::Observe(_))
    }

    pub(super) fn can_hand_over(&self) -> bool {
        self.answers() && self.assignment.standby.is_some()
    }

    /// Returns the holder if it leaves probes unanswered at `now`.
    pub(super) fn silent_holder(&self, now: Instant) -> Option<&NodeName> {
        let Part::Observe(monitor) = &self.part else { return None };
        monitor.is_silent(now).then_some(&self.assignment.holder)
    }

    /// Forgets what was observed before the network task silenced all addresses, after the list `number` was
    /// requested.
    pub(super) fn pause(&mut self, number: u64, now: Instant) {
        match &mut self.part {
            Part::Answer(_) | Part::Yield { .. } => self.part = Part::Yield { after: number },
            Part::Observe(monitor) => *monitor = Monitor::default(),
            Part::Verify(verification) => *verification = Verification::new(now),
            Part::None => {}
        }
    }

    /// Records that another station uses the address, after the list `number` was requested. Returns
    /// whether the network task has silenced it.
    pub(super) fn seen(&mut self, mac: Mac, number: u64) -> bool {
        match &mut self.part {
            Part::Verify(verification) => verification.seen(mac),
            Part::Observe(monitor) => monitor.answered(),
            Part::Answer(_) => {
                (self.part, self.seen) = (Part::Yield { after: number }, Some(mac));
                return true;
            }
            Part::None | Part::Yield { .. } => {}
        }
        false
    }

    /// Records the response to a write.
    pub(super) fn written(&mut self, has_failed: bool, now: Instant) {
        self.waiting = Waiting::Until(now + if has_failed { RETRY } else { EXPECTED });
        if let Part::Observe(monitor) = &mut self.part {
            // What was observed is old when the write is repeated.
            *monitor = Monitor::default();
        }
    }

    /// Checks, without the API server, that nobody uses an address that this node had to silence. It
    /// could not be listed, so no other node can have taken it over since.
    pub(super) fn verify_alone(&mut self, now: Instant) {
        if matches!(self.part, Part::Yield { .. }) {
            self.part = Part::Verify(Verification::new(now));
        }
    }

    /// Answers again after the list `number`. Returns whether it does.
    pub(super) fn resume(&mut self, number: u64, now: Instant) -> bool {
        let resumes = match self.part {
            Part::Yield { after } => after < number,
            // The list came while the node verified the address alone.
            Part::Verify(_) => self.assignment.state == State::Accepted,
            Part::None | Part::Answer(_) | Part::Observe(_) => false,
        };
        if resumes {
            self.part = Part::answer(now);
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
        let change = match &mut self.part {
            Part::Verify(verification) => match verification.step(now) {
                verification::Step::Wait => None,
                verification::Step::Probe => return vec![Action::Send(Command::Probe(address))],
                verification::Step::Accept if self.assignment.state == State::Accepted => {
                    self.part = Part::answer(now);
                    return self.commands(ticket).map(Action::Send).collect();
                }
                verification::Step::Accept => Some(Change::Accept),
                verification::Step::Refuse(mac) => {
                    (self.assignment.state == State::Proposed).then_some(Change::Refuse(mac))
                }
            },
            Part::Observe(monitor) => match monitor.step(now, stopped) {
                monitor::Step::Wait => None,
                monitor::Step::Probe => return vec![Action::Send(Command::Ask(address))],
                monitor::Step::TakeOver => Some(Change::TakeOver),
            },
            Part::Answer(times) => {
                if is_announcement_due(times, now) {
                    return vec![Action::Send(Command::Announce(address))];
                }
                (is_stopping && self.assignment.standby.is_some()).then_some(Change::HandOver)
            }
            Part::None | Part::Yield { .. } => None,
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
        let observe = match &self.part {
            Part::Verify(_) | Part::Observe(_) => Command::Observe(address),
            Part::None | Part::Answer(_) | Part::Yield { .. } => Command::Ignore(address),
        };
        let answer = match &self.part {
            Part::Answer(_) => Command::Answer(address, ticket),
            Part::None | Part::Verify(_) | Part::Yield { .. } | Part::Observe(_) => {
                Command::Silence(address)
            }
        };
        let foreign: Vec<_> =
            self.foreign.iter().map(|mac| Command::Tolerate(address, *mac)).collect();
        [observe].into_iter().chain(foreign).chain([answer])
    }
}

impl Part {
    /// Returns the part of a node that starts to answer at `now`.
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
