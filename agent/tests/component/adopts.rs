//! A retained volume can be adopted by a new claim of its own namespace, by name.

use crate::scene::{Scene, path_of};
use anyhow::{Context, Result};
use fastrak_api::names;
use fastrak_testkit::{objects, or_skip, with_namespace};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt;
use kube::api::DeleteParams;

fn uid(object: &impl ResourceExt) -> Result<String> {
    object.uid().context("it has a uid")
}

/// Creates a claim with data, deletes it, and returns it with the name of its retained volume.
async fn kept(scene: &Scene, namespace: &str) -> Result<(PersistentVolumeClaim, String)> {
    let claim = scene.claim("old").class(names::CLASS_RETAIN);
    let claim = scene.create(namespace, claim).await?;
    let volume = scene.bound(&claim).await?;
    std::fs::write(path_of(&volume).join("file"), namespace)?;
    scene.delete(&claim).await?;
    scene.phase(&volume.name_any(), "Released").await?;
    Ok((claim, volume.name_any()))
}

fn adopt(scene: &Scene, name: &str, volume: &str) -> objects::Claim {
    scene.claim(name).class(names::CLASS_RETAIN).annotate(names::ADOPT, volume)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retained_volume_is_given_to_the_claim_that_names_it() -> Result<()> {
    let scene = or_skip!(Scene::new().await, Ok(()));
    let _agent = scene.agent()?;
    with_namespace(&scene.client, async |namespace| {
        let (_, volume) = kept(&scene, &namespace).await?;
        let claim = scene.create(&namespace, adopt(&scene, "new", &volume)).await?;
        let bound = scene.bound(&claim).await?;
        assert_eq!(bound.name_any(), volume);
        assert_eq!(std::fs::read_to_string(path_of(&bound).join("file"))?, namespace);
        scene.event(&namespace, "new", "VolumeAdopted").await?;
        // It is retained again when this claim is deleted.
        scene.delete(&claim).await?;
        scene.phase(&volume, "Released").await
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retained_directory_without_an_object_is_published_again() -> Result<()> {
    let scene = or_skip!(Scene::new().await, Ok(()));
    let _agent = scene.agent()?;
    with_namespace(&scene.client, async |namespace| {
        let (old, volume) = kept(&scene, &namespace).await?;
        scene.volumes().delete(&volume, &DeleteParams::default()).await?;
        scene.gone(&volume).await?;
        // The new class differs and has the policy Delete: the volume is still retained.
        let claim = adopt(&scene, "new", &volume).class(names::CLASS_DEFAULT);
        let claim = scene.create(&namespace, claim).await?;
        let bound = scene.bound(&claim).await?;
        assert_eq!(bound.name_any(), volume);
        assert_eq!(std::fs::read_to_string(path_of(&bound).join("file"))?, namespace);
        let policy = bound.spec.and_then(|spec| spec.persistent_volume_reclaim_policy);
        assert_eq!(policy.as_deref(), Some("Retain"));
        assert_eq!(scene.directories(), [uid(&old)?]);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_in_use_or_of_another_namespace_is_not_adopted() -> Result<()> {
    let scene = or_skip!(Scene::new().await, Ok(()));
    let _agent = scene.agent()?;
    with_namespace(&scene.client, async |namespace| {
        let used = scene.claim("used").class(names::CLASS_RETAIN);
        let used = scene.create(&namespace, used).await?;
        let volume = scene.bound(&used).await?.name_any();
        scene.create(&namespace, adopt(&scene, "second", &volume)).await?;
        scene.event_with(&namespace, "second", "RestoreRefused", "in use").await?;
        let (_, volume) = kept(&scene, &namespace).await?;
        with_namespace(&scene.client, async |other| {
            scene.create(&other, adopt(&scene, "thief", &volume)).await?;
            scene.event_with(&other, "thief", "RestoreRefused", "no volume").await?;
            Ok(())
        })
        .await?;
        scene.phase(&volume, "Released").await
    })
    .await
}
