//! Measures the speed of creating volumes, beside bare directories and with many volumes.

use super::AREA;
use super::workload::Workload;
use crate::bench::{Figure, median};
use anyhow::{Result, ensure};
use fastrak_api::volume::QuotaGroup;
use std::path::Path;
use std::time::Instant;

const ROUNDS: usize = 40;
/// The number of each kind in a round.
const EACH: usize = 5;

const HUNDREDS: usize = 5;
const HUNDRED: usize = 100;

/// Measures the rates of volumes and of bare directories on one filesystem. They alternate and are
/// compared in pairs, so that a busy disk affects all.
///
/// A bare directory is one change to a filesystem, and its rename is not synced. A volume also has
/// a record and a directory for data, which are synced before the rename, and the rename is synced
/// before the volume is reported. The comparison with the minimal system calls for the same
/// guarantee shows fastrak's own part of the difference.
pub(super) fn rate(place: &str, directory: &Path) -> Result<Vec<Figure>> {
    let mut workload = Workload::new(directory)?;
    let limit = workload.volume()?;
    let [mut volumes, mut bare, mut lasting, mut least] = [const { Vec::new() }; 4];
    for round in 0..=ROUNDS {
        let times = [
            seconds(EACH, || workload.volume().map(drop))?,
            seconds(EACH, || workload.directory())?,
            seconds(EACH, || workload.lasting_directory())?,
            seconds(EACH, || workload.minimal(limit))?,
        ];
        // The first round creates what exists only once.
        if round > 0 {
            let kinds = [&mut volumes, &mut bare, &mut lasting, &mut least];
            kinds.into_iter().zip(times).for_each(|(all, time)| all.push(EACH as f64 / time));
        }
    }
    let ratio = |ours: &[f64], others: &[f64]| {
        median(&ours.iter().zip(others).map(|(ours, other)| ours / other).collect::<Vec<_>>())
    };
    let name = |what: &str| format!("{place}: {what}");
    let rate = |what: &str, rates: &[f64]| Figure::plain(AREA, &name(what), median(rates), "/s");
    let plain = |what: &str, ratio| Figure::plain(AREA, &name(what), ratio, "x");
    Ok(vec![
        rate("volumes made", &volumes),
        rate("the least that lasts as they do", &least),
        rate("bare mkdir, fsync, rename", &bare),
        rate("the same and fsync of the parent", &lasting),
        plain("volumes to bare", ratio(&volumes, &bare)),
        plain("volumes to bare with parent", ratio(&volumes, &lasting)),
        plain("the least that lasts to bare", ratio(&least, &bare)),
        Figure::at_least(AREA, &name("volumes to the least"), ratio(&volumes, &least), "x", 0.8),
    ])
}

/// Measures the time of a volume with many volumes beside the time with few.
pub(super) fn growth(directory: &Path) -> Result<Vec<Figure>> {
    let mut workload = Workload::new(&directory.join("many"))?;
    let mut hundreds = Vec::new();
    for _ in 0..HUNDREDS {
        let mut each = Vec::new();
        for _ in 0..HUNDRED {
            let limited = || {
                let limit = workload.volume()?;
                ensure!(
                    limit == Some(QuotaGroup::Subvolume),
                    "its size is not enforced: {limit:?}"
                );
                Ok(())
            };
            each.push(seconds(1, limited)? * 1e3);
        }
        hundreds.push((median(&each), each.iter().sum::<f64>() / HUNDRED as f64));
    }
    let (first, last) = (hundreds[0], hundreds[HUNDREDS - 1]);
    let name = |which: &str| format!("btrfs: of {} volumes, each of {which}", HUNDREDS * HUNDRED);
    Ok(vec![
        Figure::plain(AREA, &name("the first hundred"), first.0, "ms"),
        Figure::plain(AREA, &name("the last hundred"), last.0, "ms"),
        Figure::at_most(AREA, &name("the last to the first, median"), last.0 / first.0, "x", 2.0),
        Figure::at_most(AREA, &name("the last to the first, mean"), last.1 / first.1, "x", 2.0),
    ])
}

fn seconds(times: usize, mut work: impl FnMut() -> Result<()>) -> Result<f64> {
    let started = Instant::now();
    for _ in 0..times {
        work()?;
    }
    Ok(started.elapsed().as_secs_f64())
}
