//! Measures how long an address of a pool does not answer a client outside of the cluster if its
//! holder fails, and whether two nodes ever answer for it. The nodes are real, and so is kube-proxy,
//! in both of its modes.

mod capture;
mod client;
mod round;
mod scene;

use super::AREA;
use crate::bench::{Figure, median};
use crate::install::Binaries;
use anyhow::Result;
use fastrak_testkit::nodes::ProxyMode;
use round::{Failure, Rounds};
use scene::Scene;

/// The number of failovers of each kind.
struct Count {
    failures: usize,
    drains: usize,
}

/// Measures both modes.
pub(super) async fn measure(binaries: &Binaries, full: bool) -> Result<Vec<Figure>> {
    let (iptables, nftables) = match full {
        true => (Count { failures: 50, drains: 10 }, Count { failures: 50, drains: 10 }),
        false => (Count { failures: 15, drains: 3 }, Count { failures: 5, drains: 2 }),
    };
    let mut figures = in_mode(binaries, ProxyMode::Iptables, iptables).await?;
    figures.extend(in_mode(binaries, ProxyMode::Nftables, nftables).await?);
    Ok(figures)
}

async fn in_mode(binaries: &Binaries, mode: ProxyMode, count: Count) -> Result<Vec<Figure>> {
    let scene = Scene::start(binaries, mode).await?;
    let measured = all_kinds(&scene, mode, &count).await;
    scene.explained(measured).await
}

async fn all_kinds(scene: &Scene, mode: ProxyMode, count: &Count) -> Result<Vec<Figure>> {
    let (mut rounds, mode) = (Rounds::new(scene)?, mode.name());
    let mut figures = Vec::new();
    for (failure, name) in
        [(Failure::NodeLost, "node lost"), (Failure::SpeakerStopped, "speaker stopped")]
    {
        let mut times = Vec::new();
        for number in 0..count.failures {
            times.push(rounds.fail(failure, number).await?.as_secs_f64());
        }
        figures.extend(outages(&format!("{name} ({mode})"), &times));
    }
    let (mut tried, mut lost) = (0, 0);
    for _ in 0..count.drains {
        let connections = rounds.drain().await?;
        tried += connections.tried;
        lost += connections.lost;
    }
    let drain = format!("drain ({mode})");
    let plain = |name: &str, value| Figure::plain(AREA, &format!("{drain}: {name}"), value, "");
    figures.push(plain("handovers", count.drains as f64));
    figures.push(plain("new connections", tried as f64));
    let name = format!("{drain}: connections lost");
    figures.push(Figure::at_most(AREA, &name, lost as f64, "", 0.0));
    let name = format!("two answers for one address ({mode})");
    figures.push(Figure::at_most(AREA, &name, rounds.two_answers() as f64, "", 0.0));
    Ok(figures)
}

/// Returns the figures of times without an answer, in seconds.
fn outages(name: &str, times: &[f64]) -> [Figure; 3] {
    let worst = times.iter().copied().fold(f64::NAN, f64::max);
    let at_most = |what: &str, value, limit| {
        Figure::at_most(AREA, &format!("{name}: no answer, {what}"), value, "s", limit)
    };
    [
        Figure::plain(AREA, &format!("{name}: failovers"), times.len() as f64, ""),
        at_most("median", median(times), 2.0),
        at_most("worst", worst, 3.0),
    ]
}
