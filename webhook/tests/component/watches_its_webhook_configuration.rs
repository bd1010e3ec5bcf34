//! A registration that somebody has changed is noticed, by every replica, until it is as it was.

use crate::test_cluster::{Running, SOON, TestCluster};
use anyhow::{Result, ensure};
use fastrak_api::names;
use fastrak_testkit::assets::Assets;
use fastrak_testkit::{Options, eventually, or_skip};
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const PARTS: usize = 12;

/// The parts that a webhook says are not as they should be.
fn drifted(metrics: &str) -> BTreeSet<String> {
    let start = "fastrak_webhook_registration_drift{field=\"";
    let lines = metrics.lines().filter_map(|line| line.strip_prefix(start)?.split_once("\"} "));
    let all: Vec<_> = lines.collect();
    assert!(all.is_empty() || all.len() == PARTS, "{metrics}");
    all.into_iter().filter(|(_, value)| *value == "1").map(|(field, _)| field.to_owned()).collect()
}

/// Waits until a replica says that just these parts are not as they should be.
async fn drift_is(replica: &Running, fields: &[&str]) -> Result<()> {
    let wanted: BTreeSet<_> = fields.iter().map(|&field| field.to_owned()).collect();
    eventually(SOON, format!("drift is {wanted:?}"), || async {
        let metrics = replica.metrics().await?;
        ensure!(metrics.contains("registration_drift{"), "not looked yet");
        let found = drifted(&metrics);
        ensure!(found == wanted, "{found:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_change_is_told_and_so_is_its_end() -> Result<()> {
    or_skip!(Assets::find().await, Ok(()));
    let cluster = TestCluster::start(Options::api_only()).await?;
    let webhook = cluster.webhook(&[]).await?;
    let other = cluster.run(&[]).await?;
    let tells = async |fields: &[&str]| {
        drift_is(&webhook, fields).await?;
        drift_is(&other, fields).await
    };
    let api: Api<MutatingWebhookConfiguration> = Api::all(cluster.client.clone());
    let change = async |operations: Value| {
        let patch = Patch::Json::<()>(serde_json::from_value(operations)?);
        api.patch(names::WEBHOOK_CONFIGURATION, &PatchParams::default(), &patch).await?;
        anyhow::Ok(())
    };
    // By address rather than by Service, and with all that the API server has filled in.
    tells(&[]).await?;

    let policy = |value: &str| json!([{"op": "replace", "path": "/webhooks/0/failurePolicy", "value": value}]);
    change(policy("Fail")).await?;
    tells(&["failure_policy"]).await?;
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
    tells(&["failure_policy", "match_conditions", "namespace_selector"]).await?;
    change(policy("Ignore")).await?;
    tells(&["match_conditions", "namespace_selector"]).await?;
    change(json!([
        {"op": "remove", "path": "/webhooks/1/matchConditions/2"},
        {"op": "remove", "path": "/webhooks/1/namespaceSelector/matchLabels"},
    ]))
    .await?;
    tells(&[]).await?;

    api.delete(names::WEBHOOK_CONFIGURATION, &DeleteParams::default()).await?;
    tells(&["webhook"]).await?;
    cluster.apply().await?;
    tells(&[]).await?;
    other.stop().await?;
    webhook.stop().await
}
