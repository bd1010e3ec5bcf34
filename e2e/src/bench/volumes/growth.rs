//! Measures how soon a claim that requests more shows its new size.

use super::AREA;
use super::cluster::{BenchCluster, NAMESPACE};
use crate::bench::bound::Bound;
use crate::bench::{Figure, median};
use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt as _;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use std::time::Instant;

const TIMES: usize = 30;
const NAME: &str = "growing";

/// Grows one claim repeatedly, and compares with new claims, which show their size when they are
/// Bound.
pub(super) async fn measure(cluster: &BenchCluster) -> Result<Vec<Figure>> {
    let mut watch = Bound::watch(&cluster.client, NAMESPACE).await?;
    cluster.claim(NAME).await?;
    watch.wait_for(NAME).await?;
    let (mut grown, mut made) = (Vec::new(), Vec::new());
    for time in 0..TIMES {
        let size = format!("{}Mi", time + 2);
        let patch = json!({"spec": {"resources": {"requests": {"storage": size}}}});
        let started = Instant::now();
        let asked = cluster.claims.patch(NAME, &PatchParams::default(), &Patch::Merge(patch)).await;
        asked.context("ask for more")?;
        let what = format!("{NAME} shows {size}");
        watch.wait_until(&what, |claim| claim.name_any() == NAME && shows(claim, &size)).await?;
        grown.push(started.elapsed().as_secs_f64() * 1e3);
        let other = format!("beside-{time}");
        let started = Instant::now();
        cluster.claim(&other).await?;
        watch.wait_for(&other).await?;
        made.push(started.elapsed().as_secs_f64() * 1e3);
        cluster.delete(&other).await?;
    }
    let name = |what: &str| format!("claim that grows: {what}, p50");
    Ok(vec![
        Figure::plain(AREA, &name("asked to shown"), median(&grown), "ms"),
        Figure::plain(AREA, &name("a new one to Bound beside it"), median(&made), "ms"),
        Figure::at_most(AREA, &name("grown to made"), median(&grown) / median(&made), "x", 1.0),
    ])
}

fn shows(claim: &PersistentVolumeClaim, size: &str) -> bool {
    let capacity = claim.status.as_ref().and_then(|status| status.capacity.as_ref());
    capacity.and_then(|capacity| capacity.get("storage")).is_some_and(|shown| shown.0 == size)
}
