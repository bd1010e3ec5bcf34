//! Tunnels: the custom resources by which the inlets operator keeps a machine for a Service.

use crate::names::inlets;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};

/// The custom resource, limited to the fields that fastrak reads.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Tunnel {
    /// Its metadata.
    pub metadata: ObjectMeta,
    /// The status.
    pub status: Option<TunnelStatus>,
}

/// The status of a Tunnel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TunnelStatus {
    /// The ID of the machine at its cloud. Empty until the operator has created the machine.
    pub host_id: String,
}

impl k8s_openapi::Resource for Tunnel {
    const API_VERSION: &'static str = inlets::TUNNEL_VERSION;
    const GROUP: &'static str = inlets::TUNNEL_GROUP;
    const KIND: &'static str = "Tunnel";
    const VERSION: &'static str = "v1alpha1";
    const URL_PATH_SEGMENT: &'static str = "tunnels";
    type Scope = NamespaceResourceScope;
}

impl k8s_openapi::Metadata for Tunnel {
    type Ty = ObjectMeta;

    fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn metadata_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}
