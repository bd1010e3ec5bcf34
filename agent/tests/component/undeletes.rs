//! A deleted volume can be restored during its retention, by its own namespace alone.

use crate::scene::{Scene, path_of};
use anyhow::{Context, Result, ensure};
use fastrak_api::names;
use fastrak_store::volumes::trash::plan::MIN_AGE;
use fastrak_testkit::{eventually, objects, or_skip, with_namespace};
use k8s_openapi::api::core::v1::{Namespace, PersistentVolume, PersistentVolumeClaim};
use kube::api::{DeleteParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(60);

fn uid(object: &impl ResourceExt) -> Result<String> {
    object.uid().context("it has a uid")
}

/// Creates a claim of this class with data, deletes it, and waits until its volume is in the trash.
async fn deleted(scene: &Scene, namespace: &str, class: &str) -> Result<PersistentVolumeClaim> {
    let claim = scene.create(namespace, scene.claim("old").class(class)).await?;
    let volume = scene.bound(&claim).await?;
    std::fs::write(path_of(&volume).join("file"), namespace)?;
    scene.delete(&claim).await?;
    scene.gone(&volume.name_any()).await?;
    Ok(claim)
}

/// Waits for the next second: times in the trash have whole seconds.
async fn next_second() -> Result<()> {
    let now = || fastrak_runtime::clock::now().as_second();
    let came = now();
    eventually(SOON, "the next second", || async {
        ensure!(now() > came, "it is the same");
        Ok(())
    })
    .await
}

fn undelete(scene: &Scene, name: &str, class: &str, volume: &str) -> objects::Claim {
    scene.claim(name).class(class).annotate(names::UNDELETE, volume)
}

fn spec_of(volume: PersistentVolume) -> Result<(String, String)> {
    let spec = volume.spec.context("a spec")?;
    let size = spec.capacity.context("a capacity")?["storage"].0.clone();
    Ok((size, spec.storage_class_name.unwrap_or_default()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_volume_is_restored_with_its_data_and_deleted_again() -> Result<()> {
    let scene = or_skip!(Scene::new().await, Ok(()));
    let _agent = scene.agent()?;
    let class = scene.class("bin", &[("onDelete", "trash"), ("trashTTL", "1h")]).await?;
    with_namespace(&scene.client, async |namespace| {
        let old = deleted(&scene, &namespace, &class).await?;
        let trashed = scene.pool().join(".trash").join(uid(&old)?);
        assert!(trashed.join("data/file").exists() && trashed.join("owner.json").exists());
        for round in 0..2 {
            let name = format!("new-{round}");
            let claim = undelete(&scene, &name, &class, &format!("pvc-{}", uid(&old)?));
            let claim = scene.create(&namespace, claim.asks("1Ki")).await?;
            let volume = scene.bound(&claim).await?;
            assert_eq!(volume.name_any(), format!("pvc-{}", uid(&old)?));
            assert_eq!(std::fs::read_to_string(path_of(&volume).join("file"))?, namespace);
            assert_eq!(scene.directories(), [uid(&old)?], "no other directory is made");
            assert_eq!(spec_of(volume)?, ("1Mi".to_owned(), class.clone()));
            scene.event_with(&namespace, &name, "VolumeUndeleted", &uid(&old)?).await?;
            scene.delete(&claim).await?;
            scene.gone(&format!("pvc-{}", uid(&old)?)).await?;
            assert!(trashed.join("data/file").exists());
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_volume_is_removed() -> Result<()> {
    let scene = or_skip!(Scene::new().await, Ok(()));
    let _agent = scene.agent()?;
    let class = scene.class("bin", &[("onDelete", "trash"), ("trashTTL", "1s")]).await?;
    with_namespace(&scene.client, async |namespace| {
        let old = deleted(&scene, &namespace, &class).await?;
        let trashed = scene.pool().join(".trash").join(uid(&old)?);
        // Each volume that enters the trash triggers a review.
        eventually(SOON, "it is removed", || async {
            deleted(&scene, &namespace, &class).await?;
            ensure!(!trashed.exists(), "it is there");
            Ok(())
        })
        .await?;
        let claim = undelete(&scene, "new", &class, &uid(&old)?);
        scene.create(&namespace, claim).await?;
        scene.event_with(&namespace, "new", "RestoreRefused", "longer than its retention").await?;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn only_its_own_namespace_gets_a_deleted_volume() -> Result<()> {
    let scene = or_skip!(Scene::new().await, Ok(()));
    let _agent = scene.agent()?;
    let class = scene.class("bin", &[("onDelete", "trash")]).await?;
    with_namespace(&scene.client, async |namespace| {
        let old = deleted(&scene, &namespace, &class).await?;
        with_namespace(&scene.client, async |other| {
            let claim = undelete(&scene, "thief", &class, &uid(&old)?);
            scene.create(&other, claim).await?;
            scene.event_with(&other, "thief", "RestoreRefused", "no volume").await?;
            Ok(())
        })
        .await?;
        assert!(scene.directories().is_empty(), "nothing was made in its place");
        assert!(scene.pool().join(".trash").join(uid(&old)?).join("data/file").exists());
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recreated_namespace_is_another_namespace() -> Result<()> {
    let scene = or_skip!(Scene::new().await, Ok(()));
    let _agent = scene.agent()?;
    let class = scene.class("bin", &[("onDelete", "trash")]).await?;
    let namespaces: Api<Namespace> = Api::all(scene.client.clone());
    let name = format!("reused-{}", scene.node);
    let object = Namespace {
        metadata: kube::api::ObjectMeta { name: Some(name.clone()), ..Default::default() },
        ..Namespace::default()
    };
    namespaces.create(&PostParams::default(), &object).await?;
    let old = deleted(&scene, &name, &class).await?;
    // Creation times have whole seconds.
    let born = old.metadata.creation_timestamp.clone().context("a time")?.0.as_second();
    namespaces.delete(&name, &DeleteParams::default()).await?;
    // The controller manager retries the deletion with a growing delay.
    eventually(3 * SOON, "the namespace is another", || async {
        if let Err(error) = namespaces.create(&PostParams::default(), &object).await {
            ensure!(matches!(&error, kube::Error::Api(status) if status.code == 409), "{error}");
        }
        let made = namespaces.get(&name).await?.metadata;
        let at = made.creation_timestamp.context("a time")?.0.as_second();
        ensure!(made.deletion_timestamp.is_none() && at > born, "{at} {born}");
        Ok(())
    })
    .await?;
    scene.create(&name, undelete(&scene, "thief", &class, &uid(&old)?)).await?;
    scene.event_with(&name, "thief", "RestoreRefused", "A namespace that was recreated").await?;
    assert!(scene.pool().join(".trash").join(uid(&old)?).join("data/file").exists());
    namespaces.delete(&name, &DeleteParams::default()).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_requests_too_much_or_a_volume_in_use_waits() -> Result<()> {
    let scene = or_skip!(Scene::new().await, Ok(()));
    let _agent = scene.agent()?;
    let class = scene.class("bin", &[("onDelete", "trash")]).await?;
    with_namespace(&scene.client, async |namespace| {
        let used = scene.create(&namespace, scene.claim("used").class(&class)).await?;
        scene.bound(&used).await?;
        scene.create(&namespace, undelete(&scene, "second", &class, &uid(&used)?)).await?;
        scene.event_with(&namespace, "second", "RestoreRefused", "in use").await?;
        let old = deleted(&scene, &namespace, &class).await?;
        let more = undelete(&scene, "more", &class, &uid(&old)?).asks("2Mi");
        scene.create(&namespace, more).await?;
        let sizes = "requests 2Mi, and the volume has 1Mi";
        scene.event_with(&namespace, "more", "RestoreRefused", sizes).await?;
        for text in ["nonsense", "../../etc"] {
            let name = format!("bad-{}", text.len());
            scene.create(&namespace, undelete(&scene, &name, &class, text)).await?;
            let text = "is not a volume of fastrak";
            scene.event_with(&namespace, &name, "RestoreRefused", text).await?;
        }
        assert_eq!(scene.directories(), [uid(&used)?]);
        Ok(())
    })
    .await
}

/// Makes a volume older in the trash, so that it may be evicted.
async fn age(trashed: &Path) -> Result<()> {
    let record = trashed.join("owner.json");
    // The volume is moved first and its time is recorded afterwards.
    eventually(SOON, "its time is recorded", || async {
        let mut value: Value = serde_json::from_slice(&std::fs::read(&record)?)?;
        ensure!(value["trashed"]["spent"].is_u64(), "{value}");
        value["trashed"]["spent"] = MIN_AGE.into();
        Ok(std::fs::write(&record, value.to_string())?)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_volume_is_evicted_from_a_full_trash_and_its_namespace_gets_an_event()
-> Result<()> {
    let scene = or_skip!(Scene::new().await, Ok(()));
    let small = scene.folder.path().join("small");
    std::fs::create_dir(&small)?;
    let pool = format!("--pool=small={},size=100Mi,reserve=0%", small.display());
    let _agent = scene.agent_with(&[&pool, "--trash-max-percent=50"])?;
    let class = scene.class("small", &[("pool", "small"), ("onDelete", "trash")]).await?;
    with_namespace(&scene.client, async |namespace| {
        let mut trashed = Vec::new();
        for name in ["first", "second"] {
            let claim = scene.create(&namespace, scene.claim(name).class(&class).asks("40Mi"));
            let claim = claim.await?;
            let volume = scene.bound(&claim).await?.name_any();
            scene.delete(&claim).await?;
            scene.gone(&volume).await?;
            next_second().await?;
            let path = small.join(".trash").join(uid(&claim)?);
            age(&path).await?;
            trashed.push(path);
        }
        let note = scene.event(&namespace, "first", "TrashEvicted").await?;
        assert!(note.contains("40Mi") && note.contains("needed its space"), "{note}");
        eventually(SOON, "the first is removed", || async {
            ensure!(!trashed[0].exists(), "it is there");
            Ok(())
        })
        .await?;
        assert!(trashed[1].join("volume.json").exists());
        Ok(())
    })
    .await
}
