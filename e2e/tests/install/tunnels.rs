//! `deploy/inlets`: its rights are those that the webhook uses.

use crate::rights::{compare, granted};
use anyhow::{Context, Result, ensure};
use fastrak_api::names::{self, inlets};
use fastrak_api::tunnel::Tunnel;
use fastrak_e2e::audit::AuditLog;
use fastrak_e2e::install::{Task, overlay, remove_workloads, webhook_config};
use fastrak_testkit::inlets::{Cloud, Operator, Scope, install_crd};
use fastrak_testkit::objects::service;
use fastrak_testkit::webhook_configuration::set_urls;
use fastrak_testkit::{ControlPlane, Identity, Options, apply_manifests, eventually, or_skip};
use k8s_openapi::api::core::v1::Service;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);

async fn installed() -> Result<ControlPlane> {
    let plane = ControlPlane::start(Options::api_only().audited()).await?;
    apply_manifests(&plane, &overlay(&plane, &["inlets"])?).await?;
    let client = plane.client().await?;
    remove_workloads(&client).await?;
    // Nothing listens there, so every object is left to repair.
    set_urls(&client, ([127, 0, 0, 1], 9).into()).await?;
    install_crd(&client).await?;
    Ok(plane)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_right_to_tunnels_is_used_and_none_is_missing() -> Result<()> {
    let plane = or_skip!(installed().await, Ok(()));
    let webhook = Identity::of(&plane, names::NAMESPACE, names::WEBHOOK).await?;
    let client = plane.client().await?;
    let _operator = Operator::start(&client, "default", Scope::Annotated, &Cloud::default());
    let log = AuditLog::from_now(&plane.audit_log())?;
    let config = webhook_config(&webhook, &["--tunnel-cleanup-after=0", "--repair-delay=0.2"])?;
    let running = Task::webhook(config).await?;

    let services: Api<Service> = Api::namespaced(client.clone(), "default");
    let tunnels: Api<Tunnel> = Api::namespaced(client, "default");
    let web = service("web").load_balancer().port(80).build("default");
    services.create(&PostParams::default(), &web).await?;
    eventually(SOON, "it has a machine", || async {
        let status = tunnels.get("web-tunnel").await?.status.context("no status")?;
        ensure!(!status.host_id.is_empty(), "not yet");
        Ok(())
    })
    .await?;
    let flip = Patch::Merge(json!({ "spec": { "type": "ClusterIP" } }));
    services.patch("web", &PatchParams::default(), &flip).await?;
    eventually(SOON, "the Tunnel is deleted", || async {
        ensure!(tunnels.get_opt("web-tunnel").await?.is_none(), "it exists");
        Ok(())
    })
    .await?;
    let granted = granted(&["inlets/webhook.yaml"]);
    eventually(SOON, "every right is used", || async {
        let requests = log.requests()?.into_iter();
        let requests: Vec<_> =
            requests.filter(|request| request.group == inlets::TUNNEL_GROUP).collect();
        compare(&granted, &requests)
    })
    .await?;
    running.stop().await
}
