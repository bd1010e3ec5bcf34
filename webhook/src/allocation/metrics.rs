//! The metrics of addresses.

use crate::metrics::Labels;
use fastrak_api::assignment::State;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

crate::metrics::metric_table! {
    /// The metrics of addresses. Only the leader has any.
    pub struct AllocationMetrics {
        addresses: Family<Labels<1>, Gauge>, "addresses",
            "Addresses of AddressPools that are assigned, by state";
        frontends: Family<Labels<1>, Gauge>, "frontends",
            "Ports of nodes' own addresses that are assigned, by state";
        problems: Gauge, "services_without_address",
            "Services that cannot get an address";
    }
}

impl AllocationMetrics {
    /// Shows the states of the assigned addresses and frontends, and the number of Services without an
    /// address.
    pub(super) fn show(
        &self,
        addresses: impl Iterator<Item = State>,
        frontends: impl Iterator<Item = State>,
        problems: usize,
    ) {
        show(&self.addresses, addresses);
        show(&self.frontends, frontends);
        self.problems.set(i64::try_from(problems).unwrap_or(i64::MAX));
    }

    /// Removes the values when the returned value is dropped: the replica no longer leads.
    pub(super) fn clear_on_drop(&self) -> impl Drop {
        Cleared(self.clone())
    }
}

struct Cleared(AllocationMetrics);

impl Drop for Cleared {
    fn drop(&mut self) {
        self.0.addresses.clear();
        self.0.frontends.clear();
        self.0.problems.set(0);
    }
}

fn show(family: &Family<Labels<1>, Gauge>, states: impl Iterator<Item = State>) {
    let mut counts = State::ALL.map(|state| (state, 0));
    for state in states {
        counts.iter_mut().filter(|(of, _)| *of == state).for_each(|(_, count)| *count += 1);
    }
    for (state, count) in counts {
        family.get_or_create(&[("state", state.as_str())]).set(count);
    }
}
