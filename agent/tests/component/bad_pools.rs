//! An unusable pool is refused with the reason, and used again once it is repaired.

use crate::scene::{DEADLINE, Scene};
use anyhow::{Context, Result, ensure};
use fastrak_testkit::{eventually, or_skip, with_namespace};
use kube::ResourceExt;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::path::Path;

/// Breaks the pool, requests a volume, waits for the event, repairs the pool, waits for the volume.
async fn refused_until_repaired(
    breaks: impl Fn(&Path) -> Result<()>,
    words: &str,
    repairs: impl Fn(&Path) -> Result<()>,
) -> Result<()> {
    let scene = or_skip!(Scene::new().await, Ok(()));
    breaks(&scene.pool())?;
    let _agent = scene.agent()?;
    with_namespace(&scene.client, async |namespace| {
        let claim = scene.create(&namespace, scene.claim("data")).await?;
        scene.event_with(&namespace, "data", "ProvisioningFailed", words).await?;
        repairs(&scene.pool())?;
        scene.bound(&claim).await?;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_pool_is_refused_until_it_exists() -> Result<()> {
    let breaks = |pool: &Path| Ok(std::fs::remove_dir(pool)?);
    refused_until_repaired(breaks, "create the directory", |pool| Ok(std::fs::create_dir(pool)?))
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_that_is_a_file_is_refused() -> Result<()> {
    let breaks = |pool: &Path| {
        std::fs::remove_dir(pool)?;
        Ok(std::fs::write(pool, "")?)
    };
    let repairs = |pool: &Path| {
        std::fs::remove_file(pool)?;
        Ok(std::fs::create_dir(pool)?)
    };
    refused_until_repaired(breaks, "not a directory", repairs).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_that_is_a_symbolic_link_is_refused() -> Result<()> {
    let breaks = |pool: &Path| {
        std::fs::rename(pool, pool.with_extension("real"))?;
        Ok(symlink(pool.with_extension("real"), pool)?)
    };
    let repairs = |pool: &Path| {
        std::fs::remove_file(pool)?;
        Ok(std::fs::rename(pool.with_extension("real"), pool)?)
    };
    refused_until_repaired(breaks, "symbolic link", repairs).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_in_memory_is_used_and_warned_about() -> Result<()> {
    let scene = or_skip!(Scene::new().await, Ok(()));
    let memory = tempfile::tempdir_in("/dev/shm")?;
    let pool = format!("--pool=memory={},reserve=0%", memory.path().display());
    let _agent = scene.agent_with(&[&pool])?;
    let text = "is in memory (tmpfs): a restart of the node empties it";
    scene.event_with("default", &scene.node, "PoolInMemory", text).await?;
    eventually(DEADLINE, "the pool is begun", || async {
        ensure!(memory.path().join(".fastrak-pool").exists(), "there is no marker");
        anyhow::Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_with_foreign_contents_is_refused() -> Result<()> {
    let breaks = |pool: &Path| Ok(std::fs::write(pool.join("precious"), "")?);
    let repairs = |pool: &Path| Ok(std::fs::write(pool.join(".fastrak-pool"), "")?);
    refused_until_repaired(breaks, "\"precious\"", repairs).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_with_the_marker_of_another_disk_is_refused() -> Result<()> {
    let marker = r#"{"format":1,"id":"1","pool":"other","node":"node-x"}"#;
    let breaks = |pool: &Path| Ok(std::fs::write(pool.join(".fastrak-pool"), marker)?);
    let repairs = |pool: &Path| Ok(std::fs::remove_file(pool.join(".fastrak-pool"))?);
    refused_until_repaired(breaks, "names pool \"other\"", repairs).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_with_an_unreadable_marker_is_refused() -> Result<()> {
    let breaks = |pool: &Path| Ok(std::fs::write(pool.join(".fastrak-pool"), "garbage")?);
    let repairs = |pool: &Path| Ok(std::fs::remove_file(pool.join(".fastrak-pool"))?);
    refused_until_repaired(breaks, "restore it", repairs).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_that_is_not_mounted_is_refused() -> Result<()> {
    let scene = or_skip!(Scene::new().await, Ok(()));
    let disk = scene.folder.path().join("disk");
    std::fs::create_dir(&disk)?;
    let class = scene.class("disk", &[("pool", "disk")]).await?;
    let _agent = scene.agent_with(&[&format!("--pool=disk={},mount", disk.display())])?;
    with_namespace(&scene.client, async |namespace| {
        scene.create(&namespace, scene.claim("data").class(&class)).await?;
        scene.event_with(&namespace, "data", "ProvisioningFailed", "mount its disk").await?;
        // The other pool of this node stays usable.
        let other = scene.create(&namespace, scene.claim("other")).await?;
        scene.bound(&other).await?;
        ensure!(std::fs::read_dir(&disk)?.next().is_none(), "something was written");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_on_a_read_only_filesystem_is_refused() -> Result<()> {
    let scene = or_skip!(Scene::new().await, Ok(()));
    if !rustix::process::geteuid().is_root() {
        drop(fastrak_testkit::environment::missing("only root can mount"));
        return Ok(());
    }
    let pool = scene.pool().display().to_string();
    let script = format!("mount -t tmpfs -o ro none {pool} && exec \"$0\" \"$@\"");
    let _agent = scene.program(&["unshare", "--mount", "sh", "-c", &script])?;
    with_namespace(&scene.client, async |namespace| {
        scene.create(&namespace, scene.claim("data")).await?;
        scene.event_with(&namespace, "data", "ProvisioningFailed", "read-only").await?;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_directory_in_place_of_a_pool_with_volumes_is_refused() -> Result<()> {
    let scene = or_skip!(Scene::new().await, Ok(()));
    let away = scene.folder.path().join("away");
    with_namespace(&scene.client, async |namespace| {
        let agent = scene.agent()?;
        let first = scene.create(&namespace, scene.claim("first")).await?;
        let volume = scene.bound(&first).await?;
        agent.end().await?;
        // The node starts, and its disk is not mounted.
        std::fs::rename(scene.pool(), &away)?;
        std::fs::create_dir(scene.pool())?;
        let port = free_port()?;
        let _agent = scene.agent_with(&[&format!("--admin-addr=127.0.0.1:{port}")])?;
        let second = scene.create(&namespace, scene.claim("second")).await?;
        let text = "mount the pool's disk";
        scene.event_with(&namespace, "second", "ProvisioningFailed", text).await?;
        shows(port, "fastrak_agent_pool_up{pool=\"default\"} 0").await?;
        scene.delete(&first).await?;
        scene.event("default", &volume.name_any(), "VolumeFailedDelete").await?;
        ensure!(std::fs::read_dir(scene.pool())?.next().is_none(), "something was written");
        std::fs::remove_dir(scene.pool())?;
        std::fs::rename(&away, scene.pool())?;
        scene.bound(&second).await?;
        scene.gone(&volume.name_any()).await?;
        shows(port, "fastrak_agent_pool_up{pool=\"default\"} 1").await?;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_agent_on_the_same_pool_is_refused_and_the_message_names_the_first() -> Result<()>
{
    let scene = or_skip!(Scene::new().await, Ok(()));
    with_namespace(&scene.client, async |namespace| {
        let first = scene.agent()?;
        let claim = scene.create(&namespace, scene.claim("first")).await?;
        scene.bound(&claim).await?;
        let mut second = scene.program(&[])?;
        let text = "in use by another agent";
        let note = scene.event_with("default", &scene.node, "PoolUnusable", text).await?;
        ensure!(note.contains(&format!("process {}", std::process::id())), "{note}");
        // The second continues once the first has exited, in any way.
        first.end().await?;
        let claim = scene.create(&namespace, scene.claim("second")).await?;
        scene.bound(&claim).await?;
        second.kill();
        let _third = scene.agent()?;
        let claim = scene.create(&namespace, scene.claim("third")).await?;
        scene.bound(&claim).await?;
        Ok(())
    })
    .await
}

pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Waits until the metrics have this line. The agent stays ready meanwhile.
pub(crate) async fn shows(port: u16, line: &str) -> Result<()> {
    eventually(DEADLINE, format!("metric {line}"), || async {
        let metrics = get(port, "/metrics")?;
        ensure!(metrics.lines().any(|seen| seen == line), "{metrics}");
        let ready = get(port, "/readyz")?;
        ensure!(ready.starts_with("HTTP/1.1 200"), "{ready}");
        Ok(())
    })
    .await
}

fn get(port: u16, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).context("connect")?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).context("read an answer")?;
    Ok(answer)
}
