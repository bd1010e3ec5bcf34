//! Quotas on a real btrfs, and the messages if there are none.

use crate::grows::{resize, shows};
use crate::scene::{DEADLINE, Scene, path_of};
use anyhow::{Context, Result, ensure};
use fastrak_testkit::process::Invocation;
use fastrak_testkit::{Disk, eventually, or_skip, with_namespace};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::Path;

const MIB: usize = 1 << 20;

/// Writes and syncs `mib`. The quota refuses what reaches the disk.
fn write(file: &mut File, mib: usize) -> std::io::Result<()> {
    for _ in 0..mib {
        file.write_all(&[0x5A; MIB])?;
        file.sync_data()?;
    }
    Ok(())
}

async fn on_btrfs(scene: &Scene, quotas: bool) -> Result<(Disk, String)> {
    let disk = Disk::btrfs(512).await?;
    if quotas {
        disk.enable_simple_quotas().await?;
    }
    let flag = format!("--pool=disk={},mount", disk.path().display());
    ensure!(scene.directories().is_empty());
    Ok((disk, flag))
}

fn overfill(path: &Path, mib: usize) -> Result<File> {
    let mut file = File::create(path.join("file"))?;
    let full = write(&mut file, mib).err().context("more than its size was written")?;
    ensure!(full.kind() == ErrorKind::QuotaExceeded, "{full}");
    Ok(file)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_limits_a_volume_and_grows_while_it_is_written_to() -> Result<()> {
    let scene = or_skip!(Scene::new().await, Ok(()));
    let (disk, flag) = or_skip!(on_btrfs(&scene, true).await, Ok(()));
    let class = scene.class("disk", &[("pool", "disk"), ("quota", "required")]).await?;
    let agent = scene.agent_with(&[&flag])?;
    with_namespace(&scene.client, async |namespace| {
        let claim = scene.claim("data").class(&class).asks("16Mi");
        let claim = scene.create(&namespace, claim).await?;
        let volume = scene.bound(&claim).await?;
        let text = "a quota enforces its size";
        scene.event_with(&namespace, "data", "ProvisioningSucceeded", text).await?;
        let mut file = overfill(&path_of(&volume), 32)?;
        resize(&scene, &claim, "64Mi").await?;
        shows(&scene, &claim, "64Mi").await?;
        // The same file, still open.
        write(&mut file, 24).context("after it has grown")?;
        drop(file);
        scene.delete(&claim).await?;
        scene.gone(&volume.metadata.name.unwrap_or_default()).await?;
        agent.end().await?;
        Ok(())
    })
    .await?;
    drop(disk);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_quotas_a_class_that_requires_them_is_refused_and_another_is_served() -> Result<()>
{
    let scene = or_skip!(Scene::new().await, Ok(()));
    let (disk, flag) = or_skip!(on_btrfs(&scene, false).await, Ok(()));
    let required = scene.class("required", &[("pool", "disk"), ("quota", "required")]).await?;
    let preferred = scene.class("preferred", &[("pool", "disk")]).await?;
    let off = scene.class("off", &[("pool", "disk"), ("quota", "off")]).await?;
    let agent = scene.agent_with(&[&flag])?;
    with_namespace(&scene.client, async |namespace| {
        let claim = scene.create(&namespace, scene.claim("strict").class(&required)).await?;
        scene.event_with(&namespace, "strict", "ProvisioningFailed", "btrfs quota enable").await?;
        for (name, class) in [("lax", &preferred), ("free", &off)] {
            let claim = scene.create(&namespace, scene.claim(name).class(class)).await?;
            scene.bound(&claim).await?;
            let text = "no quota enforces its size";
            scene.event_with(&namespace, name, "ProvisioningSucceeded", text).await?;
        }
        disk.enable_simple_quotas().await?;
        // A change of the claim requeues it.
        scene
            .patch_claim(&claim, serde_json::json!({ "metadata": { "labels": { "a": "b" } } }))
            .await?;
        let volume = scene.bound(&claim).await?;
        overfill(&path_of(&volume), 8)?;
        agent.end().await?;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_limit_is_set_again() -> Result<()> {
    let scene = or_skip!(Scene::new().await, Ok(()));
    let (disk, flag) = or_skip!(on_btrfs(&scene, true).await, Ok(()));
    let class = scene.class("disk", &[("pool", "disk")]).await?;
    with_namespace(&scene.client, async |namespace| {
        let agent = scene.agent_with(&[&flag])?;
        let claim = scene.create(&namespace, scene.claim("data").class(&class)).await?;
        let volume = scene.bound(&claim).await?;
        agent.end().await?;
        let path = path_of(&volume);
        disk.clear_limits().await?;
        write(&mut File::create(path.join("more"))?, 4).context("without a limit")?;
        std::fs::remove_file(path.join("more"))?;
        let _agent = scene.agent_with(&[&flag])?;
        eventually(DEADLINE, "it is limited again", async || {
            let outcome = overfill(&path, 4);
            std::fs::remove_file(path.join("file"))?;
            outcome.map(drop)
        })
        .await
    })
    .await
}

/// Returns the quota groups and their limits after a sync.
async fn groups(disk: &Disk) -> Result<BTreeSet<String>> {
    rustix::fs::syncfs(File::open(disk.path())?)?;
    let path = disk.path().display().to_string();
    let shown =
        Invocation::new("btrfs").args(["qgroup", "show", "-r", "--raw", &path]).run().await?;
    let lines =
        shown.stdout.lines().filter(|line| line.starts_with(|first: char| first.is_ascii_digit()));
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    // The ID and the limit, not the usage.
    Ok(lines.map(words).map(|words| format!("{} {}", words[0], words[3])).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_quota_groups_of_a_volume_are_removed_with_it_and_no_others() -> Result<()> {
    let scene = or_skip!(Scene::new().await, Ok(()));
    let (disk, flag) = or_skip!(on_btrfs(&scene, true).await, Ok(()));
    let other = disk.path().join("other");
    Invocation::new("btrfs")
        .args(["subvolume", "create", &other.display().to_string()])
        .run()
        .await?;
    let limit = ["qgroup", "limit", "64M", &other.display().to_string()];
    Invocation::new("btrfs").args(limit).run().await?;
    // The pool is a directory of the filesystem, so that there is something outside of it.
    let pool = disk.path().join("pool");
    std::fs::create_dir(&pool)?;
    let flag = flag.replace(",mount", "/pool");
    let class = scene.class("disk", &[("pool", "disk"), ("quota", "required")]).await?;
    let before = groups(&disk).await?;
    let agent = scene.agent_with(&[&flag])?;
    with_namespace(&scene.client, async |namespace| {
        let (mut claims, mut volumes) = (Vec::new(), Vec::new());
        for name in ["empty", "full"] {
            let claim = scene.claim(name).class(&class).asks("16Mi");
            let claim = scene.create(&namespace, claim).await?;
            volumes.push(scene.bound(&claim).await?);
            claims.push(claim);
        }
        overfill(&path_of(&volumes[1]), 32)?;
        // Each volume has its own group and one that it shares with nested subvolumes.
        ensure!(groups(&disk).await?.len() == before.len() + 4);
        for (claim, volume) in claims.iter().zip(&volumes) {
            scene.delete(claim).await?;
            scene.gone(volume.metadata.name.as_deref().unwrap_or_default()).await?;
        }
        let notes = pool.join(".groups");
        eventually(DEADLINE, "nothing of the volumes is left", || async {
            let left = groups(&disk).await?;
            ensure!(left == before, "{left:?}, and before there were {before:?}");
            let trash = pool.join(".trash").read_dir()?.count();
            let noted: Vec<_> = notes.read_dir()?.flatten().collect();
            ensure!(trash == 0 && noted.is_empty(), "{trash} in the trash, noted {noted:?}");
            Ok(())
        })
        .await?;
        agent.end().await
    })
    .await?;
    ensure!(other.exists());
    Ok(())
}
