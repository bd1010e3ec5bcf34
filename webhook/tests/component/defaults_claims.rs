//! A claim without a class gets fastrak's. Claims that are not fastrak's stay unchanged.

use crate::test_cluster::{TestCluster, annotation, label};
use anyhow::Result;
use fastrak_api::names;
use fastrak_testkit::objects::{claim, storage_class};
use fastrak_testkit::{Options, fake_node, or_skip};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::api::storage::v1::StorageClass;
use kube::Api;
use kube::api::PostParams;

fn marks(claim: &PersistentVolumeClaim) -> Vec<String> {
    let metadata = &claim.metadata;
    let keys = metadata.annotations.iter().chain(&metadata.labels).flat_map(|map| map.keys());
    keys.filter(|key| key.contains(names::DOMAIN)).cloned().collect()
}

#[tokio::test]
async fn a_claim_without_a_class_is_completed_and_others_are_left_alone() -> Result<()> {
    let cluster = or_skip!(TestCluster::start(Options::api_only()).await, Ok(()));
    fake_node(&cluster.client, "node-a").await?;
    let classes: Api<StorageClass> = Api::all(cluster.client.clone());
    let foreign = storage_class("foreign", "example.com/other").build();
    classes.create(&PostParams::default(), &foreign).await?;
    let webhook = cluster.webhook(&[]).await?;

    let created =
        cluster.claim(&claim("plain").annotate("own.io/x", "kept").build("default")).await?;
    let class = created.spec.as_ref().and_then(|spec| spec.storage_class_name.as_deref());
    assert_eq!(class, Some(names::CLASS_DEFAULT));
    assert_eq!(annotation(&created.metadata, "own.io/x").as_deref(), Some("kept"));
    assert_eq!(annotation(&created.metadata, names::NODE).as_deref(), Some("node-a"));
    assert_eq!(label(&created.metadata, names::NODE).as_deref(), Some("node-a"));

    for (what, other) in [
        ("no provisioning", claim("a").class("")),
        ("another provisioner", claim("b").class("foreign")),
        ("a class that does not exist", claim("c").class("nobody")),
        ("its volume is named", claim("d").volume("pv-1")),
        ("opted out", claim("e").label(names::ADMISSION, names::ADMISSION_DISABLED)),
    ] {
        let created = cluster.claim(&other.build("default")).await?;
        assert_eq!(
            marks(&created).iter().filter(|key| *key != names::ADMISSION).count(),
            0,
            "{what}"
        );
    }
    for namespace in ["kube-system", names::NAMESPACE] {
        let created = cluster.claim(&claim("a").build(namespace)).await?;
        assert_eq!(marks(&created), [""; 0], "{namespace}");
    }
    webhook.stop().await
}
