//! Every replica reports a changed webhook configuration until the change is reverted.

use crate::test_cluster::{Running, SOON, TestCluster};
use anyhow::{Result, ensure};
use fastrak_api::names;
use fastrak_testkit::{Options, eventually, or_skip};
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const PARTS: usize = 12;

/// Returns the parts that a webhook reports as changed.
fn drifted(metrics: &str) -> BTreeSet<String> {
    let start = "fastrak_webhook_configuration_drift{field=\"";
    let lines = metrics.lines().filter_map(|line| line.strip_prefix(start)?.split_once("\"} "));
    let all: Vec<_> = lines.collect();
    assert!(all.is_empty() || all.len() == PARTS, "{metrics}");
    all.into_iter().filter(|(_, value)| *value == "1").map(|(field, _)| field.to_owned()).collect()
}

/// Waits until a replica reports exactly these parts as changed.
async fn drift_is(replica: &Running, fields: &[&str]) -> Result<()> {
    let wanted: BTreeSet<_> = fields.iter().map(|&field| field.to_owned()).collect();
    eventually(SOON, format!("drift is {wanted:?}"), || async {
        let metrics = replica.metrics().await?;
        ensure!(metrics.contains("configuration_drift{"), "not checked yet");
        let found = drifted(&metrics);
        ensure!(found == wanted, "{found:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_change_is_reported_until_it_is_reverted() -> Result<()> {
    let cluster = or_skip!(TestCluster::start(Options::api_only()).await, Ok(()));
    let webhook = cluster.webhook(&[]).await?;
    let other = cluster.run(&[]).await?;
    let reports = async |fields: &[&str]| {
        drift_is(&webhook, fields).await?;
        drift_is(&other, fields).await
    };
    let api: Api<MutatingWebhookConfiguration> = Api::all(cluster.client.clone());
    let change = async |operations: Value| {
        let patch = Patch::Json::<()>(serde_json::from_value(operations)?);
        api.patch(names::WEBHOOK_CONFIGURATION, &PatchParams::default(), &patch).await?;
        anyhow::Ok(())
    };
    // The address instead of the Service and the defaults of the API server are no changes.
    reports(&[]).await?;

    let policy = |value: &str| json!([{"op": "replace", "path": "/webhooks/0/failurePolicy", "value": value}]);
    change(policy("Fail")).await?;
    reports(&["failure_policy"]).await?;
    let narrow = json!([{
        "op": "add",
        "path": "/webhooks/1/matchConditions/-",
        "value": {"name": "narrow", "expression": "object.metadata.name != 'x'"},
    }, {
        "op": "add",
        "path": "/webhooks/1/namespaceSelector/matchLabels",
        "value": {"team": "a"},
    }]);
    change(narrow).await?;
    reports(&["failure_policy", "match_conditions", "namespace_selector"]).await?;
    change(policy("Ignore")).await?;
    reports(&["match_conditions", "namespace_selector"]).await?;
    change(json!([
        {"op": "remove", "path": "/webhooks/1/matchConditions/2"},
        {"op": "remove", "path": "/webhooks/1/namespaceSelector/matchLabels"},
    ]))
    .await?;
    reports(&[]).await?;

    api.delete(names::WEBHOOK_CONFIGURATION, &DeleteParams::default()).await?;
    reports(&["webhook"]).await?;
    cluster.apply().await?;
    reports(&[]).await?;
    other.stop().await?;
    webhook.stop().await
}
