//! Compares the pools with the cluster: directories without an owner, volumes without a directory.
//!
//! The first are handed to the workers, who ask the API server before they believe it. The second
//! are told of and left: nothing brings data back, and an empty directory in its place would hide
//! the loss. What unfinished work has left half made is removed on the way.

use crate::context::Context;
use crate::facts::volume::{Phase, Volume};
use crate::metrics::OfPool;
use crate::volumes::survey::Content;
use fastrak_api::reason::EventReason;
use fastrak_api::volume::VolumeId;
use fastrak_runtime::chain::Chain;
use fastrak_runtime::shutdown::Shutdown;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

/// Compares at intervals, and when woken, until shutdown is requested.
pub async fn run(
    context: Arc<Context>,
    interval: Duration,
    shutdown: Shutdown,
) -> Result<(), Infallible> {
    loop {
        scan(&context).await;
        tokio::select! {
            biased;
            () = shutdown.requested() => return Ok(()),
            () = context.scan.notified() => {}
            () = tokio::time::sleep(interval) => {}
        }
    }
}

/// Compares once.
pub async fn scan(context: &Context) {
    // Before the pools are read: the directory of a volume that is known by now is there.
    let known = context.facts.volumes();
    let contents = match context.on_disk(|store| Ok(store.survey())).await {
        Ok(contents) => contents,
        Err(error) => return tracing::warn!(error = %Chain(&error), "could not read the pools"),
    };
    for content in &contents {
        let strays: Vec<_> =
            content.volumes.iter().filter(|id| !context.facts.knows(id)).cloned().collect();
        let orphans = strays.len() + content.foreign;
        context.metrics.set(OfPool::Volumes, &content.pool, content.volumes.len());
        context.metrics.set(OfPool::Orphans, &content.pool, orphans);
        context.metrics.set(OfPool::Unlimited, &content.pool, content.unlimited);
        if content.corrected > 0 {
            let (pool, volumes) = (&content.pool, content.corrected);
            tracing::warn!(%pool, volumes, "limits were lost, and are set again");
        }
        strays.into_iter().for_each(|id| context.queue.add(id));
    }
    tell_missing(context, &known, &contents);
}

fn tell_missing(context: &Context, known: &[VolumeId], contents: &[Content]) {
    for content in contents {
        let is_missing = |volume: &Volume| {
            volume.pool_label.as_deref() == Some(content.pool.as_str())
                && volume.is_ours()
                && volume.phase == Phase::Bound
                && !volume.deleting
        };
        let absent = known.iter().filter(|id| !contents.iter().any(|c| c.volumes.contains(id)));
        // Asked again: it may have been taken away while the pools were read.
        let missing: Vec<_> =
            absent.filter_map(|id| context.facts.about(id).volume).filter(is_missing).collect();
        context.metrics.set(OfPool::Missing, &content.pool, missing.len());
        for volume in missing {
            let text = "its directory is not in its pool; restore it from a backup, or delete the \
                claim and make it anew";
            tracing::warn!(volume = volume.name, pool = %content.pool, "volume without a directory");
            context.events.on_volume(&volume, EventReason::VolumeDataMissing, text);
        }
    }
}
