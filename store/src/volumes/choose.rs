//! Choosing among several pools the one in which a volume is made.
//!
//! A pool that cannot be used, is full, or cannot hold a volume to its size is passed over, and why is
//! remembered for the case that none is left.

use crate::pools::{OpenPool, PoolError};
use crate::volumes::{Made, Order, Store, VolumeError, made};
use fastrak_api::class::PoolPolicy;
use fastrak_api::pool::PoolName;
use fastrak_runtime::chain::Chain;
use std::cmp::Reverse;
use std::ffi::{OsStr, OsString};

type Opened<'a> = Result<OpenPool<'a>, PoolError>;

impl Store {
    /// Makes the volume in one of the pools that its order names. All pools are in `opened`.
    pub(super) fn make_in_one(
        &self,
        opened: Vec<Opened<'_>>,
        order: &Order,
    ) -> Result<Made, VolumeError> {
        let id = &order.identity.volume;
        let (usable, mut refusals) = self.named(opened, &order.pools);
        for pool in self.ranked(usable, order.policy) {
            self.making().insert(OsString::from(id.as_str()));
            let outcome = self.make(&pool, order);
            self.making().remove(OsStr::new(id.as_str()));
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

    /// Those of the pools that are named, in that order, and why the others of these cannot be used.
    fn named<'a>(
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
        // A pool that cannot be reckoned with comes last, and says why when it is tried.
        let free = |pool: &OpenPool<'_>| self.room(pool).map_or(0, |room| room.allocatable);
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
    use crate::pools::{PoolConfig, Pools, Seen};
    use fastrak_api::capacity::{Reserve, Terms, parse_size};
    use fastrak_api::class::ReclaimPolicy;
    use fastrak_api::class::{Mode, Quota};
    use fastrak_api::node::NodeName;
    use fastrak_api::volume::{IDENTITY_FORMAT, Identity, VolumeId};
    use std::path::Path;
    use std::sync::Arc;

    fn name(text: &str) -> PoolName {
        PoolName::parse(text).unwrap()
    }

    /// Pools of these sizes; one of none has no directory.
    fn store(folder: &Path, pools: &[(&str, &str)]) -> Store {
        let config = |(pool, size): &(&str, &str)| {
            let path = folder.join(pool);
            if *size != "0" {
                std::fs::create_dir(&path).unwrap();
            }
            let size = Some(parse_size(size).unwrap());
            let terms = Terms { size, reserve: Reserve::Percent(0), ..Terms::default() };
            PoolConfig { name: name(pool), path, require_mount: false, terms }
        };
        let node = NodeName::parse("node-a").unwrap();
        let configs = pools.iter().map(config).collect();
        let pools = Pools::new(Arc::new(Kernel), node, configs);
        pools.set_seen(Seen { cluster: "cluster-a".to_owned(), ..Seen::default() });
        Store::new(Arc::new(pools))
    }

    fn order(number: u32, kib: u64, pools: &[&str], policy: PoolPolicy) -> Order {
        let volume = VolumeId::parse(&format!("00000000-0000-4000-8000-{number:012}")).unwrap();
        let identity = Identity {
            format: IDENTITY_FORMAT,
            volume,
            namespace: "shop".to_owned(),
            claim: "data".to_owned(),
            class: "several".to_owned(),
            node: "node-a".to_owned(),
            reclaim_policy: ReclaimPolicy::Delete,
            bytes: kib * 1024,
            limit: None,
            trash_seconds: None,
            bytes_per_inode: None,
            claim_created: None,
        };
        let pools = pools.iter().map(|pool| name(pool)).collect();
        Order { identity, pools, policy, mode: Mode::default(), quota: Quota::Off }
    }

    fn chosen(policy: PoolPolicy) -> String {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path(), &[("small", "100Ki"), ("away", "0"), ("large", "150Ki")]);
        let pools = ["away", "small", "large"];
        let made = |number| store.ensure(&order(number, 40, &pools, policy)).unwrap().0.pool;
        (1..=5).map(|number| made(number).to_string() + " ").collect()
    }

    #[test]
    fn the_policy_says_in_which_pool_and_one_that_is_full_or_away_is_passed_over() {
        assert_eq!(chosen(PoolPolicy::MostFree), "large large small large small ");
        assert_eq!(chosen(PoolPolicy::Spread), "large small large small large ");
        assert_eq!(chosen(PoolPolicy::InOrder), "small small large large large ");
    }

    #[test]
    fn where_none_can_have_it_each_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path(), &[("small", "100Ki"), ("away", "0")]);
        let (pools, policy) = (["small", "away"], PoolPolicy::default());
        let error = store.ensure(&order(1, 200, &pools, policy)).unwrap_err().to_string();
        assert!(error.contains("room for 100Ki, not for 200Ki"), "{error}");
        assert!(error.contains("pool away at ") && error.contains("does not exist"), "{error}");
        let alone = store.ensure(&order(1, 200, &pools[..1], policy)).unwrap_err();
        assert!(matches!(alone, VolumeError::Full(_)), "{alone}");
    }

    #[test]
    fn a_volume_stays_in_the_pool_in_which_it_was_begun() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path(), &[("a", "100Ki"), ("b", "200Ki")]);
        let (first, _) = store.ensure(&order(1, 40, &["a"], PoolPolicy::InOrder)).unwrap();
        let again = store.ensure(&order(1, 40, &["a", "b"], PoolPolicy::MostFree)).unwrap();
        assert_eq!(again, (first, false));
    }
}
