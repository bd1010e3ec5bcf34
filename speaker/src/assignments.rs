//! Decides what this node does for each address: it verifies proposed ones, answers for accepted
//! ones, and observes those for which it is the standby. Does no I/O and reads no clock.

mod entry;

use crate::leases::Change;
use crate::network::{Command, Epoch};
use crate::responder::Sighting;
use entry::{Entry, Part};
use fastrak_api::assignment::Assignment;
use fastrak_api::node::NodeName;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// The time after which a failed request is repeated.
const RETRY: Duration = Duration::from_secs(1);

/// The assignments of a cluster, and what one node does for them.
#[derive(Debug)]
pub struct Assignments {
    node: NodeName,
    entries: BTreeMap<IpAddr, Entry>,
    epoch: Epoch,
    listing: Listing,
    actions: Vec<Action>,
}

/// Whether the assignments were read since the network task was last stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Listing {
    Current,
    /// The next list is due after this time.
    Due(Option<Instant>),
    Requested,
}

/// An action for the controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send a command to the network task.
    Send(Command),
    /// List all assignments.
    List(Epoch),
    /// Write a change of an assignment.
    Write(Assignment, Change),
    /// Read the heartbeat of the holder of an address.
    ReadHeartbeat(IpAddr, NodeName),
    /// Log that another station uses an address of this node.
    Warn(Sighting),
}

impl Assignments {
    /// Returns the state of `node` before any assignment is known.
    #[must_use]
    pub fn new(node: NodeName) -> Self {
        let (entries, actions) = (BTreeMap::new(), Vec::new());
        Self { node, entries, epoch: Epoch::default(), listing: Listing::Due(None), actions }
    }

    /// Takes the actions that are due.
    #[must_use]
    pub fn take_actions(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    /// Returns whether this node answers for any address.
    #[must_use]
    pub fn answers(&self) -> bool {
        self.entries.values().any(Entry::answers)
    }

    /// Returns whether this node answers for an address that has a standby.
    #[must_use]
    pub fn can_hand_over(&self) -> bool {
        self.entries.values().any(|entry| entry.answers() && entry.assignment.standby.is_some())
    }

    /// Applies an assignment unless a newer version of it is known.
    pub fn apply(&mut self, assignment: Assignment, now: Instant) {
        let address = assignment.address;
        let (known, can_answer) = (self.entries.remove(&address), self.listing == Listing::Current);
        let entry = match known {
            Some(known) if !is_newer(&assignment, &known.assignment) => known,
            known => {
                let part = known.map_or(Part::None, |known| known.part);
                let part = part.follow(&assignment, &self.node, can_answer, now);
                self.actions.extend(part.commands(address, self.epoch).map(Action::Send));
                Entry::new(assignment, part)
            }
        };
        self.entries.insert(address, entry);
    }

    /// Removes the assignment of a deleted Lease.
    pub fn remove(&mut self, address: IpAddr, uid: &str) {
        if self.entries.get(&address).is_some_and(|entry| entry.assignment.uid == uid) {
            self.entries.remove(&address);
            self.actions.extend(Part::None.commands(address, self.epoch).map(Action::Send));
        }
    }

    /// Makes the list of all assignments due: the watch may have missed a deletion.
    pub fn expire(&mut self) {
        self.listing = Listing::Due(None);
    }

    /// Applies the list of all assignments that was requested in `epoch`, or records that the
    /// request failed.
    pub fn listed(&mut self, epoch: Epoch, listed: Option<Vec<Assignment>>, now: Instant) {
        let Some(listed) = listed else {
            self.listing = Listing::Due(Some(now + RETRY));
            return;
        };
        if epoch != self.epoch || self.listing != Listing::Requested {
            return;
        }
        self.listing = Listing::Current;
        let present: BTreeSet<_> = listed.iter().map(|assignment| &assignment.uid).collect();
        let gone = self.entries.values().map(|entry| &entry.assignment);
        let gone = gone.filter(|known| !present.contains(&known.uid));
        let gone: Vec<_> = gone.map(|gone| (gone.address, gone.uid.clone())).collect();
        gone.iter().for_each(|(address, uid)| self.remove(*address, uid));
        listed.into_iter().for_each(|assignment| self.apply(assignment, now));
        for (address, entry) in &mut self.entries {
            if matches!(entry.part, Part::Yield) {
                entry.part = Part::answer(now);
                self.actions.push(Action::Send(Command::Answer(*address, self.epoch)));
            }
        }
    }

    /// Records that the network task was stopped, and what has been silenced with it.
    pub fn paused(&mut self, epoch: Epoch) {
        self.epoch = epoch;
        self.expire();
        self.entries.values_mut().for_each(Entry::pause);
    }

    /// Records that another station uses an address. If this node answers for it, it stops at once,
    /// and answers again only if the current assignments still name it.
    pub fn seen(&mut self, sighting: Sighting) {
        let Some(entry) = self.entries.get_mut(&sighting.address) else { return };
        if entry.seen(sighting.mac) {
            self.actions.push(Action::Warn(sighting));
            self.actions.push(Action::Send(Command::Silence(sighting.address)));
            self.expire();
        }
    }

    /// Records the version of a holder's heartbeat, or that it could not be read.
    pub fn heartbeat(&mut self, address: IpAddr, version: Option<Option<String>>, now: Instant) {
        let Some(entry) = self.entries.get_mut(&address) else { return };
        match version {
            Some(version) => entry.heartbeat(version, now),
            None => entry.retry_at(now + RETRY),
        }
    }

    /// Records that a change was written, was superseded, or has failed.
    pub fn written(&mut self, address: IpAddr, is_answered: bool, now: Instant) {
        let Some(entry) = self.entries.get_mut(&address) else { return };
        // If it was written or superseded, the watch delivers the newer assignment, which gets a
        // new entry.
        entry.retry_at(now + if is_answered { 3 * RETRY } else { RETRY });
    }

    /// Decides what is due at `now`.
    pub fn step(&mut self, now: Instant) {
        if let Listing::Due(at) = self.listing
            && at.is_none_or(|at| at <= now)
        {
            self.listing = Listing::Requested;
            self.actions.push(Action::List(self.epoch));
        }
        self.actions.extend(self.entries.values_mut().filter_map(|entry| entry.step(now)));
    }

    /// Makes the standby of each address of this node its holder.
    pub fn hand_over(&mut self) {
        let held = self.entries.values().filter(|entry| entry.answers());
        let held = held.filter(|entry| entry.assignment.standby.is_some());
        self.actions
            .extend(held.map(|entry| Action::Write(entry.assignment.clone(), Change::HandOver)));
    }
}

/// Returns whether `new` is another object than `known` or a newer version of it. The versions of a
/// resource are increasing numbers.
fn is_newer(new: &Assignment, known: &Assignment) -> bool {
    let number = |version: &str| version.parse::<u64>().ok();
    match (number(&new.version), number(&known.version)) {
        (Some(new), Some(known)) => new > known,
        _ => new.version != known.version,
    }
}

#[cfg(test)]
mod tests;
