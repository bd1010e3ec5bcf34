//! Volumes are deleted with their claims, and never before.

use crate::scene::{Scene, path_of};
use anyhow::{Context, Result, bail, ensure};
use fastrak_api::names;
use fastrak_testkit::process::Invocation;
use fastrak_testkit::{ControlPlane, Options, eventually, or_skip, with_namespace};
use k8s_openapi::api::core::v1::PersistentVolume;
use kube::ResourceExt;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;
use std::path::Path;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(60);

fn uid(object: &impl ResourceExt) -> Result<String> {
    object.uid().context("it has a uid")
}

/// Waits until the agent has removed a planted orphan: by then it has scanned all other directories
/// too.
async fn after_a_scan(scene: &Scene) -> Result<()> {
    let canary = scene.plant_orphan("Delete")?;
    eventually(SOON, "the scan has taken the canary", || async {
        ensure!(!scene.pool().join(&canary).exists(), "it is there");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_claim_removes_its_object_and_its_data() -> Result<()> {
    let scene = or_skip!(Scene::new().await, Ok(()));
    let _agent = scene.agent()?;
    with_namespace(&scene.client, async |namespace| {
        let claim = scene.create(&namespace, scene.claim("data")).await?;
        let volume = scene.bound(&claim).await?;
        std::fs::create_dir_all(path_of(&volume).join("a/b/c"))?;
        std::fs::write(path_of(&volume).join("a/b/c/file"), "content")?;
        scene.delete(&claim).await?;
        scene.gone(&volume.name_any()).await?;
        scene.empty().await
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_deleted_while_no_agent_runs_is_reclaimed_at_its_next_start() -> Result<()> {
    let scene = or_skip!(Scene::new().await, Ok(()));
    with_namespace(&scene.client, async |namespace| {
        let agent = scene.agent()?;
        let claim = scene.create(&namespace, scene.claim("data")).await?;
        let volume = scene.bound(&claim).await?;
        agent.end().await?;
        scene.delete(&claim).await?;
        let _agent = scene.agent()?;
        scene.gone(&volume.name_any()).await?;
        scene.empty().await
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retained_volume_outlives_its_claim_and_its_object() -> Result<()> {
    let scene = or_skip!(Scene::new().await, Ok(()));
    let _agent = scene.agent()?;
    with_namespace(&scene.client, async |namespace| {
        let claim = scene.claim("data").class(names::CLASS_RETAIN);
        let claim = scene.create(&namespace, claim).await?;
        let volume = scene.bound(&claim).await?.name_any();
        scene.delete(&claim).await?;
        scene.phase(&volume, "Released").await?;
        scene.volumes().delete(&volume, &DeleteParams::default()).await?;
        scene.gone(&volume).await?;
        after_a_scan(&scene).await?;
        assert_eq!(scene.directories(), [uid(&claim)?]);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_changed_to_retain_is_recorded_on_the_disk() -> Result<()> {
    let scene = or_skip!(Scene::new().await, Ok(()));
    let _agent = scene.agent()?;
    with_namespace(&scene.client, async |namespace| {
        let claim = scene.create(&namespace, scene.claim("data")).await?;
        let volume = scene.bound(&claim).await?.name_any();
        let keep = json!({ "spec": { "persistentVolumeReclaimPolicy": "Retain" } });
        scene.patch_volume(&volume, keep).await?;
        let record = scene.pool().join(uid(&claim)?).join("volume.json");
        eventually(SOON, "the disk knows", || async {
            let text = std::fs::read_to_string(&record)?;
            ensure!(text.contains("Retain"), "{text}");
            anyhow::Ok(())
        })
        .await?;
        scene.delete(&claim).await?;
        // An administrator removes the finalizers, and with them the object.
        let bare = json!({ "metadata": { "finalizers": null } });
        scene.phase(&volume, "Released").await?;
        scene.volumes().delete(&volume, &DeleteParams::default()).await?;
        scene.patch_volume(&volume, bare).await.ok();
        scene.gone(&volume).await?;
        after_a_scan(&scene).await?;
        assert_eq!(scene.directories(), [uid(&claim)?]);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_that_is_deleted_before_its_claim_waits_for_it() -> Result<()> {
    let scene = or_skip!(Scene::new().await, Ok(()));
    let _agent = scene.agent()?;
    with_namespace(&scene.client, async |namespace| {
        let claim = scene.create(&namespace, scene.claim("data")).await?;
        let volume = scene.bound(&claim).await?.name_any();
        scene.volumes().delete(&volume, &DeleteParams::default()).await?;
        after_a_scan(&scene).await?;
        assert_eq!(scene.directories(), [uid(&claim)?]);
        assert!(scene.volumes().get_opt(&volume).await?.is_some());
        scene.delete(&claim).await?;
        scene.gone(&volume).await?;
        scene.empty().await
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_given_to_another_claim_is_deleted_with_that_claim() -> Result<()> {
    let scene = or_skip!(Scene::new().await, Ok(()));
    let _agent = scene.agent()?;
    with_namespace(&scene.client, async |namespace| {
        let first = scene.claim("first").class(names::CLASS_RETAIN);
        let first = scene.create(&namespace, first).await?;
        let volume = scene.bound(&first).await?;
        let name = volume.name_any();
        std::fs::write(path_of(&volume).join("file"), "kept")?;
        scene.delete(&first).await?;
        scene.phase(&name, "Released").await?;
        // An administrator gives the data to another claim and sets the policy to Delete.
        let second = fastrak_testkit::objects::claim("second");
        let second = second.class(names::CLASS_RETAIN).volume(&name);
        let second = scene.create(&namespace, second).await?;
        let reference = json!({ "spec": {
            "claimRef": { "name": "second", "uid": uid(&second)?, "resourceVersion": null },
            "persistentVolumeReclaimPolicy": "Delete",
        } });
        scene.patch_volume(&name, reference).await?;
        let bound = scene.bound(&second).await?;
        assert_eq!(std::fs::read_to_string(path_of(&bound).join("file"))?, "kept");
        scene.delete(&second).await?;
        scene.gone(&name).await?;
        scene.empty().await
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_deleted_before_it_is_bound_is_published_again() -> Result<()> {
    // Without a binder, so that the deletion comes first.
    let plane = or_skip!(ControlPlane::start(Options::api_only()).await, Ok(()));
    let scene = Scene::without_controllers(&plane).await?;
    let _agent = scene.agent()?;
    let claim = scene.create("default", scene.claim("data")).await?;
    let name = format!("pvc-{}", uid(&claim)?);
    let posted = || async { scene.volumes().get_opt(&name).await.ok().flatten() };
    let first = eventually(SOON, "the volume is posted", posted).await?;
    std::fs::write(path_of(&first).join("file"), "kept")?;
    scene.volumes().delete(&name, &DeleteParams::default()).await?;
    eventually(SOON, "the agent releases the object", || async {
        let left = scene.volumes().get(&name).await?.metadata.finalizers.unwrap_or_default();
        ensure!(left == ["kubernetes.io/pv-protection"], "{left:?}");
        anyhow::Ok(())
    })
    .await?;
    // The controller manager does this otherwise.
    scene.patch_volume(&name, json!({ "metadata": { "finalizers": null } })).await?;
    let second = eventually(SOON, "the volume is published again", || async {
        let volume = scene.volumes().get_opt(&name).await?.context("there is none")?;
        ensure!(volume.uid() != first.uid(), "it is the first");
        anyhow::Ok(volume)
    })
    .await?;
    assert_eq!(std::fs::read_to_string(path_of(&second).join("file"))?, "kept");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_data_is_reported_and_never_replaced_by_an_empty_directory() -> Result<()> {
    let scene = or_skip!(Scene::new().await, Ok(()));
    let _agent = scene.agent()?;
    with_namespace(&scene.client, async |namespace| {
        let claim = scene.create(&namespace, scene.claim("data")).await?;
        let volume = scene.bound(&claim).await?.name_any();
        std::fs::remove_dir_all(scene.pool().join(uid(&claim)?))?;
        scene.event("default", &volume, "VolumeDataMissing").await?;
        assert!(scene.directories().is_empty());
        scene.delete(&claim).await?;
        scene.gone(&volume).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mounted_volume_is_deleted_after_its_unmount() -> Result<()> {
    let scene = or_skip!(Scene::new().await, Ok(()));
    if !is_root() {
        drop(fastrak_testkit::environment::missing("only root can mount"));
        return Ok(());
    }
    // In a separate mount namespace, so that nothing is mounted on this machine.
    let agent = scene.program(&["unshare", "--mount"])?;
    let pid = agent.pid().to_string();
    with_namespace(&scene.client, async |namespace| {
        let claim = scene.create(&namespace, scene.claim("data")).await?;
        let volume = scene.bound(&claim).await?;
        let point = scene.folder.path().join("mounted");
        std::fs::create_dir(&point)?;
        let (data, point) = (path(&path_of(&volume))?, path(&point)?);
        let within = Invocation::new("nsenter").args(["--target", &pid, "--mount"]);
        within.clone().args(["mount", "--bind", &data, &point]).run().await?;
        scene.delete(&claim).await?;
        let text = "still mounts it";
        scene.event_with("default", &volume.name_any(), "VolumeFailedDelete", text).await?;
        assert_eq!(scene.directories(), [uid(&claim)?]);
        // It was reconciled just now; the next retry is ten seconds away.
        let unmounted = Instant::now();
        within.args(["umount", &point]).run().await?;
        scene.gone(&volume.name_any()).await?;
        let took = unmounted.elapsed();
        ensure!(took < Duration::from_secs(8), "gone {took:?} after it was unmounted");
        scene.empty().await
    })
    .await
}

/// Creates a volume with `content` for a claim that is then bound to another volume, as happens if
/// one was reserved for it.
async fn unused(scene: &Scene, name: &str, content: Option<&str>) -> Result<PersistentVolume> {
    let claim = scene.create("default", scene.claim(name)).await?;
    let volume = format!("pvc-{}", uid(&claim)?);
    let posted = || async { scene.volumes().get(&volume).await };
    let posted = eventually(SOON, "the volume is posted", posted).await?;
    if let Some(content) = content {
        std::fs::write(path_of(&posted).join("file"), content)?;
    }
    scene.patch_claim(&claim, json!({ "spec": { "volumeName": "reserved" } })).await?;
    // The controller manager writes this then.
    let params = PatchParams::default();
    let bound = Patch::Merge(json!({ "status": { "phase": "Bound" } }));
    scene.claims("default").patch_status(name, &params, &bound).await?;
    let released = Patch::Merge(json!({ "status": { "phase": "Released" } }));
    scene.volumes().patch_status(&volume, &params, &released).await?;
    Ok(posted)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_volume_whose_claim_uses_another_one_is_deleted() -> Result<()> {
    let plane = or_skip!(ControlPlane::start(Options::api_only()).await, Ok(()));
    let scene = Scene::without_controllers(&plane).await?;
    let _agent = scene.agent()?;
    let filled = unused(&scene, "filled", Some("precious")).await?;
    let empty = unused(&scene, "empty", None).await?.name_any();
    eventually(SOON, "the agent releases the empty one", || async {
        let left = scene.volumes().get(&empty).await?.metadata.finalizers.unwrap_or_default();
        ensure!(left == ["kubernetes.io/pv-protection"], "{left:?}");
        anyhow::Ok(())
    })
    .await?;
    let text = "its claim uses volume reserved";
    scene.event_with("default", &filled.name_any(), "VolumeFailedDelete", text).await?;
    let id = filled.name_any().trim_start_matches("pvc-").to_owned();
    scene.only(&[&id]).await?;
    assert_eq!(std::fs::read_to_string(path_of(&filled).join("file"))?, "precious");
    // The administrator has examined it.
    std::fs::remove_file(path_of(&filled).join("file"))?;
    let touch = json!({ "metadata": { "annotations": { "example.com/looked-at": "yes" } } });
    scene.patch_volume(&filled.name_any(), touch).await?;
    scene.empty().await
}

fn path(path: &Path) -> Result<String> {
    match path.to_str() {
        Some(text) => Ok(text.to_owned()),
        None => bail!("{} is not a text", path.display()),
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Everyone who may write PersistentVolumes can make one name any claim.
#[tokio::test(flavor = "multi_thread")]
async fn a_changed_claim_ref_does_not_delete_the_data_of_a_live_claim() -> Result<()> {
    let scene = or_skip!(Scene::new().await, Ok(()));
    let _agent = scene.agent()?;
    with_namespace(&scene.client, async |namespace| {
        let claim = scene.create(&namespace, scene.claim("data")).await?;
        let volume = scene.bound(&claim).await?;
        std::fs::write(path_of(&volume).join("file"), "precious")?;
        let forged = json!({ "spec": { "claimRef": { "uid": scene.random_uid()? } } });
        scene.patch_volume(&volume.name_any(), forged).await?;
        let text = format!("claim {namespace}/data, which still exists");
        scene.event_with("default", &volume.name_any(), "VolumeFailedDelete", &text).await?;
        let file = path_of(&volume).join("file");
        assert_eq!(std::fs::read_to_string(&file)?, "precious");
        // The data also survives the deletion of the object.
        scene.volumes().delete(&volume.name_any(), &DeleteParams::default()).await?;
        after_a_scan(&scene).await?;
        assert_eq!(std::fs::read_to_string(&file)?, "precious");
        // The data is deleted with the claim.
        scene.delete(&claim).await?;
        scene.gone(&volume.name_any()).await?;
        scene.empty().await
    })
    .await
}
