//! Measures the usage of volumes for the metrics. No object shows it: a hundred thousand volumes
//! would be more than a hundred writes a second, which every watcher sees.
//!
//! The kernel reports the usage of a volume with a quota. The files of others are counted one by
//! one, in short steps with long pauses, so that pods on the same disk are not slowed down. Their
//! figures are as old as one round takes.

use crate::context::Context;
use crate::metrics::capacity::VolumeFigures;
use crate::upkeep::unless;
use fastrak_api::pool::PoolName;
use fastrak_api::volume::VolumeId;
use fastrak_runtime::chain::Chain;
use fastrak_runtime::shutdown::Shutdown;
use fastrak_store::host::measure::{Count, Size};
use fastrak_store::volumes::ledger::{Grant, VolumeUsage};
use fastrak_store::volumes::usage::{PoolUsage, UsageSource};
use fastrak_store::volumes::{Store, VolumeError};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The working time of a step.
const STEP_DURATION: Duration = Duration::from_millis(5);
/// The pause after a step, as a multiple of its duration.
const PAUSE_FACTOR: u32 = 9;
/// The longest pause.
const MAX_PAUSE: Duration = Duration::from_secs(10);

/// The result of a step.
struct Step {
    /// How many volumes were measured.
    done: usize,
    /// The unfinished count of the last of them.
    unfinished: Option<(VolumeId, Count)>,
    took: Duration,
}

/// Measures all volumes at intervals until shutdown is requested.
pub(crate) async fn run(
    context: Arc<Context>,
    interval: Duration,
    shutdown: Shutdown,
) -> Result<(), Infallible> {
    let rounds = async {
        loop {
            round(&context).await;
            tokio::time::sleep(interval).await;
        }
    };
    unless(&shutdown, rounds).await;
    Ok(())
}

async fn round(context: &Context) {
    for usage in pool_usages(context).await {
        let ids = usage.grants.into_iter().map(|(id, _)| id).collect();
        measure(context, &usage.pool, ids).await;
    }
    set_metrics(context, &pool_usages(context).await);
    // The new figures may leave space for waiting claims.
    context.wake_waiting();
}

async fn pool_usages(context: &Context) -> Vec<PoolUsage> {
    let usages = context.on_disk(|store| Ok(store.pool_usages())).await.inspect_err(|error| {
        tracing::warn!(error = %Chain(error), "could not read the usage of the pools");
    });
    usages.unwrap_or_default()
}

/// Measures these volumes, with a pause after each step.
async fn measure(context: &Context, pool: &PoolName, ids: Vec<VolumeId>) {
    let (ids, mut done) = (Arc::<[VolumeId]>::from(ids), 0);
    while done < ids.len() {
        let (name, all) = (pool.clone(), Arc::clone(&ids));
        let step = match context.on_disk(move |store| work(store, &name, &all[done..])).await {
            Ok(step) => step,
            Err(error) => {
                tracing::debug!(%pool, error = %Chain(&error), "could not measure the volumes");
                return;
            }
        };
        done += step.done;
        pause(step.took).await;
        if let Some((id, unfinished)) = step.unfinished {
            count(context, (pool, &id), unfinished).await;
        }
    }
}

/// Measures for the time of one step. Most volumes have few files, so one step counts many volumes.
fn work(store: &Store, pool: &PoolName, ids: &[VolumeId]) -> Result<Step, VolumeError> {
    let start = Instant::now();
    let (mut done, mut unfinished) = (0, None);
    store.measure_each(pool, ids, |id, source| {
        done += 1;
        match source {
            Ok(UsageSource::Count(mut count)) => {
                match count.step(STEP_DURATION.saturating_sub(start.elapsed()).into()) {
                    Some(size) => store.record_usage(pool, id, usage_of(size)),
                    None => unfinished = Some((id.clone(), count)),
                }
            }
            Ok(UsageSource::Kernel | UsageSource::Gone) => {}
            Err(error) => {
                let volume = id.volume_name();
                tracing::debug!(volume, error = %Chain(&error), "could not measure a volume");
            }
        }
        unfinished.is_none() && start.elapsed() < STEP_DURATION
    })?;
    Ok(Step { done, unfinished, took: start.elapsed() })
}

async fn pause(worked: Duration) {
    tokio::time::sleep((worked * PAUSE_FACTOR).min(MAX_PAUSE)).await;
}

const fn usage_of(size: Size) -> VolumeUsage {
    VolumeUsage { bytes: size.bytes, inodes: Some(size.inodes) }
}

async fn count(context: &Context, (pool, id): (&PoolName, &VolumeId), mut count: Count) {
    loop {
        let step = move |_: &Store| {
            let start = Instant::now();
            let size = count.step(STEP_DURATION.into());
            Ok((count, size, start.elapsed()))
        };
        let Ok((unfinished, size, worked)) = context.on_disk(step).await else { return };
        if let Some(size) = size {
            return context.store.record_usage(pool, id, usage_of(size));
        }
        count = unfinished;
        pause(worked).await;
    }
}

fn set_metrics(context: &Context, usages: &[PoolUsage]) {
    let mut volumes = Vec::new();
    for PoolUsage { pool, available, grants } in usages {
        context.metrics.capacity.set_pool(pool, available);
        volumes.extend(
            grants.iter().filter_map(|(id, grant)| volume_figures(context, pool, id, grant)),
        );
    }
    context.metrics.capacity.set_volumes(volumes);
}

fn volume_figures(
    context: &Context,
    pool: &PoolName,
    id: &VolumeId,
    grant: &Grant,
) -> Option<VolumeFigures> {
    let claim = context.snapshot.view(id).volume?.claim?;
    Some(VolumeFigures {
        pool: pool.clone(),
        claim: (claim.namespace, claim.name),
        granted: grant.bytes,
        used: grant.usage.map(|usage| usage.bytes),
        inodes: grant.usage.and_then(|usage| usage.inodes),
    })
}
