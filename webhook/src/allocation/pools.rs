//! Which AddressPools can be used. A pool whose addresses have another use would give a Service the
//! address of a node, a pod or another Service.

use fastrak_admission::snapshot::NodeInfo;
use fastrak_api::address_pool::{Pool, PoolError};
use fastrak_api::address_range::AddressRange;
use fastrak_api::node::NodeName;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Why no Service can get an address of a pool.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PoolProblem {
    #[error("{0}")]
    Invalid(PoolError),
    #[error("contains {address}, an address of node {node}; remove it from spec.addresses")]
    Node { node: NodeName, address: IpAddr },
    #[error("overlaps {network}, the pod network of node {node}; choose other addresses")]
    Pods { node: NodeName, network: AddressRange },
    #[error("overlaps {network}, the network of cluster IPs; choose other addresses")]
    Services { network: AddressRange },
    #[error("overlaps AddressPool {pool} at {address}; remove the address from one of the pools")]
    Pool { pool: String, address: IpAddr },
}

/// A pool that cannot be used: no Service gets another address of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Unusable {
    pub(super) problem: PoolProblem,
    /// The pool, if it can be read.
    pub(super) pool: Option<Pool>,
}

/// The pools by name.
pub(super) type Checked = BTreeMap<String, Result<Pool, Unusable>>;

/// Checks the pools. Of two that overlap the older one is used.
pub(super) fn check(
    pools: &BTreeMap<String, Result<Pool, PoolError>>,
    nodes: &BTreeMap<NodeName, NodeInfo>,
    services: &[AddressRange],
) -> Checked {
    let mut checked = Checked::new();
    let mut readable = Vec::new();
    for (name, pool) in pools {
        match pool {
            Ok(pool) => readable.push(pool),
            Err(error) => {
                let problem = PoolProblem::Invalid(error.clone());
                checked.insert(name.clone(), Err(Unusable { problem, pool: None }));
            }
        }
    }
    readable.sort_by_key(|pool| (pool.created, &pool.name));
    for (at, pool) in readable.iter().enumerate() {
        let problem = in_use(pool, nodes, services).or_else(|| overlap(pool, &readable[..at]));
        let pool = (*pool).clone();
        let name = pool.name.clone();
        let checked_pool = match problem {
            Some(problem) => Err(Unusable { problem, pool: Some(pool) }),
            None => Ok(pool),
        };
        checked.insert(name, checked_pool);
    }
    checked
}

fn in_use(
    pool: &Pool,
    nodes: &BTreeMap<NodeName, NodeInfo>,
    services: &[AddressRange],
) -> Option<PoolProblem> {
    let overlaps = |network: &AddressRange| pool.ranges.iter().any(|range| range.overlaps(network));
    let of_node = nodes.iter().find_map(|(name, info)| {
        let node = || name.clone();
        let address = info.addresses.iter().find(|address| pool.contains(**address));
        let address = address.map(|&address| PoolProblem::Node { node: node(), address });
        let pods = || info.pod_networks.iter().find(|network| overlaps(network));
        address.or_else(|| pods().map(|&network| PoolProblem::Pods { node: node(), network }))
    });
    let of_services = || services.iter().find(|network| overlaps(network));
    of_node.or_else(|| of_services().map(|&network| PoolProblem::Services { network }))
}

fn overlap(pool: &Pool, older: &[&Pool]) -> Option<PoolProblem> {
    older.iter().find_map(|other| {
        let address = pool.overlap(other)?;
        Some(PoolProblem::Pool { pool: other.name.clone(), address })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use fastrak_api::address_pool::AddressPool;
    use serde_json::json;

    fn pool(name: &str, created: &str, addresses: &str) -> (String, Result<Pool, PoolError>) {
        let object: AddressPool = serde_json::from_value(json!({
            "metadata": {"name": name, "creationTimestamp": created},
            "spec": {"addresses": [addresses]},
        }))
        .unwrap();
        (name.to_owned(), Pool::read(&object))
    }

    fn problem(addresses: &str) -> Option<String> {
        let node = NodeInfo {
            addresses: vec!["192.0.2.1".parse().unwrap()],
            pod_networks: vec!["10.244.0.0/24".parse().unwrap()],
            ..NodeInfo::default()
        };
        let nodes = [(NodeName::parse("a").unwrap(), node)].into();
        let pools = [pool("lan", "2026-01-01T00:00:00Z", addresses)].into();
        let checked = check(&pools, &nodes, &["10.96.0.0/16".parse().unwrap()]);
        checked["lan"].as_ref().err().map(|unusable| unusable.problem.to_string())
    }

    #[test]
    fn addresses_that_the_cluster_uses_are_refused_with_their_user() {
        assert_eq!(problem("192.0.2.16/28"), None);
        for (addresses, expected) in [
            (
                "192.0.2.0/24",
                "contains 192.0.2.1, an address of node a; remove it from spec.addresses",
            ),
            (
                "10.244.0.9",
                "overlaps 10.244.0.0-10.244.0.255, the pod network of node a; choose other addresses",
            ),
            (
                "10.0.0.0/8",
                "overlaps 10.244.0.0-10.244.0.255, the pod network of node a; choose other addresses",
            ),
            (
                "10.96.0.1",
                "overlaps 10.96.0.0-10.96.255.255, the network of cluster IPs; choose other addresses",
            ),
            (
                "web",
                "spec.addresses: \"web\" is not an address, a CIDR or FIRST-LAST, such as 192.0.2.10-192.0.2.20",
            ),
        ] {
            assert_eq!(problem(addresses).as_deref(), Some(expected), "{addresses}");
        }
    }

    #[test]
    fn of_two_pools_that_overlap_the_older_one_is_used() {
        let pools = [
            pool("a", "2026-01-02T00:00:00Z", "192.0.2.8/29"),
            pool("b", "2026-01-01T00:00:00Z", "192.0.2.0/28"),
        ];
        let checked = check(&pools.into(), &BTreeMap::new(), &[]);
        assert!(checked["b"].is_ok());
        let expected =
            "overlaps AddressPool b at 192.0.2.8; remove the address from one of the pools";
        assert_eq!(checked["a"].as_ref().unwrap_err().problem.to_string(), expected);
    }
}
