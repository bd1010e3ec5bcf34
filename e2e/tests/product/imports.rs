//! Imports a volume of another provisioner on a real node, with the overlay and the documented
//! steps.

use anyhow::{Context, Result, ensure};
use fastrak_api::names;
use fastrak_e2e::install::{Binaries, overlay, pods};
use fastrak_testkit::objects::{claim, local_volume, pod};
use fastrak_testkit::{Cluster, ClusterOptions, eventually, or_skip, with_namespace};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use kube::api::{DeleteParams, PostParams};
use kube::{Api, Client};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(90);
/// The folder of k3s's volumes.
const OLD: &str = "/var/lib/rancher/k3s/storage";
/// The old volume and its folder.
const VOLUME: &str = "pvc-4f0c";
const FOLDER: &str = "pvc-4f0c_shop_old";

/// Creates and deletes a claim of another provisioner, whose volume is kept.
async fn left_behind(client: &Client, namespace: &str, node: &str) -> Result<()> {
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), namespace);
    let volumes: Api<PersistentVolume> = Api::all(client.clone());
    let volume = local_volume(VOLUME, "local-path", node, &format!("{OLD}/{FOLDER}"))
        .annotate("pv.kubernetes.io/provisioned-by", "rancher.io/local-path");
    let asks = claim("old").class("local-path").volume(VOLUME).asks("1Mi").build(namespace);
    claims.create(&PostParams::default(), &asks).await.context("the old claim")?;
    volumes.create(&PostParams::default(), &volume.build()).await.context("its volume")?;
    phase(&volumes, "Bound").await?;
    claims.delete("old", &DeleteParams::default()).await.context("delete it")?;
    phase(&volumes, "Released").await
}

async fn phase(volumes: &Api<PersistentVolume>, wanted: &str) -> Result<()> {
    eventually(SOON, format!("the old volume is {wanted}"), || async {
        let phase = volumes.get(VOLUME).await?.status.and_then(|status| status.phase);
        ensure!(phase.as_deref() == Some(wanted), "{phase:?}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_finds_the_imported_data_of_another_provisioner() -> Result<()> {
    let _turn = crate::turn().await;
    or_skip!(Cluster::supported(), Ok(()));
    let cluster = Cluster::start(ClusterOptions { nodes: 1, ..ClusterOptions::default() }).await?;
    let node = cluster.nodes().first().context("a node")?;
    let rancher = node.var_lib().join("rancher");
    let old = rancher.join("k3s/storage").join(FOLDER);
    std::fs::create_dir_all(&old)?;
    std::fs::create_dir(rancher.join("fastrak"))?;
    std::fs::write(old.join("file"), "kept")?;
    // The mode that local-path-provisioner sets.
    std::fs::set_permissions(&old, Permissions::from_mode(0o777))?;
    let overlay = overlay(cluster.plane(), &["imports"])?;
    pods::install_overlay(&cluster, &Binaries::built()?, &overlay).await?;
    let client = cluster.client().await?;
    with_namespace(&client, async |namespace| {
        left_behind(&client, &namespace, node.name()).await?;
        let wanted = claim("data")
            .class("local-storage-old")
            .asks("1Mi")
            .annotate(names::NODE, node.name())
            .annotate(names::IMPORT, VOLUME);
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), &namespace);
        claims.create(&PostParams::default(), &wanted.build(&namespace)).await?;
        let reads = "test \"$(cat /data/file)\" = kept && echo new > /data/more && sleep 600";
        let reader = pod("reader").shell(reads).mounts("data").build(&namespace);
        let pods: Api<Pod> = Api::namespaced(client.clone(), &namespace);
        pods.create(&PostParams::default(), &reader).await?;
        let uid = claims.get("data").await?.metadata.uid.context("it has a uid")?;
        let data = rancher.join("fastrak").join(uid).join("data");
        eventually(SOON, "the pod has read and written", || async {
            let status = pods.get("reader").await?.status.unwrap_or_default();
            let read = std::fs::read_to_string(data.join("more"));
            ensure!(read.is_ok_and(|text| text == "new\n"), "{:?}", status.conditions);
            Ok(())
        })
        .await?;
        assert!(!old.exists(), "it must be renamed, not copied");
        Ok(())
    })
    .await
}
