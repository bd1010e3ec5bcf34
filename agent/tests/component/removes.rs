//! The files of a deleted volume are removed in the background, without delaying claims, across
//! restarts, and past files that cannot be removed.

use crate::scene::{DEADLINE, Scene, path_of};
use anyhow::{Context, Result, ensure};
use fastrak_testkit::environment::missing;
use fastrak_testkit::process::Invocation;
use fastrak_testkit::{eventually, or_skip, with_namespace};
use k8s_openapi::api::core::v1::PersistentVolume;
use kube::ResourceExt;
use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// More files than are removed while the claims of this test are bound.
const MANY: usize = 60_000;
const CLAIMS: usize = 20;

/// The capabilities that `deploy/base/agent.yaml` gives the agent.
const AS_IN_ITS_POD: [&str; 3] = ["setpriv", "--bounding-set", "-all,+dac_override,+fowner"];

/// Creates `files` files in the directory, a thousand in each subdirectory.
fn fill(data: &Path, files: usize) -> Result<()> {
    for number in 0..files {
        let folder = data.join((number / 1_000).to_string());
        if number % 1_000 == 0 {
            fs::create_dir_all(&folder)?;
        }
        fs::write(folder.join(number.to_string()), "")?;
    }
    Ok(())
}

/// Returns the path of a deleted volume's data.
fn in_trash(scene: &Scene, volume: &PersistentVolume) -> PathBuf {
    let trash = scene.pool().join(".trash");
    let uid = volume.name_any().trim_start_matches("pvc-").to_owned();
    let entries = fs::read_dir(&trash).into_iter().flatten().flatten();
    let entry = entries
        .map(|entry| entry.path())
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&uid)));
    entry.unwrap_or_else(|| trash.join(&uid)).join("data")
}

/// Returns the number of entries in a directory.
fn count(folder: &Path) -> usize {
    fs::read_dir(folder).map(Iterator::count).unwrap_or_default()
}

/// Waits until at most `most` subdirectories are left, and checks that the removal is not complete.
async fn some_are_removed(scene: &Scene, volume: &PersistentVolume, most: usize) -> Result<()> {
    eventually(DEADLINE, "some of it is removed", || async {
        let left = count(&in_trash(scene, volume));
        ensure!(0 < left && left <= most, "{left} folders are left");
        Ok(())
    })
    .await
}

/// Returns the median time that claims wait for their volumes, one after another.
async fn waits(scene: &Scene, namespace: &str, word: &str) -> Result<Duration> {
    let mut waits = Vec::new();
    for number in 0..CLAIMS {
        let start = Instant::now();
        let claim = scene.claim(&format!("{word}-{number}"));
        scene.bound(&scene.create(namespace, claim).await?).await?;
        waits.push(start.elapsed());
    }
    waits.sort_unstable();
    Ok(waits[CLAIMS / 2])
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_are_served_while_many_files_are_removed() -> Result<()> {
    let scene = or_skip!(Scene::new().await, Ok(()));
    let _agent = scene.agent()?;
    with_namespace(&scene.client, async |namespace| {
        let claim = scene.create(&namespace, scene.claim("large")).await?;
        let volume = scene.bound(&claim).await?;
        fill(&path_of(&volume), MANY)?;
        let idle = waits(&scene, &namespace, "idle").await?;
        scene.delete(&claim).await?;
        scene.gone(&volume.name_any()).await?;
        let claim = scene.create(&namespace, scene.claim("beside")).await?;
        scene.bound(&claim).await?;
        // The claim did not wait for the removal: it is not complete.
        let left = count(&in_trash(&scene, &volume));
        ensure!(left > 0, "all files were removed before the claim was bound");
        let busy = waits(&scene, &namespace, "busy").await?;
        println!("claim to bound: {idle:?}, and {busy:?} beside the removal of {MANY} files");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_removal_is_completed_at_the_next_start() -> Result<()> {
    let scene = or_skip!(Scene::new().await, Ok(()));
    with_namespace(&scene.client, async |namespace| {
        let mut agent = scene.program(&[])?;
        let claim = scene.create(&namespace, scene.claim("large")).await?;
        let volume = scene.bound(&claim).await?;
        fill(&path_of(&volume), MANY)?;
        let folders = count(&path_of(&volume));
        scene.delete(&claim).await?;
        for round in 1..4 {
            some_are_removed(&scene, &volume, folders - round).await?;
            agent.kill();
            agent = scene.program(&[])?;
        }
        scene.gone(&volume.name_any()).await?;
        scene.empty().await.with_context(|| agent.log_tail(40))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_entry_is_reported_delays_nothing_and_is_removed_when_it_can_be() -> Result<()> {
    let scene = or_skip!(Scene::new().await, Ok(()));
    if !rustix::process::geteuid().is_root() {
        drop(missing("only root can lock files, and give up rights"));
        return Ok(());
    }
    let agent = scene.program(&AS_IN_ITS_POD)?;
    with_namespace(&scene.client, async |namespace| {
        let claim = scene.create(&namespace, scene.claim("locked")).await?;
        let volume = scene.bound(&claim).await?;
        let data = path_of(&volume);
        for name in ["locked", "other"] {
            fs::write(data.join(name), "")?;
        }
        let locked = fs::File::open(data.join("locked"))?;
        ioctl_setflags(&locked, ioctl_getflags(&locked)? | IFlags::IMMUTABLE)?;
        scene.delete(&claim).await?;
        scene.gone(&volume.name_any()).await?;
        eventually(DEADLINE, "the log names the file", || async {
            let log = agent.log_tail(100);
            ensure!(log.contains("data/locked: Operation not permitted"), "{log}");
            ensure!(log.contains("chattr -R -ia"), "{log}");
            Ok(())
        })
        .await?;
        let note = scene.event("default", &scene.node, "TrashRemovalBlocked").await?;
        ensure!(note.contains("data/locked") && note.contains("chattr -R -ia"), "{note}");
        let data = in_trash(&scene, &volume);
        ensure!(data.join("locked").exists() && !data.join("other").exists());
        // Other volumes are created and deleted meanwhile.
        let next = scene.create(&namespace, scene.claim("next")).await?;
        let next_volume = scene.bound(&next).await?;
        scene.delete(&next).await?;
        scene.gone(&next_volume.name_any()).await?;
        eventually(DEADLINE, "the next one's files are removed", || async {
            ensure!(count(&scene.pool().join(".trash")) == 1);
            Ok(())
        })
        .await?;
        let path = data.join("locked").display().to_string();
        Invocation::new("chattr").args(["-i", &path]).run().await?;
        // It would be retried after a minute; the next start retries at once.
        drop(agent);
        let _agent = scene.program(&AS_IN_ITS_POD)?;
        scene.empty().await
    })
    .await
}
