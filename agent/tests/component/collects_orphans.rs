//! Directories that belong to nobody are taken away, and no others.

use crate::scene::{DEADLINE, Scene};
use anyhow::{Context, Result, ensure};
use fastrak_testkit::{eventually, or_skip, with_namespace};
use kube::ResourceExt;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_without_an_owner_goes_and_what_may_be_of_value_stays() -> Result<()> {
    let scene = or_skip!(Scene::new().await, Ok(()));
    let orphan = scene.plant_orphan("Delete")?;
    let retained = scene.plant_orphan("Retain")?;
    let unreadable = scene.plant_orphan("Delete")?;
    std::fs::write(scene.pool().join(&unreadable).join("volume.json"), "{")?;
    std::fs::create_dir(scene.pool().join("somebody"))?;
    let _agent = scene.agent()?;
    let mut kept = vec![retained, unreadable, "somebody".to_owned()];
    kept.sort();
    eventually(DEADLINE, "the orphan is gone", || async {
        let mut left = scene.directories();
        left.sort();
        ensure!(!left.contains(&orphan) && left == kept, "{left:?}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_or_a_volume_that_has_lost_its_label_still_owns_its_directory() -> Result<()> {
    let scene = or_skip!(Scene::new().await, Ok(()));
    let _agent = scene.agent()?;
    with_namespace(&scene.client, async |namespace| {
        let bound = scene.create(&namespace, scene.claim("bound")).await?;
        let volume = scene.bound(&bound).await?.name_any();
        let unlabelled = json!({ "metadata": { "labels": { "fastrak.io/node": null } } });
        scene.patch_volume(&volume, unlabelled.clone()).await?;
        scene.patch_claim(&bound, unlabelled).await?;
        // One that waits, without a label, whose directory a kill has left without an object.
        let waiting = fastrak_testkit::objects::claim("waiting").class("local-storage");
        let waiting = scene.create(&namespace, waiting).await?;
        let uid = waiting.uid().context("it has a uid")?;
        scene.plant(&uid, "Delete", (&namespace, "waiting"))?;
        let orphan = scene.plant_orphan("Delete")?;
        let mut owned = vec![bound.uid().context("it has a uid")?, uid];
        owned.sort();
        eventually(DEADLINE, "the orphan is gone", || async {
            let mut left = scene.directories();
            left.sort();
            ensure!(!left.contains(&orphan) && left == owned, "{left:?}");
            Ok(())
        })
        .await
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_is_deleted_before_its_volume_is_published_leaves_no_directory() -> Result<()>
{
    let scene = or_skip!(Scene::new().await, Ok(()));
    with_namespace(&scene.client, async |namespace| {
        let claim = scene.create(&namespace, scene.claim("data")).await?;
        // As after a kill between the directory and the object.
        scene.plant(&claim.uid().context("it has a uid")?, "Delete", (&namespace, "data"))?;
        scene.delete(&claim).await?;
        let _agent = scene.agent()?;
        scene.empty().await
    })
    .await
}
