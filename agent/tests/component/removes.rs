//! The files of a deleted volume are removed in the background: in nobody's way, to the end, and past
//! what cannot be removed.

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

/// More than are removed while as many claims are bound as here.
const MANY: usize = 60_000;
const CLAIMS: usize = 20;

/// The rights that `deploy/base/agent.yaml` gives the agent, by which root is no more than that.
const AS_IN_ITS_POD: [&str; 3] = ["setpriv", "--bounding-set", "-all,+dac_override,+fowner"];

/// Makes so many files in the folder, a thousand in each of its folders.
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

/// Where the volume's data is when it has been deleted.
fn in_trash(scene: &Scene, volume: &PersistentVolume) -> PathBuf {
    let trash = scene.pool().join(".trash");
    let uid = volume.name_any().trim_start_matches("pvc-").to_owned();
    let entries = fs::read_dir(&trash).into_iter().flatten().flatten();
    let entry = entries
        .map(|entry| entry.path())
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&uid)));
    entry.unwrap_or_else(|| trash.join(&uid)).join("data")
}

/// How many folders are left in one.
fn count(folder: &Path) -> usize {
    fs::read_dir(folder).map(Iterator::count).unwrap_or_default()
}

/// Waits until no more than `most` of its folders are left, and checks that it is not done.
async fn some_are_removed(scene: &Scene, volume: &PersistentVolume, most: usize) -> Result<()> {
    eventually(DEADLINE, "some of it is removed", || async {
        let left = count(&in_trash(scene, volume));
        ensure!(0 < left && left <= most, "{left} folders are left");
        Ok(())
    })
    .await
}

/// How long claims wait for their volumes, one after another: the median.
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
        let busy = waits(&scene, &namespace, "busy").await?;
        let left = count(&in_trash(&scene, &volume));
        println!("claim to bound: {idle:?}, and {busy:?} beside the removal of {MANY} files");
        // They did not wait for it: it is not done.
        ensure!(left > 0, "all files were removed before {CLAIMS} claims were bound");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_that_is_killed_is_brought_to_its_end_by_the_next_start() -> Result<()> {
    let scene = or_skip!(Scene::new().await, Ok(()));
    with_namespace(&scene.client, async |namespace| {
        let mut agent = scene.program(&[])?;
        let claim = scene.create(&namespace, scene.claim("large")).await?;
        let volume = scene.bound(&claim).await?;
        fill(&path_of(&volume), MANY / 4)?;
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
async fn what_cannot_be_removed_is_named_holds_up_nothing_and_goes_when_it_can() -> Result<()> {
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
        let said = scene.event("default", &scene.node, "TrashRemovalBlocked").await?;
        ensure!(said.contains("data/locked") && said.contains("chattr -R -ia"), "{said}");
        let data = in_trash(&scene, &volume);
        ensure!(data.join("locked").exists() && !data.join("other").exists());
        // Others come and go as ever.
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
        // It would be tried again after a minute, and is at once by the next start.
        drop(agent);
        let _agent = scene.program(&AS_IN_ITS_POD)?;
        scene.empty().await
    })
    .await
}
