//! Measures the effect of the removal of very many files on new claims.

use super::AREA;
use super::cluster::{BenchCluster, NAMESPACE};
use crate::bench::bound::Bound;
use crate::bench::{Figure, median};
use anyhow::{Context, Result, ensure};
use fastrak_testkit::eventually;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const FILES: usize = 200_000;
const FULL_FILES: usize = 1_000_000;
const IN_A_DIRECTORY: usize = 1_000;
/// One file in this number has content, because freeing blocks is slow on some disks.
const NOT_EMPTY: usize = 10;
/// The number of claims before and after the removal.
const IDLE: usize = 30;
/// The maximum and the minimum number of claims during the removal.
const BUSY: usize = 60;
const LEAST: usize = 10;
const TIMEOUT: Duration = Duration::from_secs(60);
const VICTIM: &str = "victim";

/// Measures claims before, during and after a removal.
pub(super) async fn measure(cluster: &BenchCluster, full: bool) -> Result<Vec<Figure>> {
    let files = if full { FULL_FILES } else { FILES };
    let uid = cluster.claim(VICTIM).await?;
    cluster.bound(VICTIM).await?;
    let data = cluster.pool().join(&uid).join("data");
    tokio::task::block_in_place(|| fill(&data, files))?;
    // After the volume is filled, which may take longer than a watch lasts.
    let mut claims =
        Claims { cluster, bound: Bound::watch(&cluster.client, NAMESPACE).await?, number: 0 };
    let mut idle = claims.times(IDLE, || true).await?;
    cluster.delete(VICTIM).await?;
    let trash = cluster.pool().join(".trash");
    let trashed = || async { in_trash(&trash, &uid).context("not yet") };
    let trashed = eventually(TIMEOUT, "it is in the trash", trashed).await?;
    let started = Instant::now();
    let busy = claims.times(BUSY, || trashed.exists()).await?;
    let took = started.elapsed().as_secs_f64();
    let left = count(&trashed);
    ensure!(busy.len() >= LEAST, "{files} files were gone within {took:.1} s: take more");
    let clearing = Instant::now();
    tokio::task::block_in_place(|| clear(&trashed))?;
    let cleared = clearing.elapsed().as_secs_f64();
    let mut claims = Claims { bound: Bound::watch(&cluster.client, NAMESPACE).await?, ..claims };
    idle.extend(claims.times(IDLE, || true).await?);
    let (idle, busy) = (median(&idle), median(&busy));
    let name = |what: &str| format!("removal of {files} files: {what}");
    let rate = |files: usize, seconds: f64| files as f64 / seconds;
    Ok(vec![
        Figure::plain(AREA, &name("by the agent"), rate(files.saturating_sub(left), took), "/s"),
        Figure::plain(AREA, &name("the rest, at once"), rate(left, cleared), "/s"),
        Figure::plain(AREA, &name("claim to Bound before and after, p50"), idle, "ms"),
        Figure::plain(AREA, &name("claim to Bound meanwhile, p50"), busy, "ms"),
        Figure::at_most(AREA, &name("meanwhile to idle"), busy / idle, "x", 2.0),
    ])
}

/// Claims that are created one after another.
struct Claims<'a> {
    cluster: &'a BenchCluster,
    bound: Bound,
    number: usize,
}

impl Claims<'_> {
    /// Returns the times from creation to Bound, in milliseconds, of at most this number of claims,
    /// while the condition holds.
    async fn times(&mut self, most: usize, goes_on: impl Fn() -> bool) -> Result<Vec<f64>> {
        let mut times = Vec::new();
        while times.len() < most {
            self.number += 1;
            let name = format!("claim-{}", self.number);
            let started = Instant::now();
            self.cluster.claim(&name).await?;
            self.bound.wait_for(&name).await?;
            let took = started.elapsed().as_secs_f64() * 1e3;
            self.cluster.delete(&name).await?;
            // A claim that was not finished during the removal does not count.
            if !goes_on() {
                break;
            }
            times.push(took);
        }
        Ok(times)
    }
}

/// Returns the volume in the trash that is being removed: its name has a number appended.
fn in_trash(trash: &Path, uid: &str) -> Option<PathBuf> {
    let names = std::fs::read_dir(trash).ok()?.flatten().map(|entry| entry.path());
    let is_it = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.strip_prefix(uid).is_some_and(|rest| rest.starts_with('.'))
    };
    names.into_iter().find(is_it)
}

/// Creates small files in a directory and syncs them, so that their writing is not measured.
fn fill(directory: &Path, files: usize) -> Result<()> {
    for inner in 0..files / IN_A_DIRECTORY {
        let inner = directory.join(inner.to_string());
        std::fs::create_dir(&inner).context("make a directory")?;
        for file in 0..IN_A_DIRECTORY {
            let content = if file % NOT_EMPTY == 0 { "small" } else { "" };
            std::fs::write(inner.join(file.to_string()), content).context("write a file")?;
        }
    }
    let directory = std::fs::File::open(directory).context("open a directory")?;
    rustix::fs::syncfs(&directory).context("sync a filesystem")
}

/// Returns the number of files that are left. Files removed during the count are not counted.
fn count(directory: &Path) -> usize {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let of = |entry: std::fs::DirEntry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => count(&entry.path()),
        Ok(_) => 1,
        Err(_) => 0,
    };
    entries.map(of).sum()
}

/// Removes the rest. The agent may remove files at the same time.
fn clear(directory: &Path) -> Result<()> {
    loop {
        match std::fs::remove_dir_all(directory) {
            Ok(()) => return Ok(()),
            Err(_) if !directory.exists() => return Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) if error.kind() == std::io::ErrorKind::DirectoryNotEmpty => {}
            Err(error) => return Err(error).context("remove the rest"),
        }
    }
}
