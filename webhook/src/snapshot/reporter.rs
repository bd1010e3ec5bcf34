//! Reports the problems that the snapshot shows. Every replica sets the metrics. The leader also
//! logs each problem and records events; `agents.rs` and `defaults.rs` decide which.

use super::agents::DownAgents;
use super::metrics::SnapshotMetrics;
use super::watcher::SnapshotStore;
use crate::event::Events;
use fastrak_admission::snapshot::Snapshot;
use fastrak_runtime::lease::Leadership;
use fastrak_runtime::shutdown::Shutdown;
use std::convert::Infallible;
use std::time::Duration;

/// The task that reports problems.
pub(crate) struct SnapshotReporter {
    pub store: SnapshotStore,
    pub metrics: SnapshotMetrics,
    pub events: Events,
    pub leadership: Leadership,
    /// The namespace of the agents.
    pub namespace: String,
    /// How long an agent may be not Ready before it is down.
    pub agent_grace: Duration,
}

/// The reported problems: the notes about classes, and the agents that are down.
type Reported = (Vec<String>, DownAgents);

impl SnapshotReporter {
    /// Reports until shutdown is requested.
    pub(crate) async fn run(mut self, shutdown: Shutdown) -> Result<(), Infallible> {
        let mut changes = self.store.subscribe();
        let mut reported = Reported::default();
        loop {
            let leads = self.leadership.is_held();
            if let Some(snapshot) = self.store.latest() {
                reported = self.report(&snapshot, leads, &reported);
            }
            tokio::select! {
                () = shutdown.requested() => return Ok(()),
                () = self.leadership.changed(leads) => {}
                Ok(()) = changes.changed() => {}
            }
        }
    }

    /// Reports the problems that have not been reported. A replica that does not lead reports all
    /// of them once it leads.
    fn report(&self, snapshot: &Snapshot, leads: bool, (notes, down): &Reported) -> Reported {
        self.metrics.show_defaults(snapshot);
        self.metrics.show_agents(snapshot);
        if !leads {
            return Reported::default();
        }
        (self.report_classes(snapshot, notes), self.report_agents(snapshot, down))
    }
}
