//! Metrics of the capacity of pools and of the usage of volumes.
//!
//! There is one series for each volume of this node, up to a bound: a tenant with thousands of
//! volumes must not fill the memory of the collector.

use super::PoolGauge;
use fastrak_api::capacity::Available;
use fastrak_api::pool::PoolName;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// How many volumes have series: the largest ones, if there are more.
pub(crate) const MAX_VOLUMES: usize = 1000;

/// The gauges. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct CapacityGauges {
    total: PoolGauge,
    free: PoolGauge,
    granted: PoolGauge,
    grantable: PoolGauge,
    allocatable: PoolGauge,
    free_inodes: PoolGauge,
    volumes: VolumeGauges,
}

#[derive(Clone, Debug)]
struct VolumeGauges {
    granted: Family<VolumeLabels, Gauge>,
    used: Family<VolumeLabels, Gauge>,
    inodes: Family<VolumeLabels, Gauge>,
}

/// The metrics of one volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VolumeFigures {
    pub(crate) pool: PoolName,
    /// The namespace and name of its claim.
    pub(crate) claim: (String, String),
    pub(crate) granted: u64,
    /// Its usage in bytes, if known.
    pub(crate) used: Option<u64>,
    /// The number of its files, if known.
    pub(crate) inodes: Option<u64>,
}

// The names are those of the kubelet's own figures of volumes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VolumeLabels {
    pool: String,
    namespace: String,
    persistentvolumeclaim: String,
}

impl CapacityGauges {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let mut gauge = |name, help| PoolGauge::register(registry, name, help);
        Self {
            total: gauge("fastrak_agent_pool_total_bytes", "Configured or total size of a pool"),
            free: gauge("fastrak_agent_pool_free_bytes", "Free space of a pool's filesystem"),
            granted: gauge(
                "fastrak_agent_pool_granted_bytes",
                "Sum of the sizes of a pool's volumes",
            ),
            grantable: gauge(
                "fastrak_agent_pool_grantable_bytes",
                "Space that a pool may grant, including overcommit",
            ),
            allocatable: gauge(
                "fastrak_agent_pool_allocatable_bytes",
                "Size of the largest volume that fits into a pool",
            ),
            free_inodes: gauge(
                "fastrak_agent_pool_free_inodes",
                "Free inodes of a pool's filesystem; 0 if it has no fixed number",
            ),
            volumes: VolumeGauges::register(registry),
        }
    }

    /// Sets the figures of a pool.
    pub(crate) fn set_pool(&self, pool: &PoolName, available: &Available) {
        self.total.set(pool, available.total);
        self.free.set(pool, available.state.free);
        self.granted.set(pool, available.state.granted);
        self.grantable.set(pool, available.grantable);
        self.allocatable.set(pool, available.allocatable);
        self.free_inodes.set(pool, available.state.free_inodes);
    }

    /// Sets the figures of all volumes. Series of other volumes are removed.
    pub(crate) fn set_volumes(&self, mut volumes: Vec<VolumeFigures>) {
        let VolumeGauges { granted, used, inodes } = &self.volumes;
        volumes.sort_by_key(|volume| std::cmp::Reverse(volume.used.unwrap_or(volume.granted)));
        volumes.truncate(MAX_VOLUMES);
        granted.clear();
        used.clear();
        inodes.clear();
        for volume in volumes {
            let (namespace, persistentvolumeclaim) = volume.claim;
            let pool = volume.pool.to_string();
            let labels = VolumeLabels { pool, namespace, persistentvolumeclaim };
            granted.get_or_create(&labels).set(number(volume.granted));
            if let Some(bytes) = volume.used {
                used.get_or_create(&labels).set(number(bytes));
            }
            if let Some(count) = volume.inodes {
                inodes.get_or_create(&labels).set(number(count));
            }
        }
    }
}

impl VolumeGauges {
    fn register(registry: &mut Registry) -> Self {
        let mut gauge = |name, help| {
            let gauge = Family::<VolumeLabels, Gauge>::default();
            registry.register(name, help, gauge.clone());
            gauge
        };
        Self {
            granted: gauge("fastrak_agent_volume_granted_bytes", "Size of a volume"),
            used: gauge("fastrak_agent_volume_used_bytes", "Usage of a volume"),
            inodes: gauge("fastrak_agent_volume_inodes", "Files and directories in a volume"),
        }
    }
}

fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume(name: usize) -> VolumeFigures {
        VolumeFigures {
            pool: PoolName::default(),
            claim: ("shop".to_owned(), format!("data-{name}")),
            granted: 10,
            used: Some(name as u64),
            inodes: None,
        }
    }

    fn exposition(registry: &Registry) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
        text
    }

    #[test]
    fn a_deleted_volume_has_no_series() {
        let mut registry = Registry::default();
        let gauges = CapacityGauges::register(&mut registry);
        gauges.set_volumes(vec![volume(1), volume(2)]);
        let line = "fastrak_agent_volume_used_bytes{pool=\"default\",namespace=\"shop\",\
                    persistentvolumeclaim=\"data-1\"} 1";
        assert!(exposition(&registry).contains(line), "{}", exposition(&registry));
        gauges.set_volumes(vec![volume(2)]);
        assert!(
            !exposition(&registry).contains("data-1") && exposition(&registry).contains("data-2")
        );
    }

    #[test]
    fn only_the_largest_of_too_many_volumes_have_series() {
        let mut registry = Registry::default();
        let gauges = CapacityGauges::register(&mut registry);
        gauges.set_volumes((0..3000).map(volume).collect());
        let text = exposition(&registry);
        let series =
            text.lines().filter(|line| line.starts_with("fastrak_agent_volume_used_bytes{"));
        assert_eq!(series.count(), MAX_VOLUMES);
        assert!(text.contains("\"data-2999\"") && !text.contains("\"data-1999\""));
    }
}
