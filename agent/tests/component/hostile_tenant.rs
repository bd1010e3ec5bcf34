//! A tenant who writes fastrak's labels, annotations and names reaches only the tenant's own
//! volumes.

use crate::scene::{Scene, path_of};
use anyhow::{Context, Result, ensure};
use fastrak_api::names::{self, kubernetes};
use fastrak_testkit::objects::{self, LocalVolume, local_volume};
use fastrak_testkit::{or_skip, with_namespace};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::ResourceExt;
use kube::api::{DeleteParams, PostParams};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

fn victim(scene: &Scene) -> Result<PathBuf> {
    let path = scene.folder.path().join("victim");
    std::fs::create_dir_all(path.join("data"))?;
    std::fs::write(path.join("data/file"), "precious")?;
    Ok(path)
}

fn is_unharmed(victim: &Path) -> Result<()> {
    ensure!(std::fs::read_to_string(victim.join("data/file"))? == "precious");
    Ok(())
}

/// A forged volume with all of fastrak's marks, on this scene's node.
fn forged(scene: &Scene, name: &str, path: &Path) -> LocalVolume {
    local_volume(name, names::CLASS_DEFAULT, &scene.node, &path.display().to_string())
        .label(names::NODE, &scene.node)
        .label(names::POOL, "default")
        .annotate(kubernetes::PROVISIONED_BY, names::PROVISIONER)
}

async fn create(scene: &Scene, volume: LocalVolume, finalizer: bool) -> Result<()> {
    let mut volume = volume.build();
    if finalizer {
        volume.metadata.finalizers = Some(vec![names::VOLUME_FINALIZER.to_owned()]);
    }
    scene.volumes().create(&PostParams::default(), &volume).await.context("forge a volume")?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_with_our_name_and_a_foreign_path_is_never_acted_upon() -> Result<()> {
    let scene = or_skip!(Scene::new().await, Ok(()));
    let victim = victim(&scene)?;
    let _agent = scene.agent()?;
    let uid = scene.random_uid()?;
    let name = format!("pvc-{uid}");
    let claim = ObjectReference {
        namespace: Some("default".to_owned()),
        name: Some("gone".to_owned()),
        uid: Some(uid.clone()),
        ..ObjectReference::default()
    };
    let volume = forged(&scene, &name, &victim.join("data")).with_spec(|spec| {
        spec.persistent_volume_reclaim_policy = Some("Delete".to_owned());
        spec.claim_ref = Some(claim);
    });
    create(&scene, volume, true).await?;
    let text = "is not its data path in a pool";
    scene.event_with("default", &name, "VolumeFailedDelete", text).await?;
    is_unharmed(&victim)?;
    let bare = serde_json::json!({ "metadata": { "finalizers": null } });
    scene.patch_volume(&name, bare).await?;
    scene.volumes().delete(&name, &DeleteParams::default()).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_volume_with_a_claims_name_is_reported_and_not_changed() -> Result<()> {
    let scene = or_skip!(Scene::new().await, Ok(()));
    let victim = victim(&scene)?;
    with_namespace(&scene.client, async |namespace| {
        let claim = scene.create(&namespace, scene.claim("data")).await?;
        let name = format!("pvc-{}", claim.uid().context("it has a uid")?);
        create(&scene, forged(&scene, &name, &victim.join("data")), false).await?;
        let _agent = scene.agent()?;
        let text = "does not belong to this claim";
        scene.event_with(&namespace, "data", "ProvisioningFailed", text).await?;
        is_unharmed(&victim)?;
        scene.volumes().delete(&name, &DeleteParams::default()).await?;
        scene.bound(&claim).await?;
        is_unharmed(&victim)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_requests_anothers_volume_or_node_gets_nothing() -> Result<()> {
    let scene = or_skip!(Scene::new().await, Ok(()));
    let _agent = scene.agent()?;
    with_namespace(&scene.client, async |namespace| {
        let owner = scene.create(&namespace, scene.claim("owner")).await?;
        let volume = scene.bound(&owner).await?;
        std::fs::write(path_of(&volume).join("file"), "precious")?;
        let thief =
            scene.create(&namespace, scene.claim("thief").volume(&volume.name_any())).await?;
        let elsewhere = objects::claim("elsewhere")
            .class(names::CLASS_DEFAULT)
            .annotate(kubernetes::SELECTED_NODE, "another-node")
            .annotate(names::NODE, &scene.node)
            .label(names::NODE, &scene.node);
        let elsewhere = scene.create(&namespace, elsewhere).await?;
        let nonsense = objects::claim("nonsense")
            .class(names::CLASS_DEFAULT)
            .annotate(kubernetes::SELECTED_NODE, "../../../etc")
            .label(names::NODE, &scene.node);
        let nonsense = scene.create(&namespace, nonsense).await?;
        // When a later claim is served, the earlier ones were reconciled.
        let last = scene.create(&namespace, scene.claim("last")).await?;
        scene.bound(&last).await?;
        let mut wanted = [owner.uid(), last.uid()].map(Option::unwrap_or_default).to_vec();
        wanted.sort();
        let mut left = scene.directories();
        left.sort();
        assert_eq!(left, wanted);
        for claim in [&thief, &elsewhere, &nonsense] {
            scene.delete(claim).await?;
        }
        assert_eq!(std::fs::read_to_string(path_of(&volume).join("file"))?, "precious");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn removal_follows_no_links_in_a_volume() -> Result<()> {
    let scene = or_skip!(Scene::new().await, Ok(()));
    let victim = victim(&scene)?;
    let _agent = scene.agent()?;
    with_namespace(&scene.client, async |namespace| {
        let claim = scene.create(&namespace, scene.claim("data")).await?;
        let volume = scene.bound(&claim).await?;
        let data = path_of(&volume);
        symlink(&victim, data.join("absolute"))?;
        symlink("../../../victim", data.join("relative"))?;
        std::fs::create_dir(data.join("folder"))?;
        symlink(&victim, data.join("folder/deep"))?;
        scene.delete(&claim).await?;
        scene.gone(&volume.name_any()).await?;
        scene.empty().await?;
        is_unharmed(&victim)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_that_names_anothers_directory_does_not_reach_it() -> Result<()> {
    let scene = or_skip!(Scene::new().await, Ok(()));
    let _agent = scene.agent()?;
    with_namespace(&scene.client, async |namespace| {
        let owner = scene.create(&namespace, scene.claim("owner")).await?;
        let victim = path_of(&scene.bound(&owner).await?);
        std::fs::write(victim.join("file"), "precious")?;
        let uid = scene.random_uid()?;
        let name = format!("pvc-{uid}");
        let claim = ObjectReference {
            namespace: Some(namespace.clone()),
            name: Some("gone".to_owned()),
            uid: Some(uid),
            ..ObjectReference::default()
        };
        let volume = forged(&scene, &name, &victim).with_spec(|spec| {
            spec.persistent_volume_reclaim_policy = Some("Delete".to_owned());
            spec.claim_ref = Some(claim);
        });
        create(&scene, volume, true).await?;
        let text = "is not its data path in a pool";
        scene.event_with("default", &name, "VolumeFailedDelete", text).await?;
        assert_eq!(std::fs::read_to_string(victim.join("file"))?, "precious");
        let bare = serde_json::json!({ "metadata": { "finalizers": null } });
        scene.patch_volume(&name, bare).await?;
        scene.volumes().delete(&name, &DeleteParams::default()).await?;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_a_tenant_are_never_read_as_records() -> Result<()> {
    let scene = or_skip!(Scene::new().await, Ok(()));
    let _agent = scene.agent()?;
    with_namespace(&scene.client, async |namespace| {
        let owner = scene.create(&namespace, scene.claim("owner")).await?;
        let owned = path_of(&scene.bound(&owner).await?);
        std::fs::write(owned.join("file"), "precious")?;
        let thief = scene.create(&namespace, scene.claim("thief")).await?;
        let volume = scene.bound(&thief).await?;
        let (data, uid) = (path_of(&volume), owner.uid().context("it has a uid")?);
        // A record, a tag and a whole pool, all of which name the other volume.
        let record = owned.with_file_name("volume.json");
        for folder in ["", ".trash", ".staging"] {
            let place = data.join(folder).join(&uid);
            std::fs::create_dir_all(place.join("data"))?;
            std::fs::copy(&record, place.join("volume.json"))?;
        }
        std::fs::copy(&record, data.join("volume.json"))?;
        std::fs::copy(scene.pool().join(".fastrak-pool"), data.join(".fastrak-pool"))?;
        let tag = fastrak_store::volumes::layout::TAG;
        let tagged = std::fs::File::open(&data)?;
        rustix::fs::fsetxattr(&tagged, tag, uid.as_bytes(), rustix::fs::XattrFlags::empty())?;
        scene.delete(&thief).await?;
        scene.gone(&volume.name_any()).await?;
        scene.only(&[&uid]).await?;
        assert_eq!(std::fs::read_to_string(owned.join("file"))?, "precious");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_with_all_annotations_gets_a_volume_of_its_own() -> Result<()> {
    let scene = or_skip!(Scene::new().await, Ok(()));
    let victim = victim(&scene)?;
    let _agent = scene.agent()?;
    with_namespace(&scene.client, async |namespace| {
        let claim = scene
            .claim("data")
            .annotate(names::PINNED_BY, "scheduler")
            .annotate(names::POOL, "../victim")
            .annotate(names::VOLUME_FINALIZER, "../../victim")
            .annotate(kubernetes::PROVISIONED_BY, "../../../etc")
            .annotate(fastrak_store::volumes::layout::TAG, "../../victim")
            .label(names::POOL, "another");
        let claim = scene.create(&namespace, claim).await?;
        let volume = scene.bound(&claim).await?;
        let uid = claim.uid().context("it has a uid")?;
        assert_eq!(path_of(&volume), scene.pool().join(&uid).join("data"));
        for wish in ["../../victim", "..", "pvc-../victim"] {
            let name = format!("asks-{}", wish.len());
            let requested = scene.claim(&name).volume(wish);
            // The API server accepts any volume name here.
            scene.create(&namespace, requested).await?;
        }
        let last = scene.create(&namespace, scene.claim("last")).await?;
        scene.bound(&last).await?;
        let last = last.uid().context("it has a uid")?;
        scene.only(&[&uid, &last]).await?;
        is_unharmed(&victim)
    })
    .await
}
