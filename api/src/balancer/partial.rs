//! The wire form of a Service, limited to the fields that fastrak reads. [`super::ServiceView`] is
//! what is read from it.

use super::Protocol;
use crate::object::{Mapping, Metadata, Text};
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

impl Port<'_> {
    /// Returns the protocol. The API server sets one; without it, it is TCP.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.protocol.as_deref().and_then(Protocol::parse).unwrap_or(Protocol::Tcp)
    }
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
