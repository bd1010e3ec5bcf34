//! What this node does for one address.

use super::Action;
use crate::frame::Mac;
use crate::leases::Change;
use crate::monitor::{self, Monitor};
use crate::network::{Command, Epoch};
use crate::verification::{self, Verification};
use fastrak_api::assignment::{Assignment, State};
use fastrak_api::node::NodeName;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// The times after which a new holder announces an address again, the last first: a switch or a
/// client may have missed the first announcement.
const ANNOUNCE_AGAIN: [Duration; 3] =
    [Duration::from_millis(4400), Duration::from_millis(2200), Duration::from_millis(1100)];

/// An assignment and what this node does for it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) assignment: Assignment,
    pub(super) part: Part,
    waiting: Waiting,
}

/// Whether the entry waits for a request to the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waiting {
    No,
    Requested,
    Until(Instant),
}

/// What this node does for an address.
#[derive(Debug)]
pub(super) enum Part {
    /// Nothing.
    None,
    /// Checks that no station uses the address.
    Verify(Verification),
    /// Answers for the address. Announces it again at these times, the last first.
    Answer(Vec<Instant>),
    /// Is silent until the current assignments are known.
    Yield,
    /// Observes the holder.
    Observe(Monitor),
}

impl Entry {
    pub(super) fn new(assignment: Assignment, part: Part) -> Self {
        Self { assignment, part, waiting: Waiting::No }
    }

    pub(super) fn answers(&self) -> bool {
        matches!(self.part, Part::Answer(_))
    }

    /// Forgets what was observed before the network task was stopped.
    pub(super) fn pause(&mut self) {
        match &mut self.part {
            Part::Answer(_) => self.part = Part::Yield,
            Part::Observe(monitor) => *monitor = Monitor::default(),
            Part::None | Part::Verify(_) | Part::Yield => {}
        }
    }

    /// Records that another station uses the address. Returns whether this node must stop
    /// answering.
    pub(super) fn seen(&mut self, mac: Mac) -> bool {
        match &mut self.part {
            Part::Verify(verification) => verification.seen(mac),
            Part::Observe(monitor) => monitor.answered(),
            Part::Answer(_) => {
                self.part = Part::Yield;
                return true;
            }
            Part::None | Part::Yield => {}
        }
        false
    }

    pub(super) fn heartbeat(&mut self, version: Option<String>, now: Instant) {
        self.waiting = Waiting::No;
        if let Part::Observe(monitor) = &mut self.part {
            monitor.heartbeat(version, now);
        }
    }

    pub(super) fn retry_at(&mut self, time: Instant) {
        self.waiting = Waiting::Until(time);
    }

    /// Returns what is due at `now`.
    pub(super) fn step(&mut self, now: Instant) -> Option<Action> {
        match self.waiting {
            Waiting::Requested => return None,
            Waiting::Until(time) if now < time => return None,
            Waiting::Until(_) | Waiting::No => self.waiting = Waiting::No,
        }
        let address = self.assignment.address;
        let action = match &mut self.part {
            Part::Verify(verification) => match verification.step(now) {
                verification::Step::Wait => None,
                verification::Step::Probe => Some(Action::Send(Command::Probe(address))),
                verification::Step::Accept => Some(self.write(Change::Accept)),
                verification::Step::Refuse(mac) => Some(self.write(Change::Refuse(mac))),
            },
            Part::Observe(monitor) => match monitor.step(now) {
                monitor::Step::Wait => None,
                monitor::Step::Probe => Some(Action::Send(Command::Probe(address))),
                monitor::Step::ReadHeartbeat => {
                    Some(Action::ReadHeartbeat(address, self.assignment.holder.clone()))
                }
                monitor::Step::TakeOver => Some(self.write(Change::TakeOver)),
            },
            Part::Answer(times) => {
                times.pop_if(|next| *next <= now).map(|_| Action::Send(Command::Announce(address)))
            }
            Part::None | Part::Yield => None,
        };
        if let Some(Action::Write(..) | Action::ReadHeartbeat(..)) = action {
            self.waiting = Waiting::Requested;
        }
        action
    }

    fn write(&self, change: Change) -> Action {
        Action::Write(self.assignment.clone(), change)
    }
}

impl Part {
    /// Returns the state of a node that starts answering at `now`.
    pub(super) fn answer(now: Instant) -> Self {
        Self::Answer(ANNOUNCE_AGAIN.map(|after| now + after).to_vec())
    }

    /// Returns what `node` does for an assignment after it has done this. It starts answering only
    /// if the assignments are current.
    pub(super) fn follow(
        self,
        assignment: &Assignment,
        node: &NodeName,
        is_current: bool,
        now: Instant,
    ) -> Self {
        let is_holder = assignment.holder == *node;
        let is_standby = assignment.standby.as_ref() == Some(node);
        match (assignment.state, self) {
            (State::Proposed, Self::Verify(verification)) if is_holder => {
                Self::Verify(verification)
            }
            (State::Proposed, _) if is_holder => Self::Verify(Verification::new(now)),
            (State::Accepted, Self::Answer(times)) if is_holder => Self::Answer(times),
            (State::Accepted, _) if is_holder && is_current => Self::answer(now),
            (State::Accepted, _) if is_holder => Self::Yield,
            (State::Accepted, _) if is_standby => Self::Observe(Monitor::default()),
            (State::Proposed | State::Accepted | State::Refused, _) => Self::None,
        }
    }

    /// Returns the commands that bring the network task into this state for the address. A command
    /// without a change is harmless.
    pub(super) fn commands(
        &self,
        address: IpAddr,
        epoch: Epoch,
    ) -> impl Iterator<Item = Command> + use<> {
        let observe = match self {
            Self::Verify(_) | Self::Observe(_) => Command::Observe(address),
            Self::None | Self::Answer(_) | Self::Yield => Command::Ignore(address),
        };
        let answer = match self {
            Self::Answer(_) => Command::Answer(address, epoch),
            Self::None | Self::Verify(_) | Self::Yield | Self::Observe(_) => {
                Command::Silence(address)
            }
        };
        [observe, answer].into_iter()
    }
}
