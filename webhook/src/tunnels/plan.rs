//! Decides which Tunnels are deleted, and when. Pure.

use super::tunnel::{Key, OwnedTunnel};
use fastrak_admission::snapshot::Snapshot;
use fastrak_api::balancer::ServiceView;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;

/// How long the operator may take to create a machine and to record its ID. It deletes the machine of
/// a deleted Tunnel by that ID, so a machine without one would be leaked.
const MACHINE_CREATION: SignedDuration = SignedDuration::from_mins(10);

/// The observed state.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) tunnels: &'a BTreeMap<Key, OwnedTunnel>,
    /// The Services that keep their Tunnels.
    pub(super) tunnel_services: &'a BTreeMap<Key, ()>,
    pub(super) snapshot: &'a Snapshot,
}

/// Returns whether a Service keeps its Tunnel.
///
/// When its type changes, admission or a repair removes the record and the annotations that fastrak
/// wrote. A record that is left is removed soon, and an annotation that is left is its user's. If
/// nothing is left, the choice of the tunnel was fastrak's, unless fastrak never delegates such a
/// Service.
pub(super) fn keeps(service: &ServiceView) -> bool {
    let is_never_delegated = service.headless || service.foreign_mark.is_some();
    service.is_load_balancer
        || service.deleting
        || service.opted_out
        || service.decision.is_some()
        || service.managed.iter().any(Option::is_some)
        || is_never_delegated
}

/// Returns the Tunnels that no Service keeps, each with the time from which it may be deleted. The
/// Service of such a Tunnel may be deleted: the caller reads it first.
pub(super) fn plan<'a>(view: View<'a>) -> impl Iterator<Item = (&'a Key, Timestamp)> {
    view.tunnels.iter().filter_map(move |(key, tunnel)| {
        let (namespace, _) = key;
        let is_excluded =
            view.snapshot.is_system(namespace) || view.snapshot.is_opted_out(namespace);
        let is_kept =
            is_excluded || view.tunnel_services.contains_key(&tunnel.service_key(namespace));
        let from = deletable_from(tunnel)?;
        (!is_kept).then_some((key, from))
    })
}

/// Returns whether a Tunnel that is due is deleted, by its Service as it is now.
pub(super) fn is_left_behind(tunnel: &OwnedTunnel, uid: &str, service: &ServiceView) -> bool {
    tunnel.service_uid == uid && !keeps(service)
}

fn deletable_from(tunnel: &OwnedTunnel) -> Option<Timestamp> {
    let created = tunnel.created?;
    match tunnel.machine {
        Some(_) => Some(created),
        None => created.checked_add(MACHINE_CREATION).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fastrak_admission::fixtures::{snapshot, with_namespace};
    use fastrak_api::names::inlets::{MANAGE, MANAGE_LEGACY, PROXY_PROTO};
    use fastrak_api::names::{self, kubernetes};
    use serde_json::{Value, json};

    const CREATED: Timestamp = Timestamp::UNIX_EPOCH;

    fn service(change: impl FnOnce(&mut Value)) -> ServiceView {
        let mut object = json!({
            "metadata": {"namespace": "shop", "name": "web", "annotations": {}, "labels": {}},
            "spec": {"type": "ClusterIP", "externalIPs": ["203.0.113.1"], "ports": [{"port": 80}]},
        });
        change(&mut object);
        ServiceView::of(&serde_json::from_str(&object.to_string()).unwrap())
    }

    fn annotated(key: &str, value: &str) -> ServiceView {
        service(|object| object["metadata"]["annotations"][key] = json!(value))
    }

    fn tunnel(machine: Option<&str>) -> OwnedTunnel {
        OwnedTunnel {
            uid: "t1".to_owned(),
            version: "7".to_owned(),
            created: Some(CREATED),
            service: "web".to_owned(),
            service_uid: "s1".to_owned(),
            machine: machine.map(str::to_owned),
        }
    }

    fn key(namespace: &str, name: &str) -> Key {
        (namespace.to_owned(), name.to_owned())
    }

    /// Returns the time from which the Tunnel may be deleted.
    fn due(namespace: &str, tunnel: OwnedTunnel, snapshot: &Snapshot) -> Option<Timestamp> {
        let tunnels = [(key(namespace, "web-tunnel"), tunnel)].into();
        let tunnel_services = [(key("shop", "other"), ()), (key("other", "web"), ())].into();
        let view = View { tunnels: &tunnels, tunnel_services: &tunnel_services, snapshot };
        plan(view).map(|(_, from)| from).next()
    }

    #[test]
    fn a_service_without_any_annotation_of_the_operator_does_not_keep_its_tunnel() {
        assert!(!keeps(&service(|_| {})));
        // What fastrak never removes proves nothing.
        for (key, value) in [(names::BALANCER, "inlets"), (PROXY_PROTO, "v2"), ("x/y", "1")] {
            assert!(!keeps(&annotated(key, value)), "{key}");
        }
    }

    #[test]
    fn a_service_keeps_its_tunnel_while_its_user_or_fastrak_has_a_say() {
        for value in ["1", "true", "0", ""] {
            assert!(keeps(&annotated(MANAGE, value)) && keeps(&annotated(MANAGE_LEGACY, value)));
        }
        // A repair removes the record.
        assert!(keeps(&annotated(names::BALANCER_DECISION, "inlets")));
        assert!(keeps(&service(|object| object["spec"]["type"] = json!("LoadBalancer"))));
        assert!(keeps(&service(|object| {
            object["metadata"]["labels"][names::ADMISSION] = json!(names::ADMISSION_DISABLED);
        })));
        // The garbage collector deletes the Tunnel.
        assert!(keeps(&service(|object| {
            object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        })));
    }

    #[test]
    fn a_service_that_fastrak_never_delegates_keeps_its_tunnel() {
        assert!(keeps(&service(|object| object["spec"]["clusterIP"] = json!("None"))));
        assert!(keeps(&annotated("metallb.io/address-pool", "lan")));
    }

    #[test]
    fn a_tunnel_is_due_at_once_if_its_machine_is_recorded() {
        assert_eq!(due("shop", tunnel(Some("m1")), &snapshot(&[])), Some(CREATED));
    }

    #[test]
    fn a_tunnel_without_a_recorded_machine_is_due_ten_minutes_after_its_creation() {
        let due = due("shop", tunnel(None), &snapshot(&[])).unwrap();
        assert_eq!(due.duration_since(CREATED), SignedDuration::from_mins(10));
    }

    #[test]
    fn a_tunnel_of_unknown_age_is_kept() {
        let unknown = OwnedTunnel { created: None, ..tunnel(Some("m1")) };
        assert_eq!(due("shop", unknown, &snapshot(&[])), None);
    }

    #[test]
    fn tunnels_of_services_that_keep_them_are_not_planned() {
        let tunnels = [(key("shop", "web-tunnel"), tunnel(Some("m1")))].into();
        let tunnel_services = [(key("shop", "web"), ())].into();
        let view =
            View { tunnels: &tunnels, tunnel_services: &tunnel_services, snapshot: &snapshot(&[]) };
        assert_eq!(plan(view).count(), 0);
    }

    #[test]
    fn namespaces_of_the_system_and_those_that_opt_out_keep_their_tunnels() {
        let out = json!({"labels": {names::ADMISSION: names::ADMISSION_DISABLED}});
        let known = with_namespace(&snapshot(&[]), &out);
        assert_eq!(due("shop", tunnel(Some("m1")), &known), None);
        let [system, lease] = kubernetes::SYSTEM_NAMESPACES;
        for namespace in [system, lease, known.namespace.as_str()] {
            assert_eq!(due(namespace, tunnel(Some("m1")), &known), None, "{namespace}");
        }
    }

    #[test]
    fn a_service_of_another_uid_is_not_the_one_of_the_tunnel() {
        let service = service(|_| {});
        assert!(is_left_behind(&tunnel(None), "s1", &service));
        assert!(!is_left_behind(&tunnel(None), "s2", &service));
        assert!(!is_left_behind(&tunnel(None), "s1", &annotated(MANAGE, "1")));
    }
}
