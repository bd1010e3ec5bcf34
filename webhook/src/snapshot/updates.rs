//! Schedules the leader's reports about the snapshot.

use super::watcher::SnapshotStore;
use fastrak_runtime::lease::Leadership;
use fastrak_runtime::shutdown::Shutdown;
use tokio::sync::watch::Receiver;

/// A new snapshot or a change of leadership, each time.
pub(super) struct Updates {
    changes: Receiver<()>,
    leadership: Leadership,
    shutdown: Shutdown,
    /// Whether this replica led at the last call.
    led: Option<bool>,
}

impl Updates {
    pub(super) fn at(store: &SnapshotStore, leadership: &Leadership, shutdown: Shutdown) -> Self {
        Self { changes: store.subscribe(), leadership: leadership.clone(), shutdown, led: None }
    }

    /// Waits for a new snapshot or a change of leadership, except the first time. Returns whether
    /// this replica leads, or `None` when shutdown is requested.
    pub(super) async fn next(&mut self) -> Option<bool> {
        if let Some(led) = self.led {
            tokio::select! {
                () = self.shutdown.requested() => return None,
                () = self.leadership.changed(led) => {}
                changed = self.changes.changed() => if changed.is_err() {
                    self.shutdown.requested().await;
                    return None;
                },
            }
        }
        self.led = Some(self.leadership.is_held());
        self.led
    }
}
