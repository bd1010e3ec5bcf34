//! Compares the policies of `render` with the webhook: claims and Services are sent through a real
//! API server with the webhook, with the policies, with both and with neither, and the four results
//! are compared. Each difference must be documented.

mod cases;
mod claims;
mod cluster;
mod differences;
mod services;
mod without_webhook;

use anyhow::{Context as _, Result, ensure};
use cases::{Case, run, send, some, store};
use claims::is_pinned;
use cluster::{NODES, Running, SOON, TestCluster, Way};
use differences::Findings;
use fastrak_api::names;
use fastrak_testkit::assets;
use fastrak_testkit::objects::local_volume;
use fastrak_testkit::{eventually, or_skip};
use k8s_openapi::api::core::v1::PersistentVolume;
use kube::Api;
use kube::api::{ApiResource, DeleteParams, PostParams};
use std::collections::BTreeSet;

/// The documented differences without cases: the first is tested by
/// [`a_missing_default_class_is_set`], the second by [`an_existing_volume_is_ignored`], the third by
/// [`a_chosen_class_is_not_set`], the fourth follows from what policies can do.
const OTHER_DIFFERENCES: [&str; 4] = [
    "a claim, if `local-storage` does not exist, or is another provisioner's",
    "a new claim that an existing volume fits",
    "a Service that chooses `class=<name>`",
    "warnings and audit annotations",
];

/// Checks that the webhook changes nothing after the policies have done everything.
async fn the_webhook_has_nothing_to_add(
    cluster: &TestCluster,
    webhook: &Running,
    resource: &ApiResource,
    agreed: &[Case],
) -> Result<()> {
    let before = webhook.patches()?;
    ensure!(before > 0, "patches are not counted");
    send(cluster, resource, Way::Both, agreed).await?;
    ensure!(webhook.patches()? == before, "it changed what the policies had done");
    Ok(())
}

async fn compare_services(cluster: &TestCluster, cases: &[Case], flags: &[&str]) -> Result<()> {
    let webhook = cluster.enforce(flags).await?;
    let mut findings = Findings::default();
    for (case, results) in cases.iter().zip(run(cluster, &services::resource(), cases).await?) {
        findings.judge(case, &results, &[]);
    }
    assert!(findings.wrong.is_empty(), "{}", findings.wrong.join("\n"));
    findings.are_many(cases);
    a_chosen_class_is_not_set(cluster).await?;
    let resource = services::resource();
    the_webhook_has_nothing_to_add(cluster, &webhook, &resource, &findings.agreed).await?;
    webhook.stop().await
}

/// Checks that policies set the default class even if it does not exist.
async fn a_missing_default_class_is_set(cluster: &TestCluster) -> Result<()> {
    cluster.plane.kubectl(&["delete", "storageclass", names::CLASS_DEFAULT]).await?;
    let cases = [Case::create(claims::without_class())];
    let results = eventually(SOON, "the webhook has seen the deletion", || async {
        let results = run(cluster, &claims::resource(), &cases).await?;
        let results = results.into_iter().next().context("a result")?;
        ensure!(results.webhook == results.bare, "not yet");
        Ok(results)
    })
    .await?;
    assert_eq!(results.policies["spec"]["storageClassName"], names::CLASS_DEFAULT);
    assert_eq!(results.both, results.policies);
    let classes = assets::repository().join("deploy/base/storageclasses.yaml");
    cluster.plane.kubectl(&["apply", "-f", &classes.to_string_lossy()]).await?;
    eventually(SOON, "the webhook has seen the class again", || async {
        let cases = [Case::create(claims::pinned_to(NODES[0]))];
        let results = run(cluster, &claims::resource(), &cases).await?;
        ensure!(results.iter().all(|results| is_pinned(&results.webhook)), "not yet");
        Ok(())
    })
    .await
}

/// Checks that policies pin a claim that an existing volume fits, and that the webhook removes the
/// pin.
async fn an_existing_volume_is_ignored(cluster: &TestCluster) -> Result<()> {
    let [node, ..] = NODES;
    let volumes: Api<PersistentVolume> = Api::all(cluster.client.clone());
    let volume = local_volume("existing", names::CLASS_DEFAULT, node, "/existing").build();
    volumes.create(&PostParams::default(), &volume).await?;
    let cases = [Case::create(claims::pinned_to(node))];
    let results = eventually(SOON, "the webhook has seen the volume", || async {
        let results = run(cluster, &claims::resource(), &cases).await?;
        let results = results.into_iter().next().context("a result")?;
        ensure!(!is_pinned(&results.webhook), "not yet");
        Ok(results)
    })
    .await?;
    for left in [&results.webhook, &results.both].map(|result| &result["metadata"]) {
        assert_eq!(left["annotations"][names::NODE], node);
        assert!(left["annotations"][names::kubernetes::SELECTED_NODE].is_null(), "{left}");
        assert!(left["labels"][names::NODE].is_null(), "{left}");
    }
    assert!(is_pinned(&results.policies), "{}", results.policies);
    volumes.delete("existing", &DeleteParams::default()).await.map(drop)?;
    eventually(SOON, "the webhook has seen that it is gone", || async {
        let results = run(cluster, &claims::resource(), &cases).await?;
        ensure!(results.iter().all(|results| is_pinned(&results.webhook)), "not yet");
        Ok(())
    })
    .await
}

/// Checks that only the webhook sets the class that a Service chooses.
async fn a_chosen_class_is_not_set(cluster: &TestCluster) -> Result<()> {
    let cases = [Case::create(services::choosing("class=example.com/x"))];
    let results = run(cluster, &services::resource(), &cases).await?;
    let results = results.into_iter().next().context("a result")?;
    for left in [&results.webhook, &results.both] {
        assert_eq!(left["spec"]["loadBalancerClass"], "example.com/x", "{left}");
        assert_eq!(left["metadata"]["annotations"][names::BALANCER_DECISION], "class");
    }
    let left = &results.policies;
    assert!(left["spec"]["loadBalancerClass"].is_null(), "{left}");
    let record = &left["metadata"]["annotations"][names::BALANCER_DECISION];
    assert_eq!(record, "skipped:unsupported-mode");
    Ok(())
}

#[test]
fn every_difference_is_documented() -> Result<()> {
    let text = std::fs::read_to_string(assets::repository().join("docs/policies.md"))?;
    let section = text.split_once("\n## What differs\n").context("the heading")?.1;
    let lines = section.lines().take_while(|line| !line.starts_with("## "));
    let rows = lines.filter_map(|line| line.strip_prefix("| ")).skip(1);
    let shown: BTreeSet<_> = rows.filter_map(|row| row.split(" | ").next()).collect();
    let known = claims::differences().into_iter().map(|difference| difference.what);
    assert_eq!(shown, known.chain(OTHER_DIFFERENCES).collect());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn differences_between_webhook_and_policies_are_documented() -> Result<()> {
    let cluster = or_skip!(TestCluster::start().await, Ok(()));
    let (claims, services) = (claims::all(), services::all());
    store(&cluster, &claims::resource(), &claims).await?;
    store(&cluster, &services::resource(), &services).await?;

    let webhook = cluster.enforce(&[]).await?;
    let (known, mut findings) = (claims::differences(), Findings::default());
    for (case, results) in claims.iter().zip(run(&cluster, &claims::resource(), &claims).await?) {
        findings.judge(case, &results, &known);
    }
    assert!(findings.wrong.is_empty(), "{}", findings.wrong.join("\n"));
    findings.are_many(&claims);
    let met: BTreeSet<_> = findings.met.into_iter().collect();
    assert_eq!(met, known.iter().map(|difference| difference.what).collect(), "each is met");
    let resource = claims::resource();
    the_webhook_has_nothing_to_add(&cluster, &webhook, &resource, &findings.agreed).await?;
    a_missing_default_class_is_set(&cluster).await?;
    an_existing_volume_is_ignored(&cluster).await?;
    webhook.stop().await?;

    compare_services(&cluster, &services, &[]).await?;
    compare_services(&cluster, &some(services, 250), &["--balancer=none"]).await
}
