//! What is still to be looked at for a repair.

use prometheus_client::metrics::gauge::Gauge;

/// A backlog that somebody works on.
#[derive(Debug)]
pub struct Backlog {
    pub(super) gauge: Gauge,
}

impl Backlog {
    /// So many are still to be looked at.
    pub fn set(&self, count: usize) {
        self.gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
    }
}

impl Drop for Backlog {
    fn drop(&mut self) {
        self.gauge.set(0);
    }
}
