//! How fast volumes are made: beside a bare directory, and as they become many.

use super::AREA;
use super::maker::Maker;
use crate::bench::{Figure, median};
use anyhow::{Result, ensure};
use fastrak_api::volume::LimitRecord;
use std::path::Path;
use std::time::Instant;

const ROUNDS: usize = 40;
/// How many of each kind are made in a round.
const EACH: usize = 5;

const HUNDREDS: usize = 5;
const HUNDRED: usize = 100;

/// The rates of volumes and of bare directories on one filesystem. They take turns and are compared
/// turn by turn, so that both see the same disk, however busy that is.
pub(super) fn rate(place: &str, folder: &Path) -> Result<Vec<Figure>> {
    let mut maker = Maker::new(folder)?;
    let (mut volumes, mut bare, mut lasting) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let times = [
            seconds(EACH, || maker.volume().map(drop))?,
            seconds(EACH, || maker.directory())?,
            seconds(EACH, || maker.lasting_directory())?,
        ];
        // The first makes what there has to be but once.
        if round > 0 {
            volumes.push(EACH as f64 / times[0]);
            bare.push(EACH as f64 / times[1]);
            lasting.push(EACH as f64 / times[2]);
        }
    }
    let against = |others: &[f64]| {
        median(&volumes.iter().zip(others).map(|(ours, other)| ours / other).collect::<Vec<_>>())
    };
    let name = |what: &str| format!("{place}: {what}");
    let plain = |what: &str, rates: &[f64]| Figure::plain(AREA, &name(what), median(rates), "/s");
    Ok(vec![
        plain("volumes made", &volumes),
        plain("bare mkdir, fsync, rename", &bare),
        plain("the same and fsync of the parent", &lasting),
        // A volume is not made before its last rename is on the disk, which the second does not wait for.
        Figure::at_least(AREA, &name("volumes to bare with parent"), against(&lasting), "x", 0.5),
        Figure::at_least(AREA, &name("volumes to bare"), against(&bare), "x", 0.5),
    ])
}

/// How long each volume takes when there are many, beside how long it took when there were few.
pub(super) fn growth(folder: &Path) -> Result<Vec<Figure>> {
    let mut maker = Maker::new(&folder.join("many"))?;
    let mut hundreds = Vec::new();
    for _ in 0..HUNDREDS {
        let mut each = Vec::new();
        for _ in 0..HUNDRED {
            let limited = || {
                let limit = maker.volume()?;
                ensure!(limit == LimitRecord::Subvolume, "nothing holds it to its size: {limit:?}");
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
