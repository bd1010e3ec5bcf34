//! Measures decoding, decision, patch and encoding without a network: fastrak's in this process and
//! controller-runtime's in its own, alternating on the same processor. The measure is processor
//! time.

use super::AREA;
use super::cluster::BenchCluster;
use super::peers::{baseline, micro};
use super::review::{NODE, Review};
use crate::bench::resources::own_cpu_time;
use crate::bench::{Figure, median};
use anyhow::{Context, Result, ensure};
use clap::Parser as _;
use fastrak_admission::mutate::service::Settings;
use fastrak_admission::review::{Effect, Subject, answer};
use fastrak_admission::snapshot::{ClassInfo, NodeInfo, Snapshot};
use fastrak_api::names;
use fastrak_api::node::NodeName;
use fastrak_testkit::objects::{node, storage_class};
use fastrak_webhook::config::Args;
use rustix::thread::{CpuSet, sched_setaffinity};
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

const ROUNDS: usize = 5;
/// The time of a round; half of it is the warm-up.
const TIME: Duration = Duration::from_secs(1);
/// The number of reviews between two readings of the clock.
const BATCH: u32 = 64;

/// Measures both.
pub(crate) async fn measure(cluster: &BenchCluster, processor: usize) -> Result<Vec<Figure>> {
    let program = baseline().await?;
    let review = cluster.directory("micro")?.join("review.json");
    std::fs::write(&review, Review::of_a_claim().body()).context("write a review")?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(fastrak(processor)?);
        let processor = processor.to_string();
        let invocation = micro(&program, &review, TIME).through(&["taskset", "-c", &processor]);
        let printed = invocation.run().await?.stdout;
        theirs.push(printed.trim().parse::<f64>().context("read what was measured")? / 1e3);
    }
    let ratios: Vec<_> = ours.iter().zip(&theirs).map(|(ours, theirs)| ours / theirs).collect();
    let plain = |name: &str, all: &[f64]| {
        Figure::plain(AREA, &format!("one review, no network: {name}"), median(all), "us")
    };
    let name = "one review, no network: to controller-runtime";
    Ok(vec![
        plain("fastrak", &ours),
        plain("controller-runtime", &theirs),
        Figure::at_most(AREA, name, median(&ratios), "x", 0.02),
    ])
}

/// Returns the microseconds of processor time of each review, measured on a new thread.
fn fastrak(processor: usize) -> Result<f64> {
    let measured = std::thread::scope(|scope| scope.spawn(|| on(processor)).join());
    measured.ok().context("the measurement ended")?
}

fn on(processor: usize) -> Result<f64> {
    let mut only = CpuSet::new();
    only.set(processor);
    sched_setaffinity(None, &only).context("set the processor")?;
    let (review, snapshot) = (Review::of_a_claim(), snapshot()?);
    looped(review.body(), &snapshot)?;
    looped(review.body(), &snapshot)
}

fn looped(review: &[u8], snapshot: &Snapshot) -> Result<f64> {
    let settings = settings()?;
    let (started, before, mut count) = (Instant::now(), own_cpu_time()?, 0);
    while started.elapsed() < TIME / 2 {
        for _ in 0..BATCH {
            let answered = answer(black_box(review), Subject::Claims, Some(snapshot), settings);
            ensure!(black_box(answered)?.effect == Effect::Patched, "the claim is not pinned");
        }
        count += BATCH;
    }
    Ok((own_cpu_time()? - before).as_secs_f64() * 1e6 / f64::from(count))
}

/// Returns a snapshot with one class and one node, as in the cluster.
fn snapshot() -> Result<Snapshot> {
    let class = storage_class(names::CLASS_DEFAULT, names::PROVISIONER).default_class().build();
    let class = (names::CLASS_DEFAULT.to_owned(), ClassInfo::read(&class));
    let name = NodeName::parse(NODE).context("the name of a node")?;
    let node = serde_json::from_value(serde_json::to_value(node(NODE).build())?)?;
    let node = (name, NodeInfo::read(&node));
    Ok(Snapshot {
        classes: Arc::new([class].into()),
        nodes: Arc::new([node].into()),
        namespace: names::NAMESPACE.to_owned(),
        ..Snapshot::default()
    })
}

/// Returns the default settings.
fn settings() -> Result<Settings> {
    let args = Args::try_parse_from([names::WEBHOOK]).context("read no flags")?;
    Ok(args.decide.settings())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_review_of_the_bench_is_answered_with_a_pin() {
        let settings = settings().unwrap();
        let review = Review::of_a_claim();
        let answered = answer(review.body(), Subject::Claims, Some(&snapshot().unwrap()), settings);
        assert_eq!(answered.unwrap().effect, Effect::Patched);
    }
}
