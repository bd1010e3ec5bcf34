//! The default class is set by the API server's own plugin before the webhook is called, or by the
//! webhook if no class is marked as the default.

use crate::test_cluster::{SOON, TestCluster};
use anyhow::{Context as _, Result, ensure};
use fastrak_api::names::{self, kubernetes};
use fastrak_testkit::objects::claim;
use fastrak_testkit::{Options, eventually, or_skip};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::Api;
use kube::api::PostParams;

#[tokio::test]
async fn the_default_class_is_set_with_and_without_the_mark() -> Result<()> {
    let cluster = or_skip!(TestCluster::start(Options::api_only()).await, Ok(()));
    let webhook = cluster.webhook(&[]).await?;
    let marked = |metrics: &str, count: u32| {
        let line = format!("fastrak_webhook_default_classes {count}");
        metrics.lines().any(|have| have == line)
    };

    ensure!(marked(&webhook.metrics().await?, 1), "the manifests mark one class");
    let created = cluster.claim(&claim("marked").build("default")).await?;
    assert_eq!(class_of(&created), Some(names::CLASS_DEFAULT));

    let unmark = format!("{}-", kubernetes::DEFAULT_CLASS);
    cluster.plane.kubectl(&["annotate", "storageclass", names::CLASS_DEFAULT, &unmark]).await?;
    eventually(SOON, "the webhook knows of no mark", || async {
        anyhow::Ok(marked(&webhook.metrics().await?, 0))
            .and_then(|none| none.then_some(()).context("not yet"))
    })
    .await?;
    let claims: Api<PersistentVolumeClaim> = cluster.api("default");
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    eventually(SOON, "the plugin has lost its default too", || async {
        let untouched =
            claim("probe").label(names::ADMISSION, names::ADMISSION_DISABLED).build("default");
        let answer = claims.create(&dry, &untouched).await?;
        ensure!(class_of(&answer).is_none(), "{:?}", class_of(&answer));
        Ok(())
    })
    .await?;
    let created = cluster.claim(&claim("unmarked").build("default")).await?;
    assert_eq!(class_of(&created), Some(names::CLASS_DEFAULT));
    webhook.stop().await
}

fn class_of(claim: &PersistentVolumeClaim) -> Option<&str> {
    claim.spec.as_ref()?.storage_class_name.as_deref()
}
