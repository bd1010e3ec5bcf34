//! The task that owns the interface: it carries out the commands of the controller, answers for
//! addresses, and reports what it sees.
//!
//! It never waits for the API server. It is silent before it answers anything else in two cases, until
//! the controller has current evidence: for one address, if another station uses it; for all, if it
//! notices that it was stopped (by SIGSTOP, a suspended machine, a starved processor or an interface that
//! was down), because another node may have taken the addresses meanwhile.

use crate::announcer::Announcer;
use crate::frame::Mac;
use crate::host::boot_clock;
use crate::host::link::LinkError;
use crate::responder::{Response, Sighting};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::time::MissedTickBehavior;

/// The time between two checks that the task runs.
const TICK: Duration = Duration::from_millis(200);
/// The pause after which it is silent.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// The time between two reports about one address: a hostile host may send at the rate of the link.
const REPORT_INTERVAL: Duration = Duration::from_millis(50);

/// A command of the controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Answer for the address, and announce it, unless the task was silenced since the decision.
    Answer(IpAddr, Ticket),
    /// Do not answer for the address any more.
    Silence(IpAddr),
    /// Announce the address again.
    Announce(IpAddr),
    /// Go on to answer although this station uses the address.
    Tolerate(IpAddr, Mac),
    /// Report who uses the address.
    Observe(IpAddr),
    /// Do not report who uses the address any more.
    Ignore(IpAddr),
    /// Ask who uses the address.
    Probe(IpAddr),
}

/// A report to the controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Another station uses an address.
    Seen {
        /// The address and the station.
        sighting: Sighting,
        /// How often another station was seen while this node answered for the address.
        count: u64,
    },
    /// The task was stopped for a time and has silenced all addresses.
    Paused {
        /// The time.
        pause: Duration,
        /// The epoch that has begun.
        epoch: Epoch,
    },
}

/// The number of times that the task was stopped. What the controller had read before the last of them
/// is void.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epoch(u64);

impl Epoch {
    /// The epoch of a task that was never stopped.
    pub const FIRST: Self = Self(0);

    /// Returns the epoch that the next stop begins.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// What the controller knew when it decided to answer for an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The epoch.
    pub epoch: Epoch,
    /// How often another station was seen while this node answered for the address.
    pub sightings: u64,
}

/// The state of the task.
struct Network {
    announcer: Announcer,
    notices: UnboundedSender<Notice>,
    epoch: Epoch,
    // The sightings of each address while it was answered, and the last report about each address.
    counts: BTreeMap<IpAddr, u64>,
    reported: BTreeMap<IpAddr, Instant>,
}

enum Event {
    Command(Command),
    Response(Option<Response>),
    Down,
    Tick,
}

/// Runs until the controller is gone.
pub async fn run(
    announcer: Announcer,
    mut commands: UnboundedReceiver<Command>,
    notices: UnboundedSender<Notice>,
) -> Result<(), LinkError> {
    let (counts, reported) = (BTreeMap::new(), BTreeMap::new());
    let mut network = Network { announcer, notices, epoch: Epoch::FIRST, counts, reported };
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = boot_clock::now();
    loop {
        let event = tokio::select! {
            command = commands.recv() => match command {
                Some(command) => Event::Command(command),
                None => return Ok(()),
            },
            response = network.announcer.next() => match response {
                Ok(response) => Event::Response(response),
                Err(LinkError::Down) => Event::Down,
                Err(error) => return Err(error),
            },
            _ = ticks.tick() => Event::Tick,
        };
        // Before anything is answered.
        let now = boot_clock::now();
        let pause = now.saturating_sub(last);
        last = now;
        if pause > LONGEST_PAUSE || matches!(event, Event::Down) {
            network.pause(pause);
        }
        match event {
            Event::Command(command) => network.obey(command)?,
            Event::Response(Some(response)) if pause <= LONGEST_PAUSE => {
                network.respond(response)?;
            }
            Event::Response(_) | Event::Down | Event::Tick => {}
        }
    }
}

impl Network {
    fn pause(&mut self, pause: Duration) {
        self.announcer.silence_all();
        self.epoch = self.epoch.next();
        let _ended = self.notices.send(Notice::Paused { pause, epoch: self.epoch });
    }

    fn respond(&mut self, response: Response) -> Result<(), LinkError> {
        let Some((sighting, has_silenced)) = self.announcer.respond(response)? else {
            return Ok(());
        };
        let count = self.counts.entry(sighting.address).or_default();
        *count += u64::from(has_silenced);
        let (count, now) = (*count, Instant::now());
        let last = self.reported.get(&sighting.address);
        let is_recent = last.is_some_and(|last| now.duration_since(*last) < REPORT_INTERVAL);
        if has_silenced || !is_recent {
            self.reported.insert(sighting.address, now);
            let _ended = self.notices.send(Notice::Seen { sighting, count });
        }
        Ok(())
    }

    fn obey(&mut self, command: Command) -> Result<(), LinkError> {
        match command {
            Command::Answer(address, ticket) => {
                let sightings = self.counts.get(&address).copied().unwrap_or_default();
                if ticket == (Ticket { epoch: self.epoch, sightings }) {
                    self.announcer.answer(address)?;
                }
            }
            Command::Silence(address) => self.announcer.silence(address),
            Command::Announce(address) => self.announcer.announce(address)?,
            Command::Tolerate(address, mac) => self.announcer.tolerate(address, mac),
            Command::Observe(address) => self.announcer.observe(address),
            Command::Ignore(address) => self.announcer.ignore(address),
            Command::Probe(address) => self.announcer.probe(address)?,
        }
        Ok(())
    }
}
