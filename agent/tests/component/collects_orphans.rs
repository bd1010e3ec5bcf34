//! Empty directories without an owner are removed, and no others.

use crate::bad_pools::{free_port, shows};
use crate::scene::{DEADLINE, Scene};
use anyhow::{Context, Result, ensure};
use fastrak_testkit::{eventually, or_skip, with_namespace};
use kube::ResourceExt;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_directory_without_an_owner_is_removed_and_others_stay() -> Result<()> {
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
async fn orphaned_data_stays_and_is_counted_and_reported() -> Result<()> {
    let scene = or_skip!(Scene::new().await, Ok(()));
    let (data, empty) = (scene.plant_orphan("Delete")?, scene.plant_orphan("Delete")?);
    std::fs::write(scene.pool().join(&data).join("data/file"), "precious")?;
    std::fs::create_dir(scene.pool().join("somebody"))?;
    let port = free_port()?;
    let _agent = scene.agent_with(&[&format!("--admin-addr=127.0.0.1:{port}")])?;
    let note = scene.event("default", &scene.node, "OrphansFound").await?;
    ensure!(note.contains(&format!("pvc-{data}")) && note.contains("fastrak.io/adopt"), "{note}");
    ensure!(!note.contains(&empty), "{note}");
    eventually(DEADLINE, "the empty one is gone", || async {
        ensure!(!scene.pool().join(&empty).exists(), "it is there");
        Ok(())
    })
    .await?;
    shows(port, "fastrak_agent_orphans{pool=\"default\"} 1").await?;
    let file = scene.pool().join(&data).join("data/file");
    assert_eq!(std::fs::read_to_string(file)?, "precious");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn orphaned_data_goes_to_the_trash_for_the_configured_retention() -> Result<()> {
    let scene = or_skip!(Scene::new().await, Ok(()));
    let data = scene.plant_orphan("Delete")?;
    std::fs::write(scene.pool().join(&data).join("data/file"), "precious")?;
    let flags = ["--orphan-retention=1h", "--trash-max-percent=100"];
    let _agent = scene.agent_with(&flags)?;
    let trashed = scene.pool().join(".trash").join(&data);
    eventually(DEADLINE, "it is in the trash", || async {
        ensure!(std::fs::read_to_string(trashed.join("data/file"))? == "precious", "another file");
        Ok(())
    })
    .await?;
    let record = std::fs::read_to_string(trashed.join("volume.json"))?;
    ensure!(record.contains("\"trashSeconds\": 3600"), "{record}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn many_orphans_at_once_stay_until_an_administrator_confirms_them() -> Result<()> {
    let scene = or_skip!(Scene::new().await, Ok(()));
    let orphans: Vec<_> = (0..8).map(|_| scene.plant_orphan("Delete")).collect::<Result<_>>()?;
    let _agent = scene.agent()?;
    let note = scene.event("default", &scene.node, "OrphanRemovalStopped").await?;
    let command =
        format!("kubectl annotate node {} fastrak.io/confirm-orphans=default", scene.node);
    ensure!(note.contains("8 of 8 volumes") && note.contains(&command), "{note}");
    // A scan has passed by the time a claim was created and deleted.
    with_namespace(&scene.client, async |namespace| {
        let claim = scene.create(&namespace, scene.claim("data")).await?;
        let volume = scene.bound(&claim).await?;
        scene.delete(&claim).await?;
        scene.gone(&volume.name_any()).await
    })
    .await?;
    let mut left = scene.directories();
    left.sort();
    let mut wanted = orphans.clone();
    wanted.sort();
    ensure!(left == wanted, "{left:?}");
    scene.annotate_node("fastrak.io/confirm-orphans", "default").await?;
    scene.empty().await?;
    scene.no_annotation("fastrak.io/confirm-orphans").await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_record_in_the_trash_stays_and_is_counted() -> Result<()> {
    let scene = or_skip!(Scene::new().await, Ok(()));
    let newer = r#"{"format": 2, "volume": {"of": "a newer version"}}"#;
    let contents = ["", "{", "\0\0\0\0", newer];
    let trash = scene.pool().join(".trash");
    let mut kept = Vec::new();
    for content in contents {
        let uid = scene.plant_orphan("Delete")?;
        std::fs::create_dir_all(&trash)?;
        std::fs::write(scene.pool().join(&uid).join("data/file"), "precious")?;
        std::fs::write(scene.pool().join(&uid).join("volume.json"), content)?;
        std::fs::rename(scene.pool().join(&uid), trash.join(&uid))?;
        kept.push(trash.join(uid));
    }
    // A volume with an unreadable owner record.
    let uid = scene.plant_orphan("Delete")?;
    let record = std::fs::read_to_string(scene.pool().join(&uid).join("volume.json"))?;
    let record = record.replacen('{', "{\"trashSeconds\": 1,", 1);
    std::fs::write(scene.pool().join(&uid).join("volume.json"), record)?;
    std::fs::write(scene.pool().join(&uid).join("data/file"), "precious")?;
    std::fs::write(scene.pool().join(&uid).join("owner.json"), r#"{"format": 2}"#)?;
    std::fs::rename(scene.pool().join(&uid), trash.join(&uid))?;
    kept.push(trash.join(uid));
    // A volume that is removed: it shows that the trash was emptied.
    let gone = trash.join(format!("{}.1", scene.random_uid()?));
    std::fs::create_dir(&gone)?;
    let port = free_port()?;
    let _agent = scene.agent_with(&[&format!("--admin-addr=127.0.0.1:{port}")])?;
    eventually(DEADLINE, "the trash is emptied", || async {
        ensure!(!gone.exists(), "it is there");
        Ok(())
    })
    .await?;
    shows(port, "fastrak_agent_trash_unreadable{pool=\"default\"} 5").await?;
    for kept in kept {
        assert_eq!(std::fs::read_to_string(kept.join("data/file"))?, "precious", "{kept:?}");
    }
    Ok(())
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
        // A waiting claim without a label. A kill has left its directory without an object.
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
        // The state after a kill between creating the directory and the object.
        scene.plant(&claim.uid().context("it has a uid")?, "Delete", (&namespace, "data"))?;
        scene.delete(&claim).await?;
        let _agent = scene.agent()?;
        scene.empty().await
    })
    .await
}
