//! Writes the status of AddressPools.

use super::{Outcome, Run};
use crate::allocation::pools::Checked;
use crate::allocation::status;
use fastrak_runtime::clock;
use std::time::Duration;
use tokio::time::Instant;

/// The minimum time between two writes of the status of AddressPools.
const INTERVAL: Duration = Duration::from_secs(1);

impl Run<'_> {
    pub(super) fn write_status(&mut self, checked: &Checked) {
        let now = Instant::now();
        let (Some(known), Some(leases)) = (self.watched.pools.all(), self.watched.leases.all())
        else {
            return;
        };
        if now < self.status_due {
            return;
        }
        self.status_due = now + INTERVAL;
        for (pool, status) in status::outdated(&known, checked, leases, clock::now()) {
            let writer = self.writer.clone();
            self.requests.spawn(async move {
                let written = writer.report(&pool, &status).await;
                Outcome::Status(pool, written)
            });
        }
    }
}
