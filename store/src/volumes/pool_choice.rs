//! Chooses one of several pools for a new volume.
//!
//! A pool is skipped if it is unusable, full, or unable to enforce a required quota. The reasons
//! are reported if no pool remains.

use crate::pools::{OpenPool, PoolError};
use crate::volumes::{ProvisionedVolume, Store, VolumeError, VolumeSpec, made};
use fastrak_api::class::PoolPolicy;
use fastrak_api::pool::PoolName;
use fastrak_runtime::chain::Chain;
use std::cmp::Reverse;
use std::ffi::{OsStr, OsString};

type Opened<'a> = Result<OpenPool<'a>, PoolError>;

impl Store {
    /// Creates the volume in one of the pools of its specification. `opened` contains all pools.
    pub(super) fn make_in_one(
        &self,
        opened: Vec<Opened<'_>>,
        spec: &VolumeSpec,
    ) -> Result<ProvisionedVolume, VolumeError> {
        let id = &spec.identity.volume;
        let (usable, mut refusals) = self.usable(opened, &spec.pools);
        for pool in self.ranked(usable, spec.policy) {
            self.creating.lock().insert(OsString::from(id.as_str()));
            let outcome = self.make(&pool, spec);
            self.creating.lock().remove(OsStr::new(id.as_str()));
            match outcome {
                Ok(limit) => return Ok(made(&pool, id, limit)),
                Err(error @ (VolumeError::Full(_) | VolumeError::NoQuota { .. })) => {
                    refusals.push(error);
                }
                Err(error) => return Err(error),
            }
        }
        Err(all(refusals))
    }

    /// Returns the usable ones of these pools, in this order, and why the others cannot be used.
    fn usable<'a>(
        &self,
        mut opened: Vec<Opened<'a>>,
        names: &[PoolName],
    ) -> (Vec<OpenPool<'a>>, Vec<VolumeError>) {
        let (mut usable, mut refusals) = (Vec::new(), Vec::new());
        for name in names {
            let is_it = |pool: &Opened<'_>| {
                pool.as_ref().map_or_else(PoolError::pool, |pool| &pool.config.name) == name
            };
            let found = opened.iter().position(is_it).map(|at| opened.swap_remove(at));
            match found.unwrap_or_else(|| Err(self.pools.unknown(name))) {
                Ok(pool) => usable.push(pool),
                Err(error) => refusals.push(VolumeError::Pool(error)),
            }
        }
        (usable, refusals)
    }

    fn ranked<'a>(&self, mut pools: Vec<OpenPool<'a>>, policy: PoolPolicy) -> Vec<OpenPool<'a>> {
        if pools.len() < 2 {
            return pools;
        }
        // A pool whose capacity is unknown comes last and reports its error when it is tried.
        let free =
            |pool: &OpenPool<'_>| self.available(pool).map_or(0, |available| available.allocatable);
        let count = |pool: &OpenPool<'_>| self.grants(pool).map_or(usize::MAX, |all| all.len());
        match policy {
            PoolPolicy::InOrder => {}
            PoolPolicy::MostFree => pools.sort_by_cached_key(|pool| Reverse(free(pool))),
            PoolPolicy::Spread => {
                pools.sort_by_cached_key(|pool| (count(pool), Reverse(free(pool))));
            }
        }
        pools
    }
}

fn all(mut refusals: Vec<VolumeError>) -> VolumeError {
    if refusals.len() == 1
        && let Some(only) = refusals.pop()
    {
        return only;
    }
    let texts: Vec<_> = refusals.iter().map(|error| Chain(error).to_string()).collect();
    let shortages = refusals.iter().flat_map(VolumeError::shortages).cloned().collect();
    VolumeError::NoPool { why: texts.join("; "), shortages }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Kernel;
    use crate::pools::{ClusterView, PoolConfig, Pools};
    use fastrak_api::capacity::{CapacityLimits, Reserve, parse_size};
    use fastrak_api::class::{Mode, Quota};
    use fastrak_api::node::NodeName;
    use fastrak_api::volume::{Identity, VolumeId};
    use fastrak_testkit::fixtures;
    use std::path::Path;
    use std::sync::Arc;

    fn name(text: &str) -> PoolName {
        PoolName::parse(text).unwrap()
    }

    /// Creates pools with these sizes; a pool with size 0 has no directory.
    fn store(directory: &Path, pools: &[(&str, &str)]) -> Store {
        let config = |(pool, size): &(&str, &str)| {
            let path = directory.join(pool);
            if *size != "0" {
                std::fs::create_dir(&path).unwrap();
            }
            let size = Some(parse_size(size).unwrap());
            let limits =
                CapacityLimits { size, reserve: Reserve::Percent(0), ..CapacityLimits::default() };
            PoolConfig { name: name(pool), path, require_mount: false, limits }
        };
        let node = NodeName::parse("node-a").unwrap();
        let configs = pools.iter().map(config).collect();
        let pools = Pools::new(Arc::new(Kernel), node, configs);
        pools.set_cluster_view(ClusterView {
            cluster: "cluster-a".to_owned(),
            ..ClusterView::default()
        });
        Store::new(Arc::new(pools))
    }

    fn spec(number: u32, kib: u64, pools: &[&str], policy: PoolPolicy) -> VolumeSpec {
        let volume = VolumeId::parse(&format!("00000000-0000-4000-8000-{number:012}")).unwrap();
        let identity = Identity {
            class: "several".to_owned(),
            bytes: kib * 1024,
            ..fixtures::identity(volume)
        };
        let pools = pools.iter().map(|pool| name(pool)).collect();
        VolumeSpec { identity, pools, policy, mode: Mode::default(), quota: Quota::Off }
    }

    fn chosen(policy: PoolPolicy) -> String {
        let directory = tempfile::tempdir().unwrap();
        let store =
            store(directory.path(), &[("small", "100Ki"), ("away", "0"), ("large", "150Ki")]);
        let pools = ["away", "small", "large"];
        let made = |number| store.ensure(&spec(number, 40, &pools, policy)).unwrap().0.pool;
        (1..=5).map(|number| made(number).to_string() + " ").collect()
    }

    #[test]
    fn the_policy_orders_the_pools_and_unusable_ones_are_skipped() {
        assert_eq!(chosen(PoolPolicy::MostFree), "large large small large small ");
        assert_eq!(chosen(PoolPolicy::Spread), "large small large small large ");
        assert_eq!(chosen(PoolPolicy::InOrder), "small small large large large ");
    }

    #[test]
    fn if_no_pool_fits_the_reason_of_each_is_reported() {
        let directory = tempfile::tempdir().unwrap();
        let store = store(directory.path(), &[("small", "100Ki"), ("away", "0")]);
        let (pools, policy) = (["small", "away"], PoolPolicy::default());
        let error = store.ensure(&spec(1, 200, &pools, policy)).unwrap_err().to_string();
        assert!(error.contains("100Ki available, the claim requests 200Ki"), "{error}");
        assert!(error.contains("pool away at ") && error.contains("does not exist"), "{error}");
        let alone = store.ensure(&spec(1, 200, &pools[..1], policy)).unwrap_err();
        assert!(matches!(alone, VolumeError::Full(_)), "{alone}");
    }

    #[test]
    fn an_existing_volume_stays_in_its_pool() {
        let directory = tempfile::tempdir().unwrap();
        let store = store(directory.path(), &[("a", "100Ki"), ("b", "200Ki")]);
        let (first, _) = store.ensure(&spec(1, 40, &["a"], PoolPolicy::InOrder)).unwrap();
        let again = store.ensure(&spec(1, 40, &["a", "b"], PoolPolicy::MostFree)).unwrap();
        assert_eq!(again, (first, false));
    }
}
