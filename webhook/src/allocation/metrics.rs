//! The metrics of addresses.

use fastrak_api::assignment::State;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The metrics of addresses. Clones share the values. Only the leader has any.
#[derive(Clone, Debug, Default)]
pub struct AllocationMetrics {
    addresses: Family<AddressLabel, Gauge>,
    problems: Gauge,
}

/// The label of an address.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AddressLabel {
    state: &'static str,
}

impl AllocationMetrics {
    /// Registers the metrics.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let this = Self::default();
        registry.register(
            "addresses",
            "Addresses of AddressPools that are assigned, by state",
            this.addresses.clone(),
        );
        registry.register(
            "services_without_address",
            "Services that cannot get an address of an AddressPool",
            this.problems.clone(),
        );
        this
    }

    /// Shows the assigned addresses and the number of Services without one.
    pub(super) fn show(&self, states: impl Iterator<Item = State>, problems: usize) {
        let mut counts = [State::Proposed, State::Accepted, State::Refused].map(|state| (state, 0));
        for state in states {
            counts.iter_mut().filter(|(of, _)| *of == state).for_each(|(_, count)| *count += 1);
        }
        for (state, count) in counts {
            self.addresses.get_or_create(&AddressLabel { state: state.as_str() }).set(count);
        }
        self.problems.set(i64::try_from(problems).unwrap_or(i64::MAX));
    }

    /// Removes the values of a replica that no longer leads.
    pub(super) fn clear(&self) {
        self.addresses.clear();
        self.problems.set(0);
    }
}
