//! A Tunnel, reduced to what its deletion depends on.

use fastrak_api::names::inlets;
use fastrak_api::object::clipped;
use fastrak_api::tunnel::Tunnel;
use k8s_openapi::jiff::Timestamp;

/// The namespace and the name of an object.
pub(super) type Key = (String, String);

/// A Tunnel that a Service controls and whose name the operator has derived from that Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OwnedTunnel {
    pub(super) uid: String,
    pub(super) version: String,
    pub(super) created: Option<Timestamp>,
    /// The name of the Service.
    pub(super) service: String,
    /// The UID of the Service.
    pub(super) service_uid: String,
    /// The ID of its machine, once the operator has recorded it.
    pub(super) machine: Option<String>,
}

impl OwnedTunnel {
    /// Parses a Tunnel and its key. Returns no Tunnel if it is being deleted or is not derived from a
    /// Service.
    pub(super) fn read(text: &str) -> Result<(Key, Option<Self>), serde_json::Error> {
        let Tunnel { metadata, status } = serde_json::from_str(text)?;
        let name = metadata.name.unwrap_or_default();
        let owners = metadata.owner_references.unwrap_or_default();
        let owner = owners.into_iter().find(|owner| owner.controller == Some(true));
        let owner = owner.filter(|owner| {
            (owner.api_version.as_str(), owner.kind.as_str()) == ("v1", "Service")
                && name.strip_suffix(inlets::TUNNEL_SUFFIX) == Some(&owner.name)
        });
        let owner = owner.filter(|_| metadata.deletion_timestamp.is_none());
        let machine = status.map(|status| status.host_id).filter(|id| !id.is_empty());
        let tunnel = owner.map(|owner| Self {
            uid: metadata.uid.unwrap_or_default(),
            version: metadata.resource_version.unwrap_or_default(),
            created: metadata.creation_timestamp.map(|time| time.0),
            service: owner.name,
            service_uid: owner.uid,
            machine: machine.as_deref().map(clipped),
        });
        Ok(((metadata.namespace.unwrap_or_default(), name), tunnel))
    }

    /// Returns the key of the Service.
    pub(super) fn service_key(&self, namespace: &str) -> Key {
        (namespace.to_owned(), self.service.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn object() -> Value {
        json!({
            "metadata": {
                "namespace": "shop", "name": "web-tunnel", "uid": "t1", "resourceVersion": "7",
                "creationTimestamp": "2026-01-01T00:00:00Z",
                "ownerReferences": [{
                    "apiVersion": "v1", "kind": "Service", "name": "web", "uid": "s1",
                    "controller": true, "blockOwnerDeletion": true,
                }],
            },
            "spec": {"serviceRef": {"name": "web", "namespace": "shop"}},
            "status": {"hostStatus": "active", "hostId": "m1", "hostIP": "203.0.113.1"},
        })
    }

    fn read(object: &Value) -> Option<OwnedTunnel> {
        OwnedTunnel::read(&object.to_string()).unwrap().1
    }

    #[test]
    fn a_tunnel_is_read_with_its_service_and_its_machine() {
        let (key, tunnel) = OwnedTunnel::read(&object().to_string()).unwrap();
        let tunnel = tunnel.unwrap();
        assert_eq!(key, ("shop".to_owned(), "web-tunnel".to_owned()));
        assert_eq!((tunnel.uid.as_str(), tunnel.version.as_str()), ("t1", "7"));
        assert_eq!((tunnel.service.as_str(), tunnel.service_uid.as_str()), ("web", "s1"));
        assert_eq!(tunnel.machine.as_deref(), Some("m1"));
        assert_eq!(tunnel.created, Some("2026-01-01T00:00:00Z".parse().unwrap()));
    }

    #[test]
    fn a_tunnel_without_a_recorded_machine_has_none() {
        for status in [Value::Null, json!({}), json!({"hostStatus": "", "hostId": ""})] {
            let mut object = object();
            object["status"] = status;
            assert_eq!(read(&object).unwrap().machine, None);
        }
    }

    #[test]
    fn a_tunnel_that_is_not_derived_from_a_service_is_not_kept() {
        let owner = "/metadata/ownerReferences/0";
        for (at, value) in [
            ("/metadata/name".to_owned(), json!("web")),
            ("/metadata/name".to_owned(), json!("other-tunnel")),
            ("/metadata/ownerReferences".to_owned(), json!([])),
            (format!("{owner}/controller"), json!(false)),
            (format!("{owner}/controller"), Value::Null),
            (format!("{owner}/kind"), json!("Deployment")),
            (format!("{owner}/apiVersion"), json!("serving.knative.dev/v1")),
            (format!("{owner}/name"), json!("other")),
        ] {
            let mut object = object();
            *object.pointer_mut(&at).unwrap() = value.clone();
            assert_eq!(read(&object), None, "{at} {value}");
        }
    }

    #[test]
    fn a_tunnel_that_is_being_deleted_is_not_kept() {
        let mut object = object();
        object["metadata"]["deletionTimestamp"] = json!("2026-01-02T00:00:00Z");
        assert_eq!(read(&object), None);
    }
}
