//! The task that owns the interface: it carries out the commands of the controller, answers for
//! addresses, and reports what it sees.
//!
//! It never waits for the API server. It is silent before it answers anything else in three cases, until
//! the controller has current evidence: for one address, if another station uses it; for all, if it
//! notices that it was stopped (by SIGSTOP, a suspended machine or a starved processor), or that the
//! interface was down or has another MAC address, because another node may have taken the addresses
//! meanwhile.

use crate::announcer::Announcer;
use crate::frame::Mac;
use crate::host::link::{LinkError, Sockets};
use crate::host::{boot_clock, proc};
use crate::interface::{InterfaceName, State, default_route, listed};
use crate::responder::{Response, Sighting};
use fastrak_runtime::retry;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::time::MissedTickBehavior;

/// The time between two checks that the task runs.
const TICK: Duration = Duration::from_millis(200);
/// The pause after which it is silent.
const MAX_PAUSE: Duration = Duration::from_secs(1);
/// The delays between two looks for a default route.
const ROUTE_DELAYS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));
/// The time between two reports about one address: a hostile host may send at the rate of the link.
const REPORT_INTERVAL: Duration = Duration::from_millis(50);

/// A command of the controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Answer for the address, and announce it, unless the task was silenced since the decision.
    Answer(IpAddr, Ticket),
    /// Do not answer for the address any more.
    Silence(IpAddr),
    /// Do not answer for any address until the next decision.
    SilenceAll,
    /// Announce the address again.
    Announce(IpAddr),
    /// Go on to answer although these stations use the address, and no others.
    Tolerate(IpAddr, BTreeSet<Mac>),
    /// Report who uses the address.
    Observe(IpAddr),
    /// Do not report who uses the address any more.
    Ignore(IpAddr),
    /// Check whether anybody uses the address.
    Probe(IpAddr),
    /// Ask the holder of the address.
    Ask(IpAddr),
}

/// A report to the controller, of this task or of the one that writes heartbeats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Another station uses an address.
    Seen {
        /// The address and the station.
        sighting: Sighting,
        /// How often another station was seen while this node answered for the address.
        count: u64,
    },
    /// The task has silenced all addresses.
    Silenced {
        /// The cause.
        cause: Cause,
        /// The epoch that has begun.
        epoch: Epoch,
    },
    /// Another speaker with this MAC address works for the node, or none does.
    OtherSpeaker(Option<String>),
}

/// Why all addresses were silenced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The controller has requested it.
    Requested,
    /// The task was stopped for this time.
    Stopped(Duration),
    /// The interface cannot be used, for this reason.
    Down(String),
    /// The interface can be used again, or has another MAC address than before.
    Up(InterfaceName, Mac),
}

/// The number of times that all addresses were silenced. Results that the controller requested before
/// the last of them are ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epoch(u64);

impl Epoch {
    /// The epoch of a task that has just started.
    pub const FIRST: Self = Self(0);

    /// Returns the epoch that the next silence begins.
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
    Changed,
    Interrupted,
    Tick,
}

/// Runs on the interface with this name, or else on that of the default route, until the controller is
/// gone. Waits for an interface that does not exist yet.
pub async fn run(
    sockets: Sockets,
    name: Option<InterfaceName>,
    mut commands: UnboundedReceiver<Command>,
    notices: UnboundedSender<Notice>,
) -> Result<(), LinkError> {
    let name = match name {
        Some(name) => name,
        None => route(&notices).await,
    };
    let announcer = Announcer::new(sockets, name)?;
    let (counts, reported) = (BTreeMap::new(), BTreeMap::new());
    let mut network = Network { announcer, notices, epoch: Epoch::FIRST, counts, reported };
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = boot_clock::now();
    network.look(false)?;
    loop {
        let event = tokio::select! {
            command = commands.recv() => match command {
                Some(command) => Event::Command(command),
                None => return Ok(()),
            },
            response = network.announcer.next() => match response {
                Ok(response) => Event::Response(response),
                Err(LinkError::Down) => Event::Interrupted,
                Err(error) => return Err(error),
            },
            changed = network.announcer.changed() => changed.map(|()| Event::Changed)?,
            _ = ticks.tick() => Event::Tick,
        };
        // Before anything is answered.
        let now = boot_clock::now();
        let pause = now.saturating_sub(last);
        last = now;
        if pause > MAX_PAUSE {
            network.silence(Cause::Stopped(pause));
        }
        match event {
            Event::Command(command) => network.execute(command)?,
            Event::Response(Some(response)) if pause <= MAX_PAUSE => {
                network.respond(response)?;
            }
            Event::Response(_) => {}
            Event::Changed => network.look(false)?,
            Event::Interrupted => network.look(true)?,
            // The kernel reports changes; this is for an interface that could not be used at once.
            Event::Tick if !network.announcer.is_up() => network.look(false)?,
            Event::Tick => {}
        }
    }
}

/// Waits for a default route. Returns its interface.
async fn route(notices: &UnboundedSender<Notice>) -> InterfaceName {
    let (mut attempts, mut reported) = (0, String::new());
    loop {
        let routes = proc::routes();
        if let Some(name) = default_route(&routes.ipv4, &routes.ipv6) {
            return name;
        }
        let there = listed(&proc::interfaces());
        let reason = format!("there is no default route (interfaces: {there}); set --interface");
        if reported != reason {
            reported.clone_from(&reason);
            let cause = Cause::Down(reason);
            let _ended = notices.send(Notice::Silenced { cause, epoch: Epoch::FIRST });
        }
        attempts += 1;
        tokio::time::sleep(retry::delay(attempts, ROUTE_DELAYS.0, ROUTE_DELAYS.1)).await;
    }
}

impl Network {
    /// Reads the state of the interface. `is_interrupted`: packets could not be received for a time.
    fn look(&mut self, is_interrupted: bool) -> Result<(), LinkError> {
        let has_changed = self.announcer.refresh()?.is_some();
        let is_back = is_interrupted && self.announcer.is_up();
        if has_changed || is_back {
            let cause = cause(self.announcer.interface(), self.announcer.state());
            self.silence(cause);
        }
        Ok(())
    }

    fn silence(&mut self, cause: Cause) {
        self.announcer.silence_all();
        self.epoch = self.epoch.next();
        let _ended = self.notices.send(Notice::Silenced { cause, epoch: self.epoch });
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

    fn execute(&mut self, command: Command) -> Result<(), LinkError> {
        match command {
            Command::Answer(address, ticket) => {
                let sightings = self.counts.get(&address).copied().unwrap_or_default();
                if ticket == (Ticket { epoch: self.epoch, sightings }) {
                    self.announcer.answer(address)?;
                }
            }
            Command::Silence(address) => self.announcer.silence(address),
            Command::SilenceAll => self.silence(Cause::Requested),
            Command::Announce(address) => self.announcer.announce(address)?,
            Command::Tolerate(address, stations) => self.announcer.tolerate(address, stations),
            Command::Observe(address) => self.announcer.observe(address),
            Command::Ignore(address) => self.announcer.ignore(address),
            Command::Probe(address) => self.announcer.probe(address)?,
            Command::Ask(address) => {
                // The answer is reported even if the holder has just announced the address.
                self.reported.remove(&address);
                self.announcer.ask(address)?;
            }
        }
        Ok(())
    }
}

/// Returns why an interface in this state makes a speaker silent.
fn cause(name: &InterfaceName, state: State) -> Cause {
    Cause::Down(match state {
        State::Up { mac, .. } => return Cause::Up(name.clone(), mac),
        State::Down => format!("interface {name} is down or has no carrier"),
        State::NotEthernet => {
            format!("interface {name} is not an Ethernet interface; set --interface to one that is")
        }
        State::Missing => {
            let there = listed(&proc::interfaces());
            format!("there is no interface {name} (existing interfaces: {there}); set --interface")
        }
    })
}
