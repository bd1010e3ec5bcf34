//! When to look at the cluster, for reports that the leader makes.

use super::watcher::SnapshotStore;
use fastrak_runtime::lease::Leadership;
use fastrak_runtime::shutdown::Shutdown;
use tokio::sync::watch::Receiver;

/// Every moment at which there is something new to look at.
pub(super) struct Looks {
    news: Receiver<()>,
    leadership: Leadership,
    shutdown: Shutdown,
    /// Whether this replica led at the last look.
    led: Option<bool>,
}

impl Looks {
    pub(super) fn at(store: &SnapshotStore, leadership: &Leadership, shutdown: Shutdown) -> Self {
        Self { news: store.subscribe(), leadership: leadership.clone(), shutdown, led: None }
    }

    /// Returns whether this replica leads: at once the first time, and then when there is another
    /// snapshot or this has changed. Returns `None` when shutdown is requested.
    pub(super) async fn next(&mut self) -> Option<bool> {
        if let Some(led) = self.led {
            tokio::select! {
                () = self.shutdown.requested() => return None,
                () = self.leadership.changed(led) => {}
                changed = self.news.changed() => if changed.is_err() {
                    self.shutdown.requested().await;
                    return None;
                },
            }
        }
        self.led = Some(self.leadership.is_held());
        self.led
    }
}
