//! The webhook creates its certificates, publishes its CA, and is ready only after the published CA
//! was read back. Lost and broken parts are repaired.

use crate::http;
use crate::test_cluster::{Running, SOON, TestCluster};
use anyhow::{Context as _, Result, ensure};
use fastrak_api::names;
use fastrak_testkit::{Options, eventually, or_skip};
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::json;
use std::collections::BTreeSet;

/// The certificates as an administrator sees them.
pub(crate) struct Seen {
    pub(crate) secrets: Api<Secret>,
    pub(crate) configurations: Api<MutatingWebhookConfiguration>,
}

impl Seen {
    pub(crate) fn by(cluster: &TestCluster) -> Self {
        let configurations = Api::all(cluster.client.clone());
        Self { secrets: cluster.api(names::NAMESPACE), configurations }
    }

    pub(crate) async fn stored(&self, key: &str) -> Result<Vec<u8>> {
        let secret = self.secrets.get(names::WEBHOOK_SECRET).await?;
        let value = secret.data.and_then(|data| data.get(key).cloned());
        Ok(value.with_context(|| format!("the Secret has {key}"))?.0)
    }

    pub(crate) async fn bundles(&self) -> Result<BTreeSet<Vec<u8>>> {
        let configuration = self.configurations.get(names::WEBHOOK_CONFIGURATION).await?;
        let hooks = configuration.webhooks.unwrap_or_default();
        let bundles = hooks.into_iter().map(|hook| hook.client_config.ca_bundle);
        Ok(bundles.map(|bundle| bundle.unwrap_or_default().0).collect())
    }

    /// Waits until every webhook has exactly the bundle of the Secret.
    pub(crate) async fn is_published(&self) -> Result<Vec<u8>> {
        eventually(SOON, "all webhooks have the bundle of the Secret", || async {
            let stored = self.stored(names::SECRET_CA_CERT).await?;
            let bundles = self.bundles().await?;
            ensure!(bundles == BTreeSet::from([stored.clone()]), "{} bundles", bundles.len());
            Ok(stored)
        })
        .await
    }

    pub(crate) async fn break_secret(&self, patch: serde_json::Value) -> Result<()> {
        let (params, patch) = (PatchParams::default(), Patch::Merge(patch));
        self.secrets.patch(names::WEBHOOK_SECRET, &params, &patch).await?;
        Ok(())
    }
}

async fn says_waiting_for(webhook: &Running, what: &str) -> Result<()> {
    eventually(SOON, format!("/readyz says {what}"), || async {
        let (status, body) = http::get(webhook.admin, "/readyz").await?;
        ensure!(status == 503 && body.contains(what), "{status}: {body}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_first_start_creates_everything_and_the_next_keeps_it() -> Result<()> {
    let cluster = or_skip!(TestCluster::start(Options::api_only()).await, Ok(()));
    let seen = Seen::by(&cluster);
    // Of two replicas one creates the Secret, and both serve from it.
    let (one, other) = tokio::try_join!(cluster.run(&[]), cluster.run(&[]))?;
    tokio::try_join!(one.is_ready(), other.is_ready())?;

    let secret = seen.secrets.get(names::WEBHOOK_SECRET).await?;
    assert_eq!(secret.type_.as_deref(), Some("Opaque"));
    let keys: Vec<_> = secret.data.iter().flatten().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["ca.crt", "ca.key", "tls.crt", "tls.key"]);
    seen.is_published().await?;

    let configuration = seen.configurations.get(names::WEBHOOK_CONFIGURATION).await?;
    let managers = configuration.metadata.managed_fields.unwrap_or_default();
    let ours = managers
        .iter()
        .find(|entry| entry.manager.as_deref() == Some(names::MANAGER_CA_BUNDLE))
        .context("the bundle has a manager of its own")?;
    let owned = serde_json::to_string(&ours.fields_v1)?;
    assert_eq!(owned.matches("f:caBundle").count(), 3, "{owned}");
    for others in ["f:service", "f:url", "f:rules", "f:failurePolicy", "f:matchConditions"] {
        ensure!(!owned.contains(others), "{others} is owned by {}", names::MANAGER_CA_BUNDLE);
    }

    let before = seen.stored(names::SECRET_LEAF_CERT).await?;
    one.stop().await?;
    other.stop().await?;
    // No replica runs that could restore the bundle: the manifests must not remove it.
    let bundles = seen.bundles().await?;
    cluster.apply().await?;
    assert_eq!(seen.bundles().await?, bundles);
    cluster.webhook(&[]).await?.stop().await?;
    assert_eq!(seen.stored(names::SECRET_LEAF_CERT).await?, before, "a restart creates nothing");
    Ok(())
}

#[tokio::test]
async fn lost_and_broken_parts_are_repaired() -> Result<()> {
    let cluster = or_skip!(TestCluster::start(Options::api_only()).await, Ok(()));
    let seen = Seen::by(&cluster);
    let webhook = cluster.webhook(&[]).await?;
    let first = seen.is_published().await?;

    // The bundle of one webhook is removed.
    let empty = json!([{"op": "remove", "path": "/webhooks/0/clientConfig/caBundle"}]);
    let empty = Patch::Json::<()>(serde_json::from_value(empty)?);
    let params = PatchParams::default();
    seen.configurations.patch(names::WEBHOOK_CONFIGURATION, &params, &empty).await?;
    assert_eq!(seen.is_published().await?, first);

    // The leaf is broken: the same CA issues another.
    seen.break_secret(json!({"data": {names::SECRET_LEAF_CERT: ByteString(b"rubbish".to_vec())}}))
        .await?;
    eventually(SOON, "there is a leaf again", || async {
        ensure!(seen.stored(names::SECRET_LEAF_CERT).await? != b"rubbish", "still rubbish");
        Ok(())
    })
    .await?;
    assert_eq!(seen.is_published().await?, first);

    // The CA is broken: everything is created again, and keys of others stay.
    seen.break_secret(json!({"data": {
        names::SECRET_CA_CERT: ByteString(b"rubbish".to_vec()),
        "own.txt": ByteString(b"kept".to_vec()),
    }}))
    .await?;
    eventually(SOON, "there is another CA", || async {
        let stored = seen.stored(names::SECRET_CA_CERT).await?;
        ensure!(stored != b"rubbish" && stored != first, "not yet");
        Ok(())
    })
    .await?;
    let second = seen.is_published().await?;
    assert_eq!(seen.stored("own.txt").await?, b"kept");

    // The Secret is deleted.
    seen.secrets.delete(names::WEBHOOK_SECRET, &DeleteParams::default()).await?;
    eventually(SOON, "there is a Secret again", || async {
        ensure!(seen.stored(names::SECRET_CA_CERT).await? != second, "not yet");
        Ok(())
    })
    .await?;
    seen.is_published().await?;
    cluster.is_asked().await?;
    webhook.stop().await
}

#[tokio::test]
async fn without_a_webhook_configuration_it_is_not_ready_and_reports_it() -> Result<()> {
    let cluster = or_skip!(TestCluster::start(Options::api_only()).await, Ok(()));
    let seen = Seen::by(&cluster);
    let mut saved = seen.configurations.get(names::WEBHOOK_CONFIGURATION).await?;
    seen.configurations.delete(names::WEBHOOK_CONFIGURATION, &DeleteParams::default()).await?;
    let webhook = cluster.run(&[]).await?;
    let wanted = "MutatingWebhookConfiguration fastrak has no webhook";
    says_waiting_for(&webhook, wanted).await?;

    saved.metadata.resource_version = None;
    saved.metadata.managed_fields = None;
    seen.configurations.create(&PostParams::default(), &saved).await?;
    webhook.is_ready().await?;
    seen.is_published().await?;

    seen.configurations.delete(names::WEBHOOK_CONFIGURATION, &DeleteParams::default()).await?;
    says_waiting_for(&webhook, wanted).await?;
    webhook.stop().await
}
