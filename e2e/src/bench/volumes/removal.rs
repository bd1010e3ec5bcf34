//! Whether the removal of very many files is in the way of those who ask for a volume meanwhile.

use super::AREA;
use super::bed::{Bed, NAMESPACE};
use crate::bench::bound::Bound;
use crate::bench::{Figure, median};
use anyhow::{Context, Result, ensure};
use fastrak_testkit::eventually;
use std::path::Path;
use std::time::{Duration, Instant};

const FILES: usize = 200_000;
const FULL_FILES: usize = 1_000_000;
const IN_A_FOLDER: usize = 1_000;
/// Claims before, and again after.
const IDLE: usize = 40;
/// With fewer during the removal there is nothing to compare.
const LEAST: usize = 10;
/// Longer than the removal of all of them.
const PATIENCE: Duration = Duration::from_secs(300);
const VICTIM: &str = "victim";

/// Measures claims while nothing else happens, during a removal, and while nothing happens again.
pub(super) async fn measure(bed: &Bed, full: bool) -> Result<Vec<Figure>> {
    let files = if full { FULL_FILES } else { FILES };
    let mut bound = Bound::watch(&bed.client, NAMESPACE).await?;
    let uid = bed.ask(VICTIM).await?;
    bound.wait_for(VICTIM).await?;
    let data = bed.pool().join(&uid).join("data");
    tokio::task::block_in_place(|| fill(&data, files))?;
    // To fill it may have taken longer than a watch lasts.
    let mut claims = Claims { bed, bound: Bound::watch(&bed.client, NAMESPACE).await?, number: 0 };
    let mut idle = claims.times(IDLE, || true).await?;
    let trashed = bed.pool().join(".trash").join(&uid);
    bed.delete(VICTIM).await?;
    eventually(PATIENCE, "it is in the trash", || async { trashed.exists() }).await?;
    let started = Instant::now();
    let busy = claims.times(usize::MAX, || trashed.exists()).await?;
    let took = started.elapsed().as_secs_f64();
    ensure!(busy.len() >= LEAST, "{files} files were gone within {took:.1} s: take more");
    idle.extend(claims.times(IDLE, || true).await?);
    let (idle, busy) = (median(&idle), median(&busy));
    let name = |what: &str| format!("removal of {files} files: {what}");
    Ok(vec![
        Figure::plain(AREA, &name("time"), took, "s"),
        Figure::plain(AREA, &name("files"), files as f64 / took, "/s"),
        Figure::plain(AREA, &name("claim to Bound before and after, p50"), idle, "ms"),
        Figure::plain(AREA, &name("claim to Bound meanwhile, p50"), busy, "ms"),
        Figure::at_most(AREA, &name("meanwhile to idle"), busy / idle, "x", 2.0),
    ])
}

/// Claims that are made one after another.
struct Claims<'a> {
    bed: &'a Bed,
    bound: Bound,
    number: usize,
}

impl Claims<'_> {
    /// How long each took from its creation to Bound, in milliseconds: at most so many, and as long as
    /// it goes on.
    async fn times(&mut self, most: usize, goes_on: impl Fn() -> bool) -> Result<Vec<f64>> {
        let mut times = Vec::new();
        while times.len() < most {
            self.number += 1;
            let name = format!("claim-{}", self.number);
            let started = Instant::now();
            self.bed.ask(&name).await?;
            self.bound.wait_for(&name).await?;
            let took = started.elapsed().as_secs_f64() * 1e3;
            self.bed.delete(&name).await?;
            // One that outlasted the removal was not measured during it.
            if !goes_on() {
                break;
            }
            times.push(took);
        }
        Ok(times)
    }
}

/// Puts small files into a folder, and waits until the disk has them: what it still has to write would
/// be measured as well.
fn fill(folder: &Path, files: usize) -> Result<()> {
    for inner in 0..files / IN_A_FOLDER {
        let inner = folder.join(inner.to_string());
        std::fs::create_dir(&inner).context("make a folder")?;
        for file in 0..IN_A_FOLDER {
            std::fs::write(inner.join(file.to_string()), "small").context("write a file")?;
        }
    }
    let folder = std::fs::File::open(folder).context("open a folder")?;
    rustix::fs::syncfs(&folder).context("sync a filesystem")
}
