//! The task that owns the interface: it carries out the commands of the controller, answers for
//! addresses, and reports what it sees.
//!
//! It never waits for the API server. Before it answers, it checks whether it was paused (by
//! SIGSTOP, a suspended machine or CPU starvation): another node may have taken over the addresses
//! in the meantime. In that case it does not answer until the controller has read the assignments
//! again.

use crate::announcer::Announcer;
use crate::host::boot_clock;
use crate::host::link::LinkError;
use crate::responder::{Response, Sighting};
use std::net::IpAddr;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::time::MissedTickBehavior;

/// The time between two checks that the task runs.
const TICK: Duration = Duration::from_millis(200);
/// The length of a pause after which it stops answering.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A command of the controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Answer for the address, and announce it, unless the task was paused since this epoch.
    Answer(IpAddr, Epoch),
    /// Stop answering for the address.
    Silence(IpAddr),
    /// Announce the address again.
    Announce(IpAddr),
    /// Report which station uses the address.
    Observe(IpAddr),
    /// Stop reporting which station uses the address.
    Ignore(IpAddr),
    /// Ask which station uses the address.
    Probe(IpAddr),
}

/// A report to the controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Another station uses an address.
    Seen(Sighting),
    /// The task was paused for this time and has stopped answering for all addresses.
    Paused {
        /// The time.
        pause: Duration,
        /// The epoch that has begun.
        epoch: Epoch,
    },
}

/// The number of pauses of the task. Assignments that the controller has read before the last pause
/// are invalid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Epoch(u64);

impl Epoch {
    /// Returns the epoch that starts with the next pause.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Runs until the controller is gone.
pub async fn run(
    mut announcer: Announcer,
    mut commands: UnboundedReceiver<Command>,
    notices: UnboundedSender<Notice>,
) -> Result<(), LinkError> {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = boot_clock::now();
    let mut epoch = Epoch::default();
    loop {
        let event = tokio::select! {
            command = commands.recv() => match command {
                Some(command) => Event::Command(command),
                None => return Ok(()),
            },
            response = announcer.next() => Event::Response(response?),
            _ = ticks.tick() => Event::Tick,
        };
        // Before anything is answered.
        let now = boot_clock::now();
        let pause = now.saturating_sub(last);
        last = now;
        if pause > LONGEST_PAUSE {
            announcer.silence_all();
            epoch = epoch.next();
            let _ended = notices.send(Notice::Paused { pause, epoch });
        }
        match event {
            Event::Command(command) => obey(&mut announcer, command, epoch)?,
            Event::Response(Some(response)) if pause <= LONGEST_PAUSE => {
                if let Some(seen) = announcer.respond(response)? {
                    let _ended = notices.send(Notice::Seen(seen));
                }
            }
            Event::Response(_) | Event::Tick => {}
        }
    }
}

enum Event {
    Command(Command),
    Response(Option<Response>),
    Tick,
}

fn obey(announcer: &mut Announcer, command: Command, now: Epoch) -> Result<(), LinkError> {
    match command {
        Command::Answer(_, epoch) if epoch < now => {}
        Command::Answer(address, _) => announcer.answer(address)?,
        Command::Silence(address) => announcer.silence(address),
        Command::Announce(address) => announcer.announce(address)?,
        Command::Observe(address) => announcer.observe(address),
        Command::Ignore(address) => announcer.ignore(address),
        Command::Probe(address) => announcer.probe(address)?,
    }
    Ok(())
}
