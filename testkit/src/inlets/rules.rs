//! What the operator does with a Service and with a Tunnel. Pure.

use fastrak_api::names::inlets;
use k8s_openapi::api::core::v1::Service;

/// The Services that the operator serves without an annotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// None (`-annotated-only`).
    Annotated,
    /// All of type LoadBalancer, which is the operator's default.
    All,
}

/// What the operator does when a Service is added or changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceStep {
    /// It ignores the Service, and any Tunnel of it.
    Ignore,
    /// It creates the Tunnel if there is none.
    CreateTunnel,
    /// It deletes the Tunnel if there is one.
    DeleteTunnel,
}

/// What the operator does with a Tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TunnelStep {
    /// It creates the machine and records its ID.
    CreateMachine,
    /// It records the address of the machine and writes it into the Service.
    Activate,
    /// It does nothing.
    Nothing,
}

/// The values by which an annotation of Go's `strconv.ParseBool` is true.
const TRUE: [&str; 6] = ["1", "t", "T", "true", "TRUE", "True"];

/// Returns what the operator does with a Service.
#[must_use]
pub fn of_service(service: &Service, scope: Scope) -> ServiceStep {
    let type_ = service.spec.as_ref().and_then(|spec| spec.type_.as_deref());
    let annotations = service.metadata.annotations.as_ref();
    let manage = annotations.and_then(|map| map.get(inlets::MANAGE));
    let is_managed = match manage {
        Some(value) => TRUE.contains(&value.as_str()),
        None => scope == Scope::All,
    };
    match (type_, is_managed) {
        (Some("LoadBalancer"), true) => ServiceStep::CreateTunnel,
        (Some("LoadBalancer"), false) => ServiceStep::DeleteTunnel,
        (_, _) => ServiceStep::Ignore,
    }
}

/// Returns what the operator does with a Tunnel of this `status.hostStatus`.
#[must_use]
pub fn of_tunnel(host_status: &str) -> TunnelStep {
    match host_status {
        "" => TunnelStep::CreateMachine,
        "provisioning" => TunnelStep::Activate,
        _ => TunnelStep::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::service;

    fn step(type_: &str, annotation: Option<(&str, &str)>, scope: Scope) -> ServiceStep {
        let builder = service("web").of_type(type_).port(80);
        let builder = match annotation {
            Some((key, value)) => builder.annotate(key, value),
            None => builder,
        };
        of_service(&builder.build("shop"), scope)
    }

    #[test]
    fn a_load_balancer_gets_a_tunnel_by_its_annotation_or_by_default() {
        use ServiceStep::{CreateTunnel, DeleteTunnel};
        for (annotation, annotated, all) in [
            (Some((inlets::MANAGE, "1")), CreateTunnel, CreateTunnel),
            (Some((inlets::MANAGE, "true")), CreateTunnel, CreateTunnel),
            (Some((inlets::MANAGE, "0")), DeleteTunnel, DeleteTunnel),
            (Some((inlets::MANAGE, "yes")), DeleteTunnel, DeleteTunnel),
            (Some((inlets::MANAGE, "")), DeleteTunnel, DeleteTunnel),
            (None, DeleteTunnel, CreateTunnel),
            (Some((inlets::MANAGE_LEGACY, "true")), DeleteTunnel, CreateTunnel),
            (Some((inlets::MANAGE_LEGACY, "false")), DeleteTunnel, CreateTunnel),
        ] {
            assert_eq!(step("LoadBalancer", annotation, Scope::Annotated), annotated);
            assert_eq!(step("LoadBalancer", annotation, Scope::All), all, "{annotation:?}");
        }
    }

    #[test]
    fn the_class_of_a_load_balancer_is_ignored() {
        let object = service("web").load_balancer().class("example.com/other").port(80);
        let object = object.build("shop");
        assert_eq!(of_service(&object, Scope::All), ServiceStep::CreateTunnel);
        assert_eq!(of_service(&object, Scope::Annotated), ServiceStep::DeleteTunnel);
    }

    #[test]
    fn services_of_other_types_are_ignored() {
        for type_ in ["ClusterIP", "NodePort", "ExternalName"] {
            for annotation in [None, Some((inlets::MANAGE, "1")), Some((inlets::MANAGE, "0"))] {
                let steps = [Scope::Annotated, Scope::All].map(|of| step(type_, annotation, of));
                assert_eq!(steps, [ServiceStep::Ignore; 2], "{type_} {annotation:?}");
            }
        }
    }

    #[test]
    fn a_tunnel_gets_a_machine_and_then_its_address() {
        assert_eq!(of_tunnel(""), TunnelStep::CreateMachine);
        assert_eq!(of_tunnel("provisioning"), TunnelStep::Activate);
        assert_eq!(of_tunnel("active"), TunnelStep::Nothing);
    }
}
