//! Renews the heartbeat of the node while it answers for addresses, and detects other speakers of the
//! same node. Nodes that answer for no address write nothing.

mod owner;

use crate::frame::Mac;
use crate::leases::{Leases, LeasesError};
use crate::network::Notice;
use fastrak_runtime::chain::Chain;
use fastrak_runtime::shutdown::Shutdown;
use owner::{Owner, Verdict};
use std::convert::Infallible;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

/// The time between two heartbeats.
const INTERVAL: Duration = Duration::from_secs(1);

/// The task that writes heartbeats.
pub struct Heartbeats {
    leases: Leases,
    /// What the controller knows.
    status: watch::Receiver<Status>,
    notices: UnboundedSender<Notice>,
    /// The MAC address in the heartbeat, if this speaker has written it.
    written: Option<String>,
    /// The speaker that was reported last.
    reported: Option<Option<String>>,
    owner: Owner,
}

/// What the controller knows of the node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The MAC address of the interface, once it was up.
    pub mac: Option<Mac>,
    /// Whether the node answers for any address.
    pub answers: bool,
}

impl Heartbeats {
    /// Returns the task. It sends `notices` about other speakers of the node.
    #[must_use]
    pub fn new(
        leases: Leases,
        status: watch::Receiver<Status>,
        notices: UnboundedSender<Notice>,
    ) -> Self {
        let owner = Owner::default();
        Self { leases, status, notices, written: None, reported: None, owner }
    }

    /// Runs until shutdown is requested.
    pub async fn run(mut self, shutdown: Shutdown) -> Result<(), Infallible> {
        let mut ticks = tokio::time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let is_only = self.is_only();
            let is_due = |status: &Status| status.mac.is_some() && (status.answers || !is_only);
            tokio::select! {
                () = shutdown.requested() => return Ok(()),
                Ok(_) = self.status.wait_for(is_due) => {}
                else => return Ok(()),
            }
            ticks.tick().await;
            if let Err(error) = self.beat().await {
                tracing::warn!(error = %Chain(&error), "could not write the heartbeat");
            }
        }
    }

    fn is_only(&self) -> bool {
        self.reported == Some(None)
    }

    async fn beat(&mut self) -> Result<(), LeasesError> {
        let Some(mac) = self.status.borrow().mac.map(|mac| mac.to_string()) else { return Ok(()) };
        let before = self.written.clone().unwrap_or_else(|| mac.clone());
        if self.is_only() && self.leases.beat(&before, &mac).await? {
            self.written = Some(mac);
            return Ok(());
        }
        let found = self.leases.own_heartbeat().await?;
        let was_only = self.is_only();
        let is_own = match (self.owner.look(found.as_ref(), &before, Instant::now()), &found) {
            (Verdict::Own, Some(_)) if was_only => return Err(LeasesError::NotRenewed),
            (Verdict::Own, _) => true,
            (Verdict::Abandoned, Some(found)) => {
                let is_adopted = self.leases.adopt(found, &mac).await?;
                self.written = is_adopted.then_some(mac);
                is_adopted
            }
            (Verdict::Abandoned | Verdict::Foreign, _) => false,
        };
        let other = found.filter(|_| !is_own).map(|found| found.mac.unwrap_or_default());
        if self.reported.as_ref() != Some(&other) {
            self.reported = Some(other.clone());
            let _ended = self.notices.send(Notice::OtherSpeaker(other));
        }
        Ok(())
    }
}
