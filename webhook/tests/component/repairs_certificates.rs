//! Expired and broken certificates are repaired, and replicas that still serve a valid certificate
//! stay trusted meanwhile.

use crate::continuous_client::{ContinuousClient, Excused, call};
use crate::publishes_its_certificate::Seen;
use crate::test_cluster::{Running, SOON, TestCluster};
use anyhow::{Context as _, Result, ensure};
use fastrak_api::names;
use fastrak_runtime::clock;
use fastrak_testkit::webhook_configuration::fail_closed;
use fastrak_testkit::{Options, eventually, or_skip};
use fastrak_webhook::rotation::cert_bundle::{CertBundle, CertSpec};
use fastrak_webhook::rotation::state::Lifetimes;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::json;
use std::time::{Duration, Instant};
use time::Duration as Time;

/// Starts a webhook that polls so seldom that only a watch can inform it.
async fn watching(cluster: &TestCluster, flags: &[&str]) -> Result<Running> {
    let mut config = cluster.config(flags)?;
    config.rotation.certificate_poll = Some(Duration::from_secs(3600));
    cluster.run_as(config).await
}

/// Creates the Secret as a webhook did this long ago.
pub(crate) async fn left(seen: &Seen, ago: Time) -> Result<CertBundle> {
    let names = [
        "fastrak-webhook.fastrak-system.svc",
        "fastrak-webhook.fastrak-system.svc.cluster.local",
        "127.0.0.1",
    ];
    let spec = CertSpec {
        names: names.map(str::to_owned).to_vec(),
        lifetimes: Lifetimes {
            ca: Time::days(365),
            leaf: Time::days(30),
            settle: Duration::from_secs(10),
        },
    };
    let mut bundle = CertBundle::create(&spec.at(clock::offset_now() - ago))?;
    bundle.inherits = false;
    let data = bundle.data().into_iter();
    let data =
        data.filter_map(|(key, text)| Some((key.to_owned(), ByteString(text?.into_bytes()))));
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some(names::WEBHOOK_SECRET.to_owned()),
            ..ObjectMeta::default()
        },
        data: Some(data.collect()),
        ..Secret::default()
    };
    seen.secrets.create(&PostParams::default(), &secret).await?;
    Ok(bundle)
}

/// Waits until the Secret has another value and the bundle is published and used.
async fn is_replaced(cluster: &TestCluster, seen: &Seen, key: &str, before: &[u8]) -> Result<()> {
    eventually(SOON, format!("there is another {key}"), || async {
        ensure!(seen.stored(key).await? != before, "still the same");
        Ok(())
    })
    .await?;
    seen.is_published().await?;
    cluster.is_asked().await
}

async fn counts(webhook: &Running, line: &str) -> Result<()> {
    let metrics = webhook.metrics().await?;
    ensure!(metrics.lines().any(|have| have == format!("fastrak_webhook_{line}")), "{metrics}");
    Ok(())
}

#[tokio::test]
async fn an_expired_leaf_is_issued_again_by_the_same_ca() -> Result<()> {
    let cluster = or_skip!(TestCluster::start(Options::api_only()).await, Ok(()));
    let seen = Seen::by(&cluster);
    let bundle = left(&seen, Time::days(40)).await?;
    let webhook = cluster.webhook(&[]).await?;
    ensure!(seen.stored(names::SECRET_CA_KEY).await? == bundle.ca.key_pem().as_bytes());
    counts(&webhook, r#"certificates_issued_total{kind="leaf"} 1"#).await?;
    counts(&webhook, "bundle_match 1").await?;
    counts(&webhook, r#"rotation_phase{phase="settled"} 1"#).await?;
    counts(&webhook, r#"rotation_phase{phase="missing"} 0"#).await?;
    webhook.stop().await
}

#[tokio::test]
async fn an_expired_ca_is_replaced() -> Result<()> {
    let cluster = or_skip!(TestCluster::start(Options::api_only()).await, Ok(()));
    let seen = Seen::by(&cluster);
    let bundle = left(&seen, Time::days(400)).await?;
    let webhook = cluster.webhook(&[]).await?;
    ensure!(seen.stored(names::SECRET_CA_KEY).await? != bundle.ca.key_pem().as_bytes());
    counts(&webhook, r#"certificates_issued_total{kind="ca"} 1"#).await?;
    webhook.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_fails_if_the_secret_is_deleted_or_broken() -> Result<()> {
    let cluster = or_skip!(TestCluster::start(Options::api_only()).await, Ok(()));
    let seen = Seen::by(&cluster);
    let flags = ["--bundle-settle=1s"];
    let (webhook, other) =
        tokio::try_join!(watching(&cluster, &flags), watching(&cluster, &flags))?;
    cluster.register(webhook.address).await?;
    tokio::try_join!(webhook.is_ready(), other.is_ready())?;
    cluster.is_asked().await?;
    fail_closed(&cluster.client).await?;
    let caller =
        ContinuousClient::direct(&cluster, vec![webhook.address, other.address], Excused::Nothing)
            .await?;
    let caller = caller.and_through_the_api_server(&cluster);

    let before = seen.stored(names::SECRET_CA_CERT).await?;
    seen.secrets.delete(names::WEBHOOK_SECRET, &DeleteParams::default()).await?;
    is_replaced(&cluster, &seen, names::SECRET_CA_CERT, &before).await?;

    // At once again, while replicas may still serve a certificate of the first CA.
    let before = seen.stored(names::SECRET_CA_KEY).await?;
    let garbage = ByteString(b"rubbish".to_vec());
    seen.break_secret(json!({"data": {names::SECRET_CA_KEY: garbage}})).await?;
    is_replaced(&cluster, &seen, names::SECRET_CA_KEY, &before).await?;

    let leaf = ByteString(b"rubbish".to_vec());
    let before = seen.stored(names::SECRET_LEAF_CERT).await?;
    seen.break_secret(json!({"data": {names::SECRET_LEAF_CERT: leaf}})).await?;
    is_replaced(&cluster, &seen, names::SECRET_LEAF_CERT, &before).await?;
    // Both serve the new certificate in the end.
    for replica in [&webhook, &other] {
        eventually(SOON, "the new certificate is served", || async {
            let text = seen.stored(names::SECRET_CA_CERT).await?;
            let bundle = fastrak_certs::Bundle::parse(std::str::from_utf8(&text)?)?;
            let newest = bundle.iter().next().context("a CA signs")?;
            call(replica.address, newest.as_bytes()).await
        })
        .await?;
    }
    caller.finish().await?;
    webhook.stop().await?;
    other.stop().await
}

#[tokio::test]
async fn a_removed_bundle_is_restored_at_once_and_seldom_after_repeated_removals() -> Result<()> {
    let cluster = or_skip!(TestCluster::start(Options::api_only()).await, Ok(()));
    let seen = Seen::by(&cluster);
    let webhook = watching(&cluster, &[]).await?;
    webhook.is_ready().await?;
    let bundle = seen.is_published().await?;
    let versions = || async {
        let configuration = seen.configurations.get(names::WEBHOOK_CONFIGURATION).await?;
        configuration.metadata.resource_version.context("a version")
    };

    let remove = json!([{"op": "remove", "path": "/webhooks/0/clientConfig/caBundle"}]);
    let remove = Patch::Json::<()>(serde_json::from_value(remove)?);
    let (start, mut removed, mut last) = (Instant::now(), 0, None);
    // It is removed after each restore, until it is not restored at once.
    while removed < 20 {
        let params = PatchParams::default();
        let name = names::WEBHOOK_CONFIGURATION;
        last = seen.configurations.patch(name, &params, &remove).await?.metadata.resource_version;
        removed += 1;
        let back = eventually(Duration::from_secs(3), "it is restored", || async {
            ensure!(seen.bundles().await?.len() == 1, "not yet");
            Ok(())
        });
        if back.await.is_err() {
            break;
        }
    }
    // Three at once, and then one every five seconds.
    let most = 4 + start.elapsed().as_secs() / 5;
    ensure!((4..=most).contains(&removed), "it was removed {removed} times before the backoff");
    ensure!(seen.is_published().await? == bundle, "it is restored after the backoff");
    ensure!(Some(versions().await?) != last);
    webhook.stop().await
}
