//! The webhook's account writes only the declared fields.

use super::clients::{
    A, Clients, claim, claims, clients, dry_run, patch, refused_for, service, services,
};
use anyhow::{Context, Result, ensure};
use fastrak_admission::mutate::{DECLARED, PROBE};
use fastrak_admission::patch::Field;
use fastrak_api::names;
use fastrak_testkit::{objects, or_skip};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Service};
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

fn annotation(key: &str) -> Value {
    json!({ "metadata": { "annotations": { key: "x" } } })
}

fn label(key: &str) -> Value {
    json!({ "metadata": { "labels": { key: "x" } } })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_webhook_writes_every_field_that_it_declares() -> Result<()> {
    let Clients { webhook, admin, .. } = or_skip!(clients().await, Ok(()));
    claim(&admin, "declared", A).await?;
    service(&admin, "declared").await?;
    let trial = PatchParams { dry_run: true, ..PatchParams::default() };
    for field in DECLARED.into_iter().filter(|field| *field != PROBE) {
        let change = match field {
            Field::Annotation(key) => annotation(key),
            Field::Label(key) => label(key),
            Field::ClassName | Field::BalancerClass => continue,
        };
        let change = Patch::Merge(change);
        let on_claim = claims(&webhook).patch("declared", &trial, &change).await;
        let on_service = services(&webhook).patch("declared", &trial, &change).await;
        ensure!(on_claim.is_ok() != on_service.is_ok(), "{field:?}: {on_claim:?} {on_service:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_token_of_the_webhook_writes_nothing_else() -> Result<()> {
    let Clients { webhook, admin, .. } = or_skip!(clients().await, Ok(()));
    claim(&admin, "guarded", A).await?;
    service(&admin, "guarded").await?;
    let own = "only fastrak's own annotations";
    for (change, why) in [
        (annotation(names::UNDELETE), own),
        (annotation(names::BALANCER_DECISION), own),
        (label("other"), own),
        (json!({ "metadata": { "finalizers": ["example.com/other"] } }), own),
        (json!({ "spec": { "volumeName": "other" } }), "only the class"),
        (json!({ "spec": { "resources": { "requests": { "storage": "9Ti" } } } }), ""),
    ] {
        let written = patch(&claims(&webhook), "guarded", change.clone()).await;
        match why {
            // The API server's own rules come first.
            "" => ensure!(written.is_err(), "{change}"),
            why => refused_for(written, why).with_context(|| change.to_string())?,
        }
    }
    for change in [
        annotation(names::NODE),
        annotation(names::BALANCER),
        label(names::NODE),
        json!({ "spec": { "externalIPs": ["192.0.2.1"] } }),
        json!({ "spec": { "selector": { "app": "mine" } } }),
        json!({ "spec": { "type": "ClusterIP" } }),
        json!({ "metadata": { "finalizers": ["example.com/other"] } }),
    ] {
        let written = patch(&services(&webhook), "guarded", change.clone()).await;
        refused_for(written, own).with_context(|| change.to_string())?;
    }
    let elsewhere: Api<Service> = Api::namespaced(webhook.clone(), names::NAMESPACE);
    let decision = annotation(names::BALANCER_DECISION);
    refused_for(patch(&elsewhere, names::WEBHOOK, decision).await, "in system namespaces")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_webhook_creates_claims_by_dry_runs_only() -> Result<()> {
    let Clients { webhook, .. } = or_skip!(clients().await, Ok(()));
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(webhook, names::PROBE_NAMESPACE);
    let claim = objects::claim("probe").build(names::PROBE_NAMESPACE);
    claims.create(&dry_run(), &claim).await.context("the probe")?;
    refused_for(claims.create(&PostParams::default(), &claim).await, "only as dry runs")
}
