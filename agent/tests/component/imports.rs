//! A claim can import another provisioner's volume if an administrator allows it.

use crate::scene::{Scene, path_of};
use anyhow::{Context, Result, ensure};
use fastrak_api::names;
use fastrak_testkit::objects::{self, local_volume};
use fastrak_testkit::{eventually, or_skip, with_namespace};
use k8s_openapi::api::core::v1::{ObjectReference, PersistentVolume};
use kube::ResourceExt;
use kube::api::{DeleteParams, PostParams};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(60);

/// Creates a released volume of another provisioner with data. Returns the volume.
async fn released(scene: &Scene, namespace: &str, name: &str) -> Result<PersistentVolume> {
    let folder = folder(scene).join(name);
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("file"), namespace)?;
    let path = folder.to_str().context("a text")?;
    let host = format!("host-of-{}", scene.node);
    let volume = local_volume(name, "local-path", &host, path)
        .annotate("pv.kubernetes.io/provisioned-by", "rancher.io/local-path")
        .with_spec(|spec| {
            spec.claim_ref = Some(ObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("PersistentVolumeClaim".to_owned()),
                namespace: Some(namespace.to_owned()),
                name: Some("old".to_owned()),
                uid: scene.random_uid().ok(),
                ..ObjectReference::default()
            });
        });
    let volume = scene.volumes().create(&PostParams::default(), &volume.build()).await?;
    scene.phase(name, "Released").await?;
    Ok(volume)
}

fn folder(scene: &Scene) -> PathBuf {
    scene.folder.path().join("old")
}

fn import(scene: &Scene, name: &str, volume: &str) -> objects::Claim {
    scene.claim(name).annotate(names::IMPORT, volume)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_data_of_another_provisioner_is_imported_by_a_rename() -> Result<()> {
    let scene = or_skip!(Scene::new().await, Ok(()));
    std::fs::create_dir(folder(&scene))?;
    let flag = format!("--import-from={}", folder(&scene).display());
    let _agent = scene.agent_with(&[&flag])?;
    with_namespace(&scene.client, async |namespace| {
        let name = format!("left-{}", scene.node);
        let old = released(&scene, &namespace, &name).await?;
        let inode = std::fs::metadata(folder(&scene).join(&name))?.ino();
        let claim = scene.create(&namespace, import(&scene, "new", &name)).await?;
        let volume = scene.bound(&claim).await?;
        let uid = claim.uid().context("it has a uid")?;
        assert_eq!(path_of(&volume), scene.pool().join(&uid).join("data"));
        assert_eq!(std::fs::metadata(path_of(&volume))?.ino(), inode, "it is the same folder");
        assert_eq!(std::fs::read_to_string(path_of(&volume).join("file"))?, namespace);
        assert!(!folder(&scene).join(&name).exists());
        let policy = volume.spec.clone().and_then(|spec| spec.persistent_volume_reclaim_policy);
        assert_eq!(policy.as_deref(), Some("Retain"));
        scene.event(&namespace, "new", "VolumeImported").await?;
        let text = "delete this PersistentVolume";
        scene.event_with("default", &old.name_any(), "VolumeImported", text).await?;
        scene.volumes().delete(&old.name_any(), &DeleteParams::default()).await?;
        // It is retained when its claim is deleted.
        scene.delete(&claim).await?;
        scene.phase(&volume.name_any(), "Released").await
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn data_that_is_not_allowed_or_anothers_is_not_imported() -> Result<()> {
    let scene = or_skip!(Scene::new().await, Ok(()));
    std::fs::create_dir(folder(&scene))?;
    with_namespace(&scene.client, async |namespace| {
        let name = format!("left-{}", scene.node);
        released(&scene, &namespace, &name).await?;
        let file = folder(&scene).join(&name).join("file");
        let refused = async |namespace: &str, claim: &str, why: &str| {
            scene.create(namespace, import(&scene, claim, &name)).await?;
            scene.event_with(namespace, claim, "RestoreRefused", why).await?;
            ensure!(file.exists() && scene.directories().is_empty(), "something was moved or made");
            Ok(())
        };
        let agent = scene.agent()?;
        refused(&namespace, "not-allowed", "imports no volumes").await?;
        agent.end().await?;
        let elsewhere = format!("--import-from={}", scene.folder.path().join("x").display());
        let agent = scene.agent_with(&[&elsewhere])?;
        refused(&namespace, "elsewhere", "none of the directories").await?;
        agent.end().await?;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn another_namespace_cannot_import_the_volume() -> Result<()> {
    let scene = or_skip!(Scene::new().await, Ok(()));
    std::fs::create_dir(folder(&scene))?;
    let flag = format!("--import-from={}", folder(&scene).display());
    let _agent = scene.agent_with(&[&flag])?;
    with_namespace(&scene.client, async |namespace| {
        let name = format!("left-{}", scene.node);
        released(&scene, &namespace, &name).await?;
        with_namespace(&scene.client, async |other| {
            scene.create(&other, import(&scene, "thief", &name)).await?;
            scene.event_with(&other, "thief", "RestoreRefused", "no volume").await?;
            assert!(folder(&scene).join(&name).join("file").exists());
            Ok(())
        })
        .await
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_import_is_completed_and_its_data_kept() -> Result<()> {
    let scene = or_skip!(Scene::new().await, Ok(()));
    // The state after a kill between the last two renames; the claim is gone.
    let uid = scene.plant_orphan("Retain")?;
    std::fs::create_dir(scene.pool().join(".staging"))?;
    let half = scene.pool().join(".staging").join(&uid);
    std::fs::rename(scene.pool().join(&uid), &half)?;
    std::fs::write(half.join("imported-from"), "left")?;
    std::fs::write(half.join("data/file"), "precious")?;
    let _agent = scene.agent()?;
    let file = scene.pool().join(&uid).join("data/file");
    eventually(SOON, "it is in its place", || async {
        ensure!(std::fs::read_to_string(&file)? == "precious", "it is another file");
        Ok(())
    })
    .await?;
    let orphan = scene.plant_orphan("Delete")?;
    eventually(SOON, "a scan has been", || async {
        ensure!(!scene.pool().join(&orphan).exists(), "it is there");
        Ok(())
    })
    .await?;
    assert!(file.exists());
    Ok(())
}
