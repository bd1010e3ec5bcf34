//! Measures the throughput and the latency of reviews, of fastrak and of the compared servers.

use super::AREA;
use super::cluster::BenchCluster;
use super::load::Measured;
use super::peers::{Peer, Peers, Processors};
use crate::bench::resources::resident_mib;
use crate::bench::{Figure, median};
use crate::install::Binaries;
use anyhow::Result;
use std::time::Duration;

/// Odd, so that the median is one of the rounds.
const ROUNDS: usize = 5;
const WARM_UP: Duration = Duration::from_millis(500);
const TIME: Duration = Duration::from_secs(2);

/// The rounds of several servers, which alternate.
type Rounds<const N: usize> = [Vec<Measured>; N];

/// Measures fastrak and its peers.
pub(crate) async fn measure(
    cluster: &BenchCluster,
    binaries: &Binaries,
    processors: Processors,
) -> Result<Vec<Figure>> {
    let mut replica = cluster.replica(&binaries.webhook, "pinned", &[]).await?;
    replica = replica.pinned(processors.server);
    replica.start().await?;
    let peers = Peers::start(cluster, &replica, binaries, processors.server).await?;
    let Peers { fastrak, bare, framework } = &peers;
    let loader = processors.loader;

    let full = rounds([fastrak, bare, framework], None, loader).await?;
    let memory = [fastrak, bare, framework].map(|peer| resident_mib(peer.pid()));
    let [ours, bare_memory, framework_memory] = memory;
    let mut figures = throughput(&full);
    figures.extend(weight(ours?, bare_memory?, framework_memory?));

    let rate = of(&full[0], |one| one.per_second) / 2.0;
    let half = rounds([fastrak, bare], Some(rate), loader).await?;
    figures.extend(at_half_load(&half, rate));
    replica.stop()?;
    Ok(figures)
}

async fn rounds<const N: usize>(
    peers: [&Peer; N],
    rate: Option<f64>,
    loader: usize,
) -> Result<Rounds<N>> {
    let mut all = [const { Vec::new() }; N];
    for _ in 0..ROUNDS {
        for (peer, taken) in peers.iter().zip(&mut all) {
            taken.push(peer.load(rate, WARM_UP, TIME).run(loader).await?);
        }
    }
    Ok(all)
}

fn throughput([fastrak, bare, framework]: &Rounds<3>) -> Vec<Figure> {
    let per_second = |one: &Measured| one.per_second;
    let mut figures = Vec::new();
    for (name, rounds) in
        [("fastrak", fastrak), ("bare handler", bare), ("controller-runtime", framework)]
    {
        let mut plain = |what: &str, part: fn(&Measured) -> f64, unit| {
            figures.push(Figure::plain(AREA, &format!("{what}: {name}"), of(rounds, part), unit));
        };
        plain("reviews a second", |one| one.per_second, "/s");
        plain("32 connections, p50", |one| one.p50, "ms");
        plain("32 connections, p99", |one| one.p99, "ms");
        plain("processor time of one", |one| one.server_time, "us");
        // The figure is the server's only if its processor was full and the load's was not.
        plain("its processor", |one| one.server_busy, "%");
        plain("the load's processor", |one| one.loader_busy, "%");
    }
    let least = |name, value, limit| Figure::at_least(AREA, name, value, "x", limit);
    let to = |others| ratio(fastrak, others, per_second);
    figures.push(least("reviews a second: to the bare handler", to(bare), 0.75));
    figures.push(least("reviews a second: to controller-runtime", to(framework), 10.0));
    figures
}

fn weight(ours: f64, bare: f64, framework: f64) -> Vec<Figure> {
    let plain =
        |name: &str, mib| Figure::plain(AREA, &format!("resident after that: {name}"), mib, "MiB");
    let name = "resident after that: to controller-runtime";
    vec![
        plain("fastrak", ours),
        plain("bare handler", bare),
        plain("controller-runtime", framework),
        Figure::at_most(AREA, name, ours / framework, "x", 0.333),
    ]
}

fn at_half_load([fastrak, bare]: &Rounds<2>, rate: f64) -> Vec<Figure> {
    let plain = |name: &str, value, unit| {
        Figure::plain(AREA, &format!("half of its peak, {name}"), value, unit)
    };
    let p99 = |one: &Measured| one.p99;
    let name = "half of its peak, p99: to the bare handler";
    vec![
        plain("reviews a second", rate, "/s"),
        plain("answered: fastrak", of(fastrak, |one| one.per_second), "/s"),
        plain("p50: fastrak", of(fastrak, |one| one.p50), "ms"),
        plain("p50: bare handler", of(bare, |one| one.p50), "ms"),
        plain("p99: fastrak", of(fastrak, p99), "ms"),
        plain("p99: bare handler", of(bare, p99), "ms"),
        Figure::at_most(AREA, name, ratio(fastrak, bare, p99), "x", 2.0),
    ]
}

fn of(rounds: &[Measured], part: impl Fn(&Measured) -> f64) -> f64 {
    median(&rounds.iter().map(part).collect::<Vec<_>>())
}

/// Returns the median of the ratios of consecutive rounds.
fn ratio(ours: &[Measured], theirs: &[Measured], part: impl Fn(&Measured) -> f64) -> f64 {
    let ratios = ours.iter().zip(theirs).map(|(ours, theirs)| part(ours) / part(theirs));
    median(&ratios.collect::<Vec<_>>())
}
