//! Services.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{metadata_methods, named};

/// Builds a Service.
#[derive(Debug, Clone)]
pub struct ServiceBuilder {
    object: Service,
    spec: ServiceSpec,
}

metadata_methods!(ServiceBuilder);

/// Returns a builder of a Service for pods with the label `app: <name>`. It needs a port.
#[must_use]
pub fn service(name: &str) -> ServiceBuilder {
    let object = Service { metadata: named(name), ..Service::default() };
    let selector = BTreeMap::from([("app".to_owned(), name.to_owned())]);
    let spec = ServiceSpec { selector: Some(selector), ..ServiceSpec::default() };
    ServiceBuilder { object, spec }
}

impl ServiceBuilder {
    /// Sets the type LoadBalancer.
    #[must_use]
    pub fn load_balancer(self) -> Self {
        self.of_type("LoadBalancer")
    }

    /// Sets the type.
    #[must_use]
    pub fn of_type(mut self, type_: &str) -> Self {
        self.spec.type_ = Some(type_.to_owned());
        self
    }

    /// Adds a TCP port.
    #[must_use]
    pub fn port(self, port: u16) -> Self {
        self.protocol_port("TCP", port)
    }

    /// Adds a port of this protocol.
    #[must_use]
    pub fn protocol_port(mut self, protocol: &str, port: u16) -> Self {
        let ports = self.spec.ports.get_or_insert_default();
        ports.push(ServicePort {
            name: Some(format!("{}-{port}", protocol.to_lowercase())),
            protocol: Some(protocol.to_owned()),
            port: port.into(),
            ..ServicePort::default()
        });
        self
    }

    /// Sets the target port of the last port.
    #[must_use]
    pub fn target(mut self, port: u16) -> Self {
        if let Some(last) = self.spec.ports.iter_mut().flatten().last() {
            last.target_port = Some(IntOrString::Int(port.into()));
        }
        self
    }

    /// Sets the load balancer class.
    #[must_use]
    pub fn class(mut self, class: &str) -> Self {
        self.spec.load_balancer_class = Some(class.to_owned());
        self
    }

    /// Sets `externalTrafficPolicy: Local`.
    #[must_use]
    pub fn local(self) -> Self {
        self.with_spec(|spec| spec.external_traffic_policy = Some("Local".to_owned()))
    }

    /// Changes the spec.
    #[must_use]
    pub fn with_spec(mut self, change: impl FnOnce(&mut ServiceSpec)) -> Self {
        change(&mut self.spec);
        self
    }

    /// Returns the Service.
    #[must_use]
    pub fn build(self, namespace: &str) -> Service {
        let mut object = self.object;
        object.metadata.namespace = Some(namespace.to_owned());
        object.spec = Some(self.spec);
        object
    }
}
