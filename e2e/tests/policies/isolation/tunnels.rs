//! The webhook's account deletes only Tunnels that a Service controls.

use super::clients::{Clients, clients, has_no_right, refused_for};
use anyhow::{Context, Result, ensure};
use fastrak_api::names::{self, inlets};
use fastrak_api::tunnel::Tunnel;
use fastrak_testkit::{eventually, or_skip};
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(60);

fn tunnels(client: &Client, namespace: &str) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), namespace, &ApiResource::erase::<Tunnel>(&()))
}

/// Creates a Tunnel with this owner.
async fn tunnel(admin: &Client, namespace: &str, name: &str, owner: Value) -> Result<()> {
    let object = json!({
        "apiVersion": inlets::TUNNEL_VERSION, "kind": "Tunnel",
        "metadata": {"name": name, "ownerReferences": [owner]},
        "spec": {"serviceRef": {"name": "web"}},
    });
    let params = PatchParams::apply("test");
    tunnels(admin, namespace).patch(name, &params, &Patch::Apply(&object)).await?;
    Ok(())
}

fn owner(api_version: &str, kind: &str, name: &str, is_controller: bool) -> Value {
    json!({
        "apiVersion": api_version, "kind": kind, "name": name, "controller": is_controller,
        "uid": "00000000-0000-4000-8000-000000000001",
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_webhook_deletes_only_tunnels_that_a_service_controls() -> Result<()> {
    let Clients { webhook, admin, a, .. } = or_skip!(clients().await, Ok(()));
    let why = "only a Tunnel that a Service controls";
    let params = DeleteParams::default();
    let refused = [
        ("named", owner("v1", "Service", "named", true)),
        ("other-tunnel", owner("v1", "Service", "web", true)),
        ("owned-tunnel", owner("v1", "Service", "owned", false)),
        ("config-tunnel", owner("v1", "ConfigMap", "config", true)),
        ("knative-tunnel", owner("serving.knative.dev/v1", "Service", "knative", true)),
    ];
    for (name, owner) in &refused {
        tunnel(&admin, "default", name, owner.clone()).await?;
    }
    // The API server uses new policies and definitions after a moment.
    let trial = DeleteParams { dry_run: true, ..DeleteParams::default() };
    eventually(SOON, "the policy is active", || async {
        refused_for(tunnels(&webhook, "default").delete("named", &trial).await, why)
    })
    .await?;
    for (name, _) in refused {
        let deleted = tunnels(&webhook, "default").delete(name, &params).await;
        refused_for(deleted, why).with_context(|| name)?;
    }
    let own = owner("v1", "Service", "web", true);
    tunnel(&admin, "default", "web-tunnel", own.clone()).await?;
    tunnels(&webhook, "default").delete("web-tunnel", &params).await?;
    ensure!(tunnels(&admin, "default").get_opt("web-tunnel").await?.is_none(), "it exists");

    tunnel(&admin, names::NAMESPACE, "web-tunnel", own).await?;
    let deleted = tunnels(&webhook, names::NAMESPACE).delete("web-tunnel", &params).await;
    refused_for(deleted, "in system namespaces")?;
    let all = ListParams::default();
    has_no_right(tunnels(&webhook, "default").delete_collection(&params, &all).await)?;
    has_no_right(tunnels(&a, "default").delete("named", &params).await)
}
