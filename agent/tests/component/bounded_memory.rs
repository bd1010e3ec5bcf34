//! The program that ships stays within the memory limit of its manifest, for claims of any size.

use crate::scene::{DEADLINE, Scene};
use anyhow::{Context as _, Result, ensure};
use fastrak_testkit::assets::Assets;
use fastrak_testkit::{Component, ControlPlane, Options, eventually, memory, or_skip};
use futures::StreamExt as _;
use futures::TryStreamExt as _;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use kube::api::{ListParams, PostParams};

/// The largest object that an API server accepts: etcd limits requests to 1.5 MiB.
const LABELS: usize = 1_200_000;
/// The number of values of a selector of that size.
const SELECTED: usize = 400_000;

/// Creates `count` claims of the largest size and lets an agent serve them.
async fn serves_large_claims(options: Options, count: usize) -> Result<()> {
    or_skip!(Assets::find().await, Ok(()));
    let plane = ControlPlane::start(options).await?;
    let scene = Scene::without_controllers(&plane).await?;
    let claims = scene.claims("default");
    let make = |number: usize| {
        let claims = claims.clone();
        let mut claim = scene.claim(&format!("data-{number}")).build("default");
        claim.metadata.labels.get_or_insert_default().extend(memory::labels(LABELS));
        async move { claims.create(&PostParams::default(), &claim).await.map(drop) }
    };
    let made = futures::stream::iter((0..count).map(make)).buffer_unordered(4);
    made.try_collect::<()>().await.context("make the claims")?;
    claims
        .create(&PostParams::default(), &with_large_selector(&scene))
        .await
        .context("one more")?;
    let agent = scene.program(&[])?;
    eventually(DEADLINE * 10, "every claim has its volume", || async {
        let volumes = scene.volumes().list_metadata(&ListParams::default()).await?.items.len();
        ensure!(volumes == count, "{volumes} of {count}: {}", agent.log_tail(5));
        Ok(())
    })
    .await?;
    let (peak, limit) = (memory::peak(agent.pid())?, memory::limit("agent.yaml")?);
    ensure!(peak <= limit, "{} KiB of {} KiB", peak >> 10, limit >> 10);
    Ok(())
}

/// Returns a claim that is not served, of many short values: they take much more memory than text.
fn with_large_selector(scene: &Scene) -> PersistentVolumeClaim {
    let mut claim = scene.claim("selector").build("default");
    let requirement = LabelSelectorRequirement {
        key: "a".to_owned(),
        operator: "In".to_owned(),
        values: Some(vec![String::new(); SELECTED]),
    };
    claim.spec.get_or_insert_default().selector =
        Some(LabelSelector { match_expressions: Some(vec![requirement]), match_labels: None });
    claim
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_claims_of_more_than_a_megabyte_fit_if_lists_are_streamed() -> Result<()> {
    serves_large_claims(Options::api_only(), 200).await
}

#[tokio::test(flavor = "multi_thread")]
async fn large_claims_fit_if_lists_come_in_pages() -> Result<()> {
    let pages = Options::api_only().flag(Component::ApiServer, "--feature-gates=WatchList=false");
    serves_large_claims(pages, 40).await
}
