//! A Service, reduced to what its address depends on.

use super::lease::Owner;
use fastrak_api::balancer::{Decision, Ingress, Mode, PartialService, Protocol, ServiceView};
use fastrak_api::names;
use k8s_openapi::jiff::Timestamp;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The namespace and the name of a Service.
pub(super) type Key = (String, String);

/// The maximum length of the key of a shared address.
const MAX_KEY: usize = 63;
/// The number of ports with which a Service may have the addresses of nodes, or share one: each is
/// assigned or compared separately.
pub(super) const MAX_PORTS: usize = 100;

/// A Service that has an address of fastrak, or should get one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AddressService {
    pub(super) key: Key,
    pub(super) uid: String,
    pub(super) version: u64,
    pub(super) created: Option<Timestamp>,
    /// The mode of fastrak's that its decision names.
    pub(super) decided: Option<Mode>,
    /// Whether it has addresses that nothing on the Service shows to be fastrak's.
    pub(super) is_foreign: bool,
    /// Its ports, up to one more than the maximum.
    pub(super) ports: Vec<(Protocol, u16)>,
    /// Whether only nodes with its pods can serve it: its `externalTrafficPolicy` is Local.
    pub(super) is_local: bool,
    /// Its address families, in order; true is IPv4.
    pub(super) families: Vec<bool>,
    /// Whether it needs an address of each of its families.
    pub(super) needs_all_families: bool,
    /// The addresses that it requests, or the text that is not an address.
    pub(super) requested: Result<Vec<IpAddr>, String>,
    /// The key of the Services that may have the same address.
    pub(super) shared: Option<String>,
    /// The addresses in its status that fastrak has written, as the record of the API server or Leases
    /// show.
    pub(super) published: Vec<IpAddr>,
    /// All addresses in its status. A user can remove the record of who wrote them, but not change them.
    pub(super) in_status: Vec<IpAddr>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Extra {
    metadata: Metadata,
    spec: Spec,
    status: Status,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    uid: String,
    resource_version: String,
    creation_timestamp: Option<Timestamp>,
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    ip_families: Option<Vec<String>>,
    ip_family_policy: Option<String>,
    #[serde(rename = "loadBalancerIP")]
    load_balancer_ip: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    load_balancer: LoadBalancer,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct LoadBalancer {
    ingress: Option<Vec<Entry>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    ip: Option<String>,
}

impl AddressService {
    /// Parses a Service and its key. Returns no Service if it neither has nor should have an address.
    pub(super) fn read(text: &str) -> Result<(Key, Option<Self>), serde_json::Error> {
        let service: PartialService<'_> = serde_json::from_str(text)?;
        let view = ServiceView::of(&service);
        let key = (view.namespace.clone(), view.name.clone());
        let gives = |mode: &Mode| mode.row().manager == Some(names::MANAGER_ADDRESSES);
        let is_published = matches!(view.ingress, Ingress::By(mode) if gives(&mode));
        let decided = match view.decision() {
            // A client has replaced the annotations, and admission records the decision again.
            None if is_published => Some(Mode::Auto),
            decision => decision.and_then(Decision::mode).filter(gives),
        };
        let decided = decided.filter(|_| view.is_load_balancer);
        if decided.is_none() && view.ingress == Ingress::Absent {
            return Ok((key, None));
        }
        let Extra { metadata, spec, status } = serde_json::from_str(text)?;
        let entries = status.load_balancer.ingress.unwrap_or_default();
        let in_status = entries.iter().filter_map(|entry| entry.ip.as_deref()?.parse().ok());
        let in_status: Vec<IpAddr> = in_status.collect();
        let this = Self {
            key: key.clone(),
            version: metadata.resource_version.parse().unwrap_or_default(),
            created: metadata.creation_timestamp,
            decided,
            is_foreign: !is_published && view.ingress != Ingress::Absent,
            ports: ports(&service),
            is_local: view.is_local,
            families: families(&spec),
            needs_all_families: spec.ip_family_policy.as_deref() == Some("RequireDualStack"),
            shared: shared(metadata.annotations.as_ref()),
            requested: requested(metadata.annotations.as_ref(), &spec),
            published: if is_published { in_status.clone() } else { Vec::new() },
            in_status,
            uid: metadata.uid,
        };
        Ok((key, Some(this)))
    }

    /// Returns the Service with the addresses in its status as fastrak's.
    pub(super) fn owning_all(&self) -> Self {
        Self { is_foreign: false, published: self.in_status.clone(), ..self.clone() }
    }

    /// Returns the mode that should give it an address.
    pub(super) fn mode(&self) -> Option<Mode> {
        self.decided.filter(|_| !self.is_foreign)
    }

    /// Returns the Service as the owner of Leases.
    pub(super) fn owner(&self) -> Owner {
        Owner { key: self.key.clone(), uid: self.uid.clone() }
    }

    /// Returns whether it may have this address: it requests none of the family, or this one. A request
    /// that cannot be read changes nothing.
    pub(super) fn allows(&self, address: IpAddr) -> bool {
        let requested = self.requested.as_deref().unwrap_or_default();
        let mut same = requested.iter().filter(|one| one.is_ipv4() == address.is_ipv4());
        same.next().is_none_or(|one| *one == address)
    }

    /// Returns whether it should have an address.
    pub(super) fn needs_address(&self) -> bool {
        self.mode().is_some()
    }

    /// Returns whether it may have an address of a pool.
    pub(super) fn takes_pool(&self) -> bool {
        matches!(self.mode(), Some(Mode::AddressPool | Mode::Auto))
    }

    /// Returns whether it keeps this address of a pool.
    pub(super) fn keeps(&self, address: IpAddr) -> bool {
        self.takes_pool() && self.allows(address) && self.families.contains(&address.is_ipv4())
    }

    /// Returns whether it may have the addresses of nodes if those in its status are fastrak's.
    pub(super) fn may_take_nodes(&self) -> bool {
        matches!(self.decided, Some(Mode::NodeIp | Mode::Auto))
    }

    /// Returns whether it may have the addresses of nodes.
    pub(super) fn takes_nodes(&self) -> bool {
        self.may_take_nodes() && !self.is_foreign
    }
}

fn ports(service: &PartialService<'_>) -> Vec<(Protocol, u16)> {
    let spec = service.spec.as_ref().and_then(|spec| spec.0.ports.as_deref());
    let ports = spec.unwrap_or_default().iter();
    let ports = ports.filter_map(|port| Some((port.protocol(), port.port?.try_into().ok()?)));
    ports.take(MAX_PORTS + 1).collect()
}

fn families(spec: &Spec) -> Vec<bool> {
    let families = spec.ip_families.iter().flatten();
    let families: Vec<_> = families.map(|family| family == "IPv4").collect();
    if families.is_empty() { vec![true] } else { families }
}

fn shared(annotations: Option<&BTreeMap<String, String>>) -> Option<String> {
    let key = annotations?.get(names::SHARED_ADDRESS)?;
    (1..=MAX_KEY).contains(&key.len()).then(|| key.clone())
}

fn requested(
    annotations: Option<&BTreeMap<String, String>>,
    spec: &Spec,
) -> Result<Vec<IpAddr>, String> {
    let annotation = annotations.and_then(|map| map.get(names::LOAD_BALANCER_IPS));
    let text = annotation.or(spec.load_balancer_ip.as_ref()).map_or("", String::as_str);
    let mut addresses: Vec<IpAddr> = Vec::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let address: IpAddr =
            part.parse().map_err(|_| part.chars().take(64).collect::<String>())?;
        // One of each family: the text may be very long.
        if addresses.iter().all(|known| known.is_ipv4() != address.is_ipv4()) {
            addresses.push(address);
        }
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    pub(super) fn object() -> Value {
        json!({
            "metadata": {
                "namespace": "shop", "name": "web", "uid": "u1", "resourceVersion": "7",
                "creationTimestamp": "2026-01-01T00:00:00Z",
                "annotations": {names::BALANCER_DECISION: "address-pool"},
            },
            "spec": {
                "type": "LoadBalancer", "clusterIP": "10.0.0.1",
                "ipFamilies": ["IPv6", "IPv4"], "ipFamilyPolicy": "RequireDualStack",
            },
        })
    }

    fn read(object: &Value) -> Option<AddressService> {
        AddressService::read(&object.to_string()).unwrap().1
    }

    fn published_by(manager: &str) -> Value {
        let mut object = object();
        object["metadata"]["managedFields"] = json!([{
            "manager": manager, "subresource": "status",
            "fieldsV1": {"f:status": {"f:loadBalancer": {"f:ingress": {}}}},
        }]);
        object["status"] = json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.9"}]}});
        object
    }

    #[test]
    fn a_service_of_the_mode_wants_an_address_of_each_family() {
        let service = read(&object()).unwrap();
        assert_eq!((service.uid.as_str(), service.version), ("u1", 7));
        assert_eq!((service.mode(), service.ports), (Some(Mode::AddressPool), vec![]));
        assert_eq!((service.families, service.needs_all_families), (vec![false, true], true));
        assert_eq!((service.requested, service.published), (Ok(vec![]), vec![]));
    }

    #[test]
    fn the_ports_and_the_mode_are_read() {
        let mut object = object();
        object["metadata"]["annotations"][names::BALANCER_DECISION] = json!("auto");
        object["spec"]["ports"] = json!([
            {"port": 80}, {"port": 53, "protocol": "UDP"}, {"port": 0}, {"port": 70000}, {"port": -1},
        ]);
        let service = read(&object).unwrap();
        assert_eq!(service.ports, [(Protocol::Tcp, 80), (Protocol::Udp, 53), (Protocol::Tcp, 0)]);
        assert!(service.takes_pool() && service.takes_nodes());
    }

    #[test]
    fn services_of_other_modes_and_load_balancers_are_not_kept() {
        let mut inlets = object();
        inlets["metadata"]["annotations"][names::BALANCER_DECISION] = json!("inlets");
        let mut inner = object();
        inner["spec"]["type"] = json!("ClusterIP");
        for object in [inlets, inner] {
            assert_eq!(read(&object), None, "{object}");
        }
    }

    #[test]
    fn an_address_of_another_writer_is_shown_and_not_ours() {
        for manager in ["metallb", ""] {
            let service = read(&published_by(manager)).unwrap();
            assert_eq!((service.mode(), &service.published), (None, &vec![]), "{manager}");
            let owning = service.owning_all();
            assert_eq!((owning.mode(), &owning.published), (service.decided, &service.in_status));
            assert_eq!(service.in_status, ["192.0.2.9".parse::<IpAddr>().unwrap()]);
        }
    }

    #[test]
    fn a_service_that_keeps_an_address_of_an_earlier_decision_is_kept_until_it_is_cleared() {
        let mut object = published_by(names::MANAGER_ADDRESSES);
        assert!(read(&object).unwrap().needs_address());
        object["metadata"]["annotations"][names::BALANCER_DECISION] = json!("inlets");
        let service = read(&object).unwrap();
        let address: IpAddr = "192.0.2.9".parse().unwrap();
        assert_eq!((service.mode(), service.published), (None, vec![address]));
        object["metadata"]["annotations"] = json!({});
        assert_eq!(read(&object).unwrap().mode(), Some(Mode::Auto), "the record is lost");
    }

    #[test]
    fn the_annotation_requests_addresses_and_the_old_field_one() {
        let mut object = object();
        object["spec"]["loadBalancerIP"] = json!("192.0.2.7");
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(read(&object).unwrap().requested, Ok(vec![address("192.0.2.7")]));
        let annotations = &mut object["metadata"]["annotations"];
        annotations[names::LOAD_BALANCER_IPS] = json!("192.0.2.8, 2001:db8::8");
        let expected = vec![address("192.0.2.8"), address("2001:db8::8")];
        assert_eq!(read(&object).unwrap().requested, Ok(expected));
        object["metadata"]["annotations"][names::LOAD_BALANCER_IPS] = json!("192.0.2.8,web");
        assert_eq!(read(&object).unwrap().requested, Err("web".to_owned()));
    }
}
