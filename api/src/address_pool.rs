//! AddressPools: the addresses that LoadBalancer Services can get, and which Services and nodes.

use crate::address_range::{AddressRange, RangeError};
use crate::names;
use crate::selector::Requirement;
use k8s_openapi::ClusterResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The custom resource.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AddressPool {
    /// Its metadata.
    pub metadata: ObjectMeta,
    /// The spec.
    pub spec: AddressPoolSpec,
    /// The status.
    pub status: Option<AddressPoolStatus>,
}

/// The spec of an AddressPool.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AddressPoolSpec {
    /// Its addresses: each an address, a CIDR, or FIRST-LAST.
    pub addresses: Vec<String>,
    /// If false, only Services that request an address of the pool get one. The default is true.
    pub auto_assign: Option<bool>,
    /// The namespaces of its Services. If absent, all namespaces.
    pub namespace_selector: Option<LabelSelector>,
    /// The nodes that answer for its addresses. If absent, all nodes.
    pub node_selector: Option<LabelSelector>,
}

/// The status of an AddressPool.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AddressPoolStatus {
    /// The number of its addresses.
    pub total: u64,
    /// The number of its addresses that Services have.
    pub allocated: u64,
    /// The condition `Ready`: whether Services can get its addresses, and why not.
    pub conditions: Vec<Condition>,
}

/// An AddressPool, reduced to what decisions use.
#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// When it was created.
    pub created: Option<Timestamp>,
    /// The version of its spec.
    pub generation: i64,
    /// Its addresses.
    pub ranges: Vec<AddressRange>,
    /// Whether Services that request no address get one of it.
    pub auto_assign: bool,
    /// The labels of the namespaces of its Services.
    pub namespaces: Vec<Requirement>,
    /// The labels of the nodes that answer for its addresses.
    pub nodes: Vec<Requirement>,
}

/// Why an AddressPool cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// One of its addresses is not a range.
    #[error("spec.addresses: {0}")]
    Range(RangeError),
    /// A selector has an unknown operator.
    #[error(
        "unknown operator {0:?} in a selector; known operators: In, NotIn, Exists, DoesNotExist"
    )]
    Operator(String),
}

/// Labels of an object.
pub type Labels = BTreeMap<String, String>;

impl k8s_openapi::Resource for AddressPool {
    const API_VERSION: &'static str = names::ADDRESS_POOL_VERSION;
    const GROUP: &'static str = names::DOMAIN;
    const KIND: &'static str = "AddressPool";
    const VERSION: &'static str = "v1alpha1";
    const URL_PATH_SEGMENT: &'static str = "addresspools";
    type Scope = ClusterResourceScope;
}

impl k8s_openapi::Metadata for AddressPool {
    type Ty = ObjectMeta;

    fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn metadata_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl Pool {
    /// Reads an AddressPool.
    pub fn read(pool: &AddressPool) -> Result<Self, PoolError> {
        let AddressPoolSpec { addresses, auto_assign, namespace_selector, node_selector } =
            &pool.spec;
        let ranges: Result<Vec<AddressRange>, _> =
            addresses.iter().map(|text| text.trim().parse()).collect();
        Ok(Self {
            name: pool.metadata.name.clone().unwrap_or_default(),
            created: pool.metadata.creation_timestamp.as_ref().map(|time| time.0),
            generation: pool.metadata.generation.unwrap_or_default(),
            ranges: ranges.map_err(PoolError::Range)?,
            auto_assign: auto_assign.unwrap_or(true),
            namespaces: requirements(namespace_selector.as_ref())?,
            nodes: requirements(node_selector.as_ref())?,
        })
    }

    /// Returns whether `address` is one of its addresses.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.ranges.iter().any(|range| range.contains(address))
    }

    /// Returns the first address that both pools have.
    #[must_use]
    pub fn overlap(&self, other: &Self) -> Option<IpAddr> {
        let pairs = self.ranges.iter().flat_map(|a| other.ranges.iter().map(move |b| (a, b)));
        pairs.filter(|(a, b)| a.overlaps(b)).map(|(a, b)| a.first().max(b.first())).min()
    }

    /// Returns its addresses of one family, in the order of the spec.
    pub fn addresses(&self, is_ipv4: bool) -> impl Iterator<Item = IpAddr> + '_ {
        let ranges = self.ranges.iter().filter(move |range| range.first().is_ipv4() == is_ipv4);
        ranges.flat_map(AddressRange::addresses)
    }

    /// Returns the number of its addresses, at most the greatest that the API server stores.
    #[must_use]
    pub fn total(&self) -> u64 {
        let total = self.ranges.iter().map(AddressRange::count).fold(0, u64::saturating_add);
        total.min(i64::MAX.unsigned_abs())
    }

    /// Returns whether Services of a namespace with these labels can get its addresses.
    #[must_use]
    pub fn takes_namespace(&self, labels: &Labels) -> bool {
        hold(&self.namespaces, labels)
    }

    /// Returns whether a node with these labels can answer for its addresses.
    #[must_use]
    pub fn takes_node(&self, labels: &Labels) -> bool {
        hold(&self.nodes, labels)
    }
}

fn hold(requirements: &[Requirement], labels: &Labels) -> bool {
    let value = |key: &str| labels.get(key).map(String::as_str);
    requirements.iter().all(|requirement| requirement.holds(value(&requirement.key)))
}

fn requirements(selector: Option<&LabelSelector>) -> Result<Vec<Requirement>, PoolError> {
    let Some(selector) = selector else { return Ok(Vec::new()) };
    let labels = selector.match_labels.iter().flatten();
    let labels = labels.map(|(key, value)| Ok(Requirement::equals(key, value)));
    let expressions = selector.match_expressions.iter().flatten().map(|expression| {
        let values = expression.values.iter().flatten().map(String::as_str);
        Requirement::read(&expression.key, &expression.operator, values)
            .ok_or_else(|| PoolError::Operator(expression.operator.clone()))
    });
    labels.chain(expressions).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(spec: &Value) -> Result<Pool, PoolError> {
        let pool = json!({"metadata": {"name": "lan", "generation": 3}, "spec": spec});
        Pool::read(&serde_json::from_value(pool).unwrap())
    }

    fn labels(key: &str, value: &str) -> Labels {
        [(key.to_owned(), value.to_owned())].into()
    }

    #[test]
    fn a_pool_has_the_addresses_of_all_its_ranges() {
        let pool = read(&json!({
            "addresses": ["192.0.2.16/30", "192.0.2.9", "2001:db8::1-2001:db8::2"],
        }))
        .unwrap();
        let listed: Vec<_> = pool.addresses(true).map(|address| address.to_string()).collect();
        let expected = ["192.0.2.16", "192.0.2.17", "192.0.2.18", "192.0.2.19", "192.0.2.9"];
        assert_eq!(listed, expected);
        assert_eq!(pool.addresses(false).count(), 2);
        assert_eq!((pool.total(), pool.auto_assign, pool.generation), (7, true, 3));
        assert!(pool.contains("2001:db8::2".parse().unwrap()));
        assert!(!pool.contains("192.0.2.10".parse().unwrap()));
    }

    #[test]
    fn selectors_are_evaluated_as_in_kubernetes() {
        let pool = read(&json!({
            "addresses": ["192.0.2.9"],
            "autoAssign": false,
            "namespaceSelector": {"matchLabels": {"team": "web"}},
            "nodeSelector": {"matchExpressions": [{"key": "zone", "operator": "NotIn", "values": ["b"]}]},
        }))
        .unwrap();
        assert!(!pool.auto_assign);
        assert!(pool.takes_namespace(&labels("team", "web")));
        assert!(!pool.takes_namespace(&Labels::new()));
        assert!(pool.takes_node(&Labels::new()) && !pool.takes_node(&labels("zone", "b")));
        let open = read(&json!({"addresses": ["192.0.2.9"], "nodeSelector": {}})).unwrap();
        assert!(open.takes_namespace(&Labels::new()) && open.takes_node(&Labels::new()));
    }

    #[test]
    fn a_pool_that_cannot_be_read_names_the_reason() {
        for (spec, reason) in [
            (
                json!({"addresses": ["192.0.2.9/24"]}),
                "spec.addresses: \"192.0.2.9/24\" is not a network",
            ),
            (
                json!({"nodeSelector": {"matchExpressions": [{"key": "a", "operator": "Is"}]}}),
                "unknown operator \"Is\" in a selector",
            ),
        ] {
            let error = read(&spec).unwrap_err().to_string();
            assert!(error.starts_with(reason), "{error}");
        }
    }

    #[test]
    fn an_overlap_is_named_by_its_first_address() {
        let pool = |addresses: Value| read(&json!({ "addresses": addresses })).unwrap();
        let first = pool(json!(["192.0.2.0/28", "192.0.2.100"]));
        let second = pool(json!(["192.0.2.90-192.0.2.110", "192.0.2.15-192.0.2.20"]));
        assert_eq!(first.overlap(&second), "192.0.2.15".parse().ok());
        assert_eq!(first.overlap(&pool(json!(["2001:db8::/64"]))), None);
    }
}
