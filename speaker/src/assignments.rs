//! Decides what this node does for each address: verifies proposed ones, answers for accepted ones, and
//! observes those for which it is the standby. Performs nothing and reads no clock.
//!
//! A node starts to answer only on current evidence: a list of all assignments that was requested after
//! the need arose, or the API server's response to its own write. A watch event may be old: it shows
//! only that the assignments must be listed.

mod entry;
mod heartbeats;

use crate::leases::{Change, Listed};
use crate::network::{Command, Epoch, Ticket};
use crate::responder::Sighting;
use entry::{Entry, Evidence, Role};
use fastrak_api::assignment::Assignment;
use fastrak_api::node::NodeName;
use heartbeats::Heartbeats;
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
    heartbeats: Heartbeats,
    // How often the network task has silenced each address because of another station.
    sightings: BTreeMap<IpAddr, u64>,
    epoch: Epoch,
    is_enabled: bool,
    lists: Lists,
    // The highest version of a list or a deletion. An unknown assignment that is not newer was deleted.
    floor: u64,
    is_stopping: bool,
    actions: Vec<Action>,
}

/// The lists of all assignments.
#[derive(Debug)]
struct Lists {
    /// The number of the list that was requested last.
    requested: u64,
    is_running: bool,
    is_due: bool,
    /// A list has failed: the next one is not due before this time.
    not_before: Option<Instant>,
}

/// An action for the controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send a command to the network task.
    Send(Command),
    /// List all assignments. The result is ignored if it has another number or epoch.
    List(u64, Epoch),
    /// Write a change of an assignment. The result is ignored if the epoch is over.
    Write(Assignment, Change, Epoch),
    /// Read the heartbeat of this node.
    ReadHeartbeat(NodeName),
    /// Log that another station uses an address of this node.
    Warn(Sighting),
}

impl Assignments {
    /// Returns the assignments of `node`, of which none is known yet. Nothing is due before it is
    /// enabled.
    #[must_use]
    pub fn new(node: NodeName) -> Self {
        Self {
            node,
            entries: BTreeMap::new(),
            heartbeats: Heartbeats::default(),
            sightings: BTreeMap::new(),
            epoch: Epoch::FIRST,
            is_enabled: false,
            lists: Lists { requested: 0, is_running: false, is_due: true, not_before: None },
            floor: 0,
            is_stopping: false,
            actions: Vec::new(),
        }
    }

    /// Returns the actions that are due, and forgets them.
    #[must_use]
    pub fn take_actions(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    /// Returns for how many addresses this node answers, and how many it observes as their standby.
    #[must_use]
    pub fn roles(&self) -> (usize, usize) {
        let count =
            |is_in: fn(&Entry) -> bool| self.entries.values().filter(|entry| is_in(entry)).count();
        (count(Entry::answers), count(Entry::observes))
    }

    /// Returns whether this node answers for an address that has a standby.
    #[must_use]
    pub fn can_hand_over(&self) -> bool {
        self.entries.values().any(Entry::can_hand_over)
    }

    /// Applies an assignment that a watch has shown.
    pub fn watched(&mut self, assignment: Assignment, now: Instant) {
        let is_known = self.entries.contains_key(&assignment.address);
        if is_known || assignment.version > self.floor {
            let requested = self.lists.requested;
            self.apply(assignment, Evidence::Watch { requested }, now);
        }
    }

    /// Removes the assignment of a Lease that was deleted at `version`.
    pub fn deleted(&mut self, address: IpAddr, uid: &str, version: u64) {
        self.floor = self.floor.max(version);
        if self.entries.get(&address).is_some_and(|entry| entry.assignment.uid == uid) {
            self.remove(address);
        }
    }

    /// Makes a list of all assignments due: the watch may have missed a deletion.
    pub fn expire(&mut self) {
        self.lists.is_due = true;
    }

    /// Applies the list with this number, or the failure to list.
    pub fn listed(&mut self, number: u64, epoch: Epoch, listed: Option<Listed>, now: Instant) {
        if number != self.lists.requested || epoch != self.epoch {
            return;
        }
        self.lists.is_running = false;
        if !self.is_enabled {
            return self.expire();
        }
        let Some(Listed { version, assignments }) = listed else {
            (self.lists.is_due, self.lists.not_before) = (true, Some(now + RETRY));
            self.entries.values_mut().for_each(|entry| entry.verify_alone(now));
            self.observe();
            return;
        };
        self.lists.not_before = None;
        let present: BTreeSet<_> = assignments.iter().map(|listed| listed.uid.clone()).collect();
        let is_gone = |entry: &&Entry| {
            entry.assignment.version <= version && !present.contains(&entry.assignment.uid)
        };
        let gone: Vec<_> = self.entries.values().filter(is_gone).map(Entry::address).collect();
        gone.into_iter().for_each(|address| self.remove(address));
        let floor = self.floor;
        self.floor = floor.max(version);
        for assignment in assignments {
            if self.entries.contains_key(&assignment.address) || assignment.version > floor {
                self.apply(assignment, Evidence::List(number), now);
            }
        }
        self.resume(number, now);
    }

    /// Records whether this node can take part: its interface is up, and no other speaker works for it.
    /// While it cannot, nothing is due: it neither answers as a holder nor observes as a standby.
    pub fn enable(&mut self, is_enabled: bool, now: Instant) {
        self.is_enabled = is_enabled;
        if !is_enabled {
            self.silenced(self.epoch, now);
        }
    }

    /// Records that the network task has silenced all addresses.
    pub fn silenced(&mut self, epoch: Epoch, now: Instant) {
        self.epoch = epoch;
        self.lists.is_running = false;
        self.expire();
        let number = self.lists.requested;
        self.entries.values_mut().for_each(|entry| entry.pause(number, now));
        self.heartbeats = Heartbeats::default();
    }

    /// Records that another station uses an address. The network task has silenced an address for which
    /// it answered; it answers again only if the current assignments still name this node.
    pub fn seen(&mut self, sighting: Sighting, count: u64) {
        let number = self.lists.requested;
        self.sightings.insert(sighting.address, count);
        let Some(entry) = self.entries.get_mut(&sighting.address) else { return };
        if entry.seen(sighting.mac, number) {
            self.actions.push(Action::Warn(sighting));
            self.expire();
        }
    }

    /// Records the version of a node's heartbeat, or that it could not be read.
    pub fn heartbeat(&mut self, node: &NodeName, version: Option<Option<String>>, now: Instant) {
        self.heartbeats.read(node, version, now);
    }

    /// Records the response to a write of `before`: the assignment as it is now, `Superseded`, or a
    /// failure.
    pub fn written(&mut self, before: &Assignment, epoch: Epoch, written: Written, now: Instant) {
        let entry = self.entries.get_mut(&before.address);
        if let Some(entry) = entry.filter(|entry| entry.assignment.version == before.version) {
            entry.written(written == Written::Failed, now);
        }
        match written {
            Written::Done(assignment) if epoch == self.epoch => {
                self.apply(*assignment, Evidence::Write, now)
            }
            Written::Done(_) | Written::Superseded => self.expire(),
            Written::Failed => {}
        }
    }

    /// Decides what is due at `now`.
    pub fn step(&mut self, now: Instant) {
        if !self.is_enabled {
            return;
        }
        let Lists { is_running, is_due, not_before, .. } = self.lists;
        if is_due && !is_running && not_before.is_none_or(|time| time <= now) {
            self.lists.requested += 1;
            (self.lists.is_running, self.lists.is_due) = (true, false);
            self.actions.push(Action::List(self.lists.requested, self.epoch));
        }
        let mut silent = BTreeSet::new();
        for entry in self.entries.values_mut() {
            let stopped = self.heartbeats.stopped(&entry.assignment.holder, now);
            let ticket = ticket(self.epoch, &self.sightings, entry.address());
            self.actions.extend(entry.step(now, (stopped, self.is_stopping), ticket));
            silent.extend(entry.silent_holder(now).cloned());
        }
        let due = self.heartbeats.due(silent, now);
        self.actions.extend(due.into_iter().map(Action::ReadHeartbeat));
    }

    /// Begins to make the standby of each address of this node its holder.
    pub fn stop(&mut self) {
        self.is_stopping = true;
    }

    fn apply(&mut self, assignment: Assignment, evidence: Evidence, now: Instant) {
        let address = assignment.address;
        let entry = match self.entries.remove(&address) {
            Some(known) if known.assignment.version >= assignment.version => known,
            known => {
                let entry = Entry::follow(known, assignment, &self.node, evidence, now);
                if matches!(entry.role, Role::Yield { .. }) {
                    self.expire();
                }
                let ticket = ticket(self.epoch, &self.sightings, address);
                self.actions.extend(entry.commands(ticket).map(Action::Send));
                entry
            }
        };
        self.entries.insert(address, entry);
    }

    /// Answers for what was silent until a list with a number up to `number`.
    fn resume(&mut self, number: u64, now: Instant) {
        for (address, entry) in &mut self.entries {
            if entry.resume(number, now) {
                let ticket = ticket(self.epoch, &self.sightings, *address);
                self.actions.extend(entry.commands(ticket).map(Action::Send));
            }
        }
    }

    /// Observes the addresses that are verified without the API server.
    fn observe(&mut self) {
        let verified = self.entries.values().filter(|entry| matches!(entry.role, Role::Verify(_)));
        self.actions.extend(verified.map(|entry| Action::Send(Command::Observe(entry.address()))));
    }

    fn remove(&mut self, address: IpAddr) {
        self.entries.remove(&address);
        self.actions.push(Action::Send(Command::Ignore(address)));
        self.actions.push(Action::Send(Command::Silence(address)));
    }
}

fn ticket(epoch: Epoch, sightings: &BTreeMap<IpAddr, u64>, address: IpAddr) -> Ticket {
    Ticket { epoch, sightings: sightings.get(&address).copied().unwrap_or_default() }
}

/// The response to a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// The assignment was written and is this now.
    Done(Box<Assignment>),
    /// The assignment had changed since it was read.
    Superseded,
    /// The API server did not respond, or refused the write.
    Failed,
}

#[cfg(test)]
mod tests;
