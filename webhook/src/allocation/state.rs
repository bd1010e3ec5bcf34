//! The leader's cache of the cluster, filled by watches and by responses to its writes.

use super::endpoints::Endpoints;
use super::frontend_lease::FrontendLease;
use super::host_ports::HostPorts;
use super::lease::AddressLease;
use super::service::{AddressService, Key};
use crate::snapshot::agent_pods::AgentPod;
use fastrak_api::address_pool::{AddressPool, AddressPoolStatus, Labels, Pool, PoolError};
use fastrak_api::address_range::AddressRange;
use fastrak_api::assignment::{Assignable as _, address};
use fastrak_api::frontend::Frontend;
use fastrak_runtime::reflector::Reflector;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::networking::v1::ServiceCIDR;
use kube::runtime::watcher::Event;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

/// An object that this replica writes, too: the response to a write may come before the event of its
/// watch, or after events of later writes.
pub(super) trait Versioned {
    /// Returns the version.
    fn version(&self) -> u64;
}

impl Versioned for AddressLease {
    fn version(&self) -> u64 {
        self.assignment.version
    }
}

impl Versioned for AddressService {
    fn version(&self) -> u64 {
        self.version
    }
}

/// The newest known version of each object.
#[derive(Debug)]
pub(super) struct Newest<K, V> {
    objects: BTreeMap<K, V>,
    relisted: BTreeMap<K, V>,
    /// The highest version that the watch has shown.
    seen: u64,
    is_synced: bool,
}

impl<K, V> Default for Newest<K, V> {
    fn default() -> Self {
        Self { objects: BTreeMap::new(), relisted: BTreeMap::new(), seen: 0, is_synced: false }
    }
}

impl<K: Ord, V: Versioned> Newest<K, V> {
    /// Applies an event of a watch.
    pub(super) fn apply(&mut self, event: Event<(K, Option<V>)>) {
        if let Event::Apply((_, Some(value)))
        | Event::InitApply((_, Some(value)))
        | Event::Delete((_, Some(value))) = &event
        {
            self.seen = self.seen.max(value.version());
        }
        match event {
            Event::Init => self.relisted.clear(),
            Event::InitApply((key, value)) => {
                self.relisted.extend(value.map(|value| (key, value)));
            }
            Event::InitDone => {
                let listed = std::mem::take(&mut self.relisted);
                let before = std::mem::replace(&mut self.objects, listed);
                let known = before.into_iter().filter(|(key, _)| self.objects.contains_key(key));
                let known: Vec<_> = known.collect();
                known.into_iter().for_each(|(key, value)| self.put(key, value));
                self.is_synced = true;
            }
            Event::Apply((key, Some(value))) => self.put(key, value),
            Event::Apply((key, None)) => drop(self.objects.remove(&key)),
            Event::Delete((key, value)) => {
                let deleted = value.map_or(u64::MAX, |value| value.version());
                if self.objects.get(&key).is_some_and(|known| known.version() <= deleted) {
                    self.objects.remove(&key);
                }
            }
        }
    }

    /// Records the response to a write that may have created the object. If the object is unknown, its
    /// version decides: the watch may be behind, or may have shown the deletion already.
    pub(super) fn written(&mut self, key: K, value: V) {
        if self.objects.contains_key(&key) || self.seen < value.version() {
            self.put(key, value);
        }
    }

    /// Records the response to a change of a known object. The watch also removes an object that has no
    /// value any more, such as a Service that needs no address, so an unknown one stays unknown.
    pub(super) fn changed(&mut self, key: K, value: V) {
        if self.objects.contains_key(&key) {
            self.put(key, value);
        }
    }

    /// Records an object, unless a newer version is known.
    fn put(&mut self, key: K, value: V) {
        if self.objects.get(&key).is_none_or(|known| known.version() < value.version()) {
            self.objects.insert(key, value);
        }
    }

    pub(super) fn remove(&mut self, key: &K) {
        self.objects.remove(key);
    }

    /// Returns all objects, or `None` before the first list is complete.
    pub(super) fn all(&self) -> Option<&BTreeMap<K, V>> {
        self.is_synced.then_some(&self.objects)
    }
}

/// The cached objects.
#[derive(Default)]
pub(super) struct Watched {
    pub(super) services: Newest<Key, AddressService>,
    pub(super) leases: Newest<IpAddr, AddressLease>,
    pub(super) frontends: Newest<Frontend, FrontendLease>,
    /// Watched only if Services may get the addresses of nodes.
    pub(super) host_ports: Reflector<Key, HostPorts>,
    /// Watched only if traffic to a Service must stay on a node.
    pub(super) endpoints: Reflector<Key, Endpoints>,
    pub(super) pools: Reflector<String, KnownPool>,
    pub(super) namespaces: Reflector<String, Labels>,
    pub(super) speakers: Reflector<String, AgentPod>,
    pub(super) networks: Reflector<String, Vec<AddressRange>>,
}

impl Watched {
    /// Returns whether any Service has this property.
    pub(super) fn serves(&self, has: impl FnMut(&AddressService) -> bool) -> bool {
        self.services.all().is_some_and(|services| services.values().any(has))
    }
}

/// An AddressPool with its status.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct KnownPool {
    pub(super) pool: Result<Pool, PoolError>,
    pub(super) generation: i64,
    pub(super) status: Option<AddressPoolStatus>,
}

type Read<K, V> = Result<(K, Option<V>), serde_json::Error>;

/// An object, of which only the labels are read.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Labelled {
    metadata: LabelledMetadata,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct LabelledMetadata {
    name: String,
    labels: Option<Labels>,
}

/// Parses the Lease of an address. Another Lease has no value.
pub(super) fn read_lease(text: &str) -> Read<IpAddr, AddressLease> {
    let lease: Lease = serde_json::from_str(text)?;
    let name = lease.metadata.name.as_deref().unwrap_or_default();
    let key = address(name).unwrap_or(Ipv4Addr::UNSPECIFIED.into());
    Ok((key, AddressLease::read(&lease).ok()))
}

/// Parses the Lease of a frontend. Another Lease has no value.
pub(super) fn read_frontend(text: &str) -> Read<Frontend, FrontendLease> {
    let lease: Lease = serde_json::from_str(text)?;
    let name = lease.metadata.name.as_deref().unwrap_or_default();
    let key = Frontend::of_name(name).unwrap_or(Frontend::NONE);
    Ok((key, FrontendLease::read(&lease).ok()))
}

pub(super) fn read_pool(text: &str) -> Read<String, KnownPool> {
    let pool: AddressPool = serde_json::from_str(text)?;
    let name = pool.metadata.name.clone().unwrap_or_default();
    let generation = pool.metadata.generation.unwrap_or_default();
    let known = KnownPool { pool: Pool::read(&pool), generation, status: pool.status };
    Ok((name, Some(known)))
}

pub(super) fn read_namespace(text: &str) -> Read<String, Labels> {
    let Labelled { metadata } = serde_json::from_str(text)?;
    Ok((metadata.name, Some(metadata.labels.unwrap_or_default())))
}

pub(super) fn read_network(text: &str) -> Read<String, Vec<AddressRange>> {
    let network: ServiceCIDR = serde_json::from_str(text)?;
    let cidrs = network.spec.and_then(|spec| spec.cidrs).unwrap_or_default();
    let ranges = cidrs.iter().filter_map(|cidr| cidr.parse().ok()).collect();
    Ok((network.metadata.name.unwrap_or_default(), Some(ranges)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    struct Object(u64);

    impl Versioned for Object {
        fn version(&self) -> u64 {
            self.0
        }
    }

    fn synced() -> Newest<&'static str, Object> {
        let mut newest = Newest::default();
        for event in [Event::Init, Event::InitApply(("a", Some(Object(3)))), Event::InitDone] {
            newest.apply(event);
        }
        newest
    }

    #[test]
    fn an_older_event_does_not_replace_a_newer_response() {
        let mut newest = synced();
        newest.put("a", Object(7));
        newest.apply(Event::Apply(("a", Some(Object(5)))));
        assert_eq!(newest.all().unwrap()["a"], Object(7));
        newest.apply(Event::Apply(("a", Some(Object(8)))));
        assert_eq!(newest.all().unwrap()["a"], Object(8));
    }

    #[test]
    fn a_response_does_not_restore_what_the_watch_has_removed() {
        let mut newest = synced();
        newest.written("b", Object(5));
        assert_eq!(newest.all().unwrap()["b"], Object(5), "the watch is behind");
        newest.apply(Event::Apply(("b", Some(Object(5)))));
        newest.apply(Event::Delete(("b", Some(Object(6)))));
        newest.written("b", Object(5));
        assert!(!newest.all().unwrap().contains_key("b"));
        newest.changed("b", Object(7));
        assert!(!newest.all().unwrap().contains_key("b"));
        newest.written("b", Object(8));
        newest.changed("b", Object(9));
        assert_eq!(newest.all().unwrap()["b"], Object(9));
    }

    #[test]
    fn a_deletion_removes_only_what_was_deleted() {
        let mut newest = synced();
        newest.put("a", Object(7));
        newest.apply(Event::Delete(("a", Some(Object(5)))));
        assert_eq!(newest.all().unwrap()["a"], Object(7), "it was created again");
        newest.apply(Event::Delete(("a", Some(Object(9)))));
        assert!(newest.all().unwrap().is_empty());
    }

    #[test]
    fn a_new_list_removes_what_it_lacks_and_keeps_newer_versions() {
        let mut newest = synced();
        newest.put("a", Object(7));
        newest.put("b", Object(6));
        for event in [Event::Init, Event::InitApply(("a", Some(Object(5)))), Event::InitDone] {
            newest.apply(event);
        }
        assert_eq!(newest.all().unwrap(), &[("a", Object(7))].into());
    }

    #[test]
    fn nothing_is_known_before_the_first_list_is_complete() {
        assert_eq!(Newest::<&str, Object>::default().all(), None);
    }
}
