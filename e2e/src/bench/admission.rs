//! Admission: throughput, latency and memory of reviews, beside a handler that does nothing and
//! beside controller-runtime, and the failures while replicas restart and certificates change.

mod balancer;
mod cluster;
mod connection;
mod footprint;
mod load;
mod micro;
mod peers;
mod published_bundle;
mod review;
pub mod rolling_restarts;
mod speed;

use super::Figure;
use crate::install::Binaries;
use anyhow::Result;
use cluster::BenchCluster;
use peers::Processors;
use rolling_restarts::Plan;

const AREA: &str = "admission";

/// Measures everything on a new control plane.
pub async fn measure(binaries: &Binaries) -> Result<Vec<Figure>> {
    let processors = Processors::choose()?;
    let mut figures = Vec::new();
    {
        // No load balancer: the bench calls the webhook directly.
        let cluster = BenchCluster::start(crate::install::free_port()?).await?;
        figures.extend(footprint::measure(&cluster, binaries).await?);
        figures.extend(speed::measure(&cluster, binaries, processors).await?);
        figures.extend(micro::measure(&cluster, processors.server).await?);
    }
    figures.extend(rolling_restarts(binaries).await?);
    Ok(figures)
}

async fn rolling_restarts(binaries: &Binaries) -> Result<Vec<Figure>> {
    let plan = Plan::full();
    let report = rolling_restarts::run(&binaries.webhook, &plan).await?;
    let (through, direct) = (&report.through_api, &report.direct);
    let count = |what: &str, count: usize| (format!("rolling restarts: {what}"), count as f64);
    let least = |what: &str, value: usize, limit: usize| {
        let (name, value) = count(what, value);
        Figure::at_least(AREA, &name, value, "", limit as f64)
    };
    let none = |what: &str, value: usize| {
        let (name, value) = count(what, value);
        Figure::at_most(AREA, &name, value, "", 0.0)
    };
    let plain = |what: &str, value: f64, unit| {
        Figure::plain(AREA, &format!("rolling restarts: {what}"), value, unit)
    };
    Ok(vec![
        least("calls", through.calls + direct.calls, plan.through_api + plan.direct),
        least("of these through the API server", through.calls, plan.through_api),
        least("restarts", report.restarts, plan.restarts),
        least("changes of the CA", report.rotations, plan.rotations),
        none("calls failed", through.failed() + direct.failed()),
        none("calls without a patch", through.unpatched + direct.unpatched),
        plain("API server's write, p50", through.percentile(0.5), "ms"),
        plain("API server's write, p99", through.percentile(0.99), "ms"),
        plain("direct call, p50", direct.percentile(0.5), "ms"),
        plain("direct call, p99", direct.percentile(0.99), "ms"),
        plain("time", report.took.as_secs_f64(), "s"),
    ])
}
