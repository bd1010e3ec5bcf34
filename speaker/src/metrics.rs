//! The speaker's metrics.

use fastrak_runtime::admin::ScrapeMetrics;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// All metrics. Clones share their values.
#[derive(Clone, Debug)]
pub struct Metrics {
    addresses: Family<RoleLabels, Gauge>,
    interface_up: Gauge,
    takeovers: Counter,
    conflicts: Counter,
    /// Scrapes of the metrics port.
    pub scrapes: ScrapeMetrics,
}

/// What a node does for an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "the names are the values of the label")]
pub enum Role {
    /// It answers for the address.
    holder,
    /// It observes the holder.
    standby,
}

/// The label of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RoleLabels {
    role: Role,
}

impl Metrics {
    /// Creates and registers the metrics.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let this = Self {
            addresses: Family::default(),
            interface_up: Gauge::default(),
            takeovers: Counter::default(),
            conflicts: Counter::default(),
            scrapes: ScrapeMetrics::default(),
        };
        let registry = registry.sub_registry_with_prefix("fastrak_speaker");
        registry.register("addresses", "Addresses of this node", this.addresses.clone());
        registry.register(
            "interface_up",
            "State of the interface: 1 if it can send and receive, else 0",
            this.interface_up.clone(),
        );
        registry.register(
            "takeovers",
            "Addresses taken over from a holder that failed",
            this.takeovers.clone(),
        );
        registry.register(
            "conflicts",
            "Times that another device was found to use an address of this node",
            this.conflicts.clone(),
        );
        registry.register("metrics_scrapes", "Scrapes of the metrics port", this.scrapes.clone());
        this
    }

    /// Records for how many addresses this node answers, and how many it observes.
    pub fn roles(&self, (holder, standby): (usize, usize)) {
        for (role, count) in [(Role::holder, holder), (Role::standby, standby)] {
            self.addresses
                .get_or_create(&RoleLabels { role })
                .set(count.try_into().unwrap_or(i64::MAX));
        }
    }

    /// Records whether the interface can be used.
    pub fn interface(&self, is_up: bool) {
        self.interface_up.set(i64::from(is_up));
    }

    /// Counts an address that this node has taken over.
    pub fn taken_over(&self) {
        self.takeovers.inc();
    }

    /// Counts an address that another station uses.
    pub fn conflict(&self) {
        self.conflicts.inc();
    }
}
