//! The wire form of a Service, limited to the fields that fastrak reads. [`super::ServiceView`] is
//! what is read from it.

use crate::object::{Mapping, Metadata, Text, text, texts};
use k8s_openapi::api::core::v1::{Service, ServiceSpec};
use serde::Deserialize;

/// The parts of a Service.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct PartialService<'a> {
    /// Its metadata.
    #[serde(borrow)]
    pub metadata: Option<Mapping<Metadata<'a>>>,
    /// Its spec.
    #[serde(borrow)]
    pub spec: Option<Mapping<Spec<'a>>>,
    /// Its status.
    #[serde(borrow)]
    pub status: Option<Status<'a>>,
}

/// The spec of a Service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Spec<'a> {
    /// Its type.
    #[serde(borrow, rename = "type")]
    pub type_: Option<Text<'a>>,
    /// Its address in the cluster.
    #[serde(borrow, rename = "clusterIP")]
    pub cluster_ip: Option<Text<'a>>,
    /// Its load balancer class.
    #[serde(borrow)]
    pub load_balancer_class: Option<Text<'a>>,
    /// Its external addresses.
    #[serde(borrow, rename = "externalIPs")]
    pub external_ips: Option<Vec<Text<'a>>>,
    /// The clients that may reach its load balancer.
    #[serde(borrow)]
    pub load_balancer_source_ranges: Option<Vec<Text<'a>>>,
    /// The address that it requests of its load balancer.
    #[serde(borrow, rename = "loadBalancerIP")]
    pub load_balancer_ip: Option<Text<'a>>,
    /// Its external traffic policy.
    #[serde(borrow)]
    pub external_traffic_policy: Option<Text<'a>>,
    /// Its ports.
    #[serde(borrow)]
    pub ports: Option<Vec<Port<'a>>>,
}

/// A port of a Service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Port<'a> {
    /// Its number.
    pub port: Option<i32>,
    /// Its protocol.
    #[serde(borrow)]
    pub protocol: Option<Text<'a>>,
}

/// The status of a Service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Status<'a> {
    /// The status of its load balancer.
    #[serde(borrow)]
    pub load_balancer: Option<LoadBalancer<'a>>,
}

/// The status of a Service's load balancer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct LoadBalancer<'a> {
    /// Its addresses.
    #[serde(borrow)]
    pub ingress: Option<Vec<IngressEntry<'a>>>,
}

/// An address of a Service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct IngressEntry<'a> {
    /// Its IP address. Absent if it is a host name.
    #[serde(borrow)]
    pub ip: Option<Text<'a>>,
}

impl<'a> PartialService<'a> {
    /// Borrows the parts of a client's object.
    #[must_use]
    pub fn of(service: &'a Service) -> Self {
        let balancer = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
        let ingress = balancer.and_then(|balancer| balancer.ingress.as_ref());
        let ingress = ingress
            .map(|all| all.iter().map(|entry| IngressEntry { ip: text(&entry.ip) }).collect());
        Self {
            metadata: Some(Mapping(Metadata::of(&service.metadata))),
            spec: service.spec.as_ref().map(|spec| Mapping(Spec::of(spec))),
            status: Some(Status { load_balancer: Some(LoadBalancer { ingress }) }),
        }
    }
}

impl<'a> Spec<'a> {
    fn of(spec: &'a ServiceSpec) -> Self {
        let ports = spec.ports.as_ref().map(|ports| {
            let port = |port: &'a k8s_openapi::api::core::v1::ServicePort| Port {
                port: Some(port.port),
                protocol: text(&port.protocol),
            };
            ports.iter().map(port).collect()
        });
        Self {
            type_: text(&spec.type_),
            cluster_ip: text(&spec.cluster_ip),
            load_balancer_class: text(&spec.load_balancer_class),
            external_ips: texts(&spec.external_ips),
            load_balancer_source_ranges: texts(&spec.load_balancer_source_ranges),
            load_balancer_ip: text(&spec.load_balancer_ip),
            external_traffic_policy: text(&spec.external_traffic_policy),
            ports,
        }
    }
}
