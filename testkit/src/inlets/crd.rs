//! The operator's CustomResourceDefinition, with the fields that operators of 0.17 have.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use fastrak_api::names::inlets;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::eventually::eventually;

const SOON: Duration = Duration::from_secs(30);

/// Installs the CustomResourceDefinition and waits until the API server serves Tunnels.
pub async fn install_crd(client: &Client) -> Result<()> {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let params = PatchParams::apply("helm");
    let applied = definitions.patch(inlets::TUNNELS, &params, &Patch::Apply(definition())).await;
    applied.context("install the CustomResourceDefinition of Tunnels")?;
    eventually(SOON, "Tunnels are served", || async {
        let status = definitions.get(inlets::TUNNELS).await?.status.unwrap_or_default();
        let conditions = status.conditions.unwrap_or_default();
        let mut conditions = conditions.iter();
        let is_served = conditions.any(|one| one.type_ == "Established" && one.status == "True");
        ensure!(is_served, "not yet");
        Ok(())
    })
    .await
}

fn definition() -> Value {
    let text = json!({"type": "string"});
    let reference = json!({
        "type": "object", "nullable": true, "properties": {"name": text, "namespace": text},
    });
    let spec = json!({
        "type": "object",
        "properties": {
            "serviceRef": reference, "authTokenRef": reference, "licenseRef": reference,
            "updateServiceIP": {"type": "boolean", "nullable": true},
        },
    });
    let status = json!({
        "type": "object",
        "properties": {
            "authTokenRef": reference, "clientDeploymentRef": reference,
            "generated": {"type": "boolean"},
            "hostIP": text, "hostId": text, "hostStatus": text,
        },
    });
    let schema = json!({"type": "object", "properties": {"spec": spec, "status": status}});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": inlets::TUNNELS},
        "spec": {
            "group": inlets::TUNNEL_GROUP,
            "names": {
                "kind": "Tunnel", "listKind": "TunnelList",
                "plural": "tunnels", "singular": "tunnel",
            },
            "scope": "Namespaced",
            "versions": [{
                "name": "v1alpha1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": schema},
                "subresources": {"status": {}},
            }],
        },
    })
}
