//! Compares the pools with the cluster: directories without an owner, volumes without a directory.
//!
//! Orphans that may be removed go to the workers; the others are reported. A volume without a
//! directory is reported and left alone: an empty directory in its place would hide the loss.
//! Claims that the watch lacks are read, and the remains of unfinished work are removed.

use crate::cluster::ClusterError;
use crate::context::Context;
use crate::orphans::Scanned;
use crate::snapshot::volume::{Phase, Volume};
use crate::upkeep::unwatched;
use fastrak_api::names;
use fastrak_api::pool::PoolName;
use fastrak_api::reason::EventReason;
use fastrak_api::volume::VolumeId;
use fastrak_runtime::chain::Chain;
use fastrak_runtime::shutdown::Shutdown;
use fastrak_store::volumes::layout;
use fastrak_store::volumes::survey::Content;
use std::collections::{BTreeMap, HashSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

/// How many orphans an event names.
const NAMED: usize = 5;

/// Scans at intervals, and when woken, until shutdown is requested.
pub(crate) async fn run(
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

/// Scans once.
pub async fn scan(context: &Context) {
    // Read before the pools: every known volume then has its directory.
    let known = context.snapshot.volumes();
    let contents = match context.on_disk(|store| Ok(store.survey())).await {
        Ok(contents) => contents,
        Err(error) => return tracing::warn!(error = %Chain(&error), "could not read the pools"),
    };
    for content in &contents {
        context.metrics.pools.volumes.set(&content.pool, content.volumes.len());
        context.metrics.pools.unlimited.set(&content.pool, content.unlimited);
        if content.corrected > 0 {
            let (pool, volumes) = (&content.pool, content.corrected);
            tracing::warn!(%pool, volumes, "restored lost quota limits");
        }
    }
    report_missing(context, &known, &contents);
    unwatched::read_claims(context).await;
    if let Err(error) = find_orphans(context, &contents).await {
        tracing::warn!(error = %Chain(&error), "could not find orphans");
    }
}

/// Finds the directories that no PersistentVolume owns. Finds none while the API server does not
/// answer.
async fn find_orphans(context: &Context, contents: &[Content]) -> Result<(), ClusterError> {
    let unknown = |content: &Content| {
        let ids = content.volumes.iter().filter(|id| !context.snapshot.knows(id));
        ids.cloned().collect::<HashSet<_>>()
    };
    let unknown: Vec<_> = contents.iter().map(|content| (content, unknown(content))).collect();
    let owned = if unknown.iter().all(|(_, ids)| ids.is_empty()) {
        HashSet::new()
    } else {
        if !is_same_cluster(context).await? {
            return Ok(());
        }
        owned(context, unknown.iter().flat_map(|(_, ids)| ids)).await?
    };
    for (content, mut orphans) in unknown {
        orphans.retain(|id| !owned.contains(id));
        examine(context, content, orphans).await;
    }
    Ok(())
}

/// Returns whether the API server is that of the cluster to which the pools belong: another one
/// knows none of their volumes. If it is not, the next check refuses the pools.
async fn is_same_cluster(context: &Context) -> Result<bool, ClusterError> {
    let Some(cluster) = context.cluster.id().await? else { return Ok(false) };
    let is_same = cluster == context.cluster_id();
    if !is_same {
        tracing::error!(cluster, "detected that the API server belongs to another cluster");
        context.set_cluster_id(cluster);
    }
    Ok(is_same)
}

/// Returns the volumes that have a PersistentVolume, with or without our label, by its name or its
/// path.
async fn owned(
    context: &Context,
    ids: impl Iterator<Item = &VolumeId>,
) -> Result<HashSet<VolumeId>, ClusterError> {
    let (ids, mut owned) = (ids.collect::<HashSet<_>>(), HashSet::new());
    let mut add = |volume: &Volume| {
        let by_path = volume.path.as_deref().and_then(layout::volume_at);
        let all = [volume.id(), by_path].into_iter().flatten();
        owned.extend(all.filter(|id| ids.contains(id)));
    };
    context.cluster.each_volume(&mut add).await?;
    Ok(owned)
}

async fn examine(context: &Context, content: &Content, orphans: HashSet<VolumeId>) {
    let (pool, ids) = (content.pool.clone(), orphans.into_iter().collect::<Vec<_>>());
    let name = pool.clone();
    let found = match context.on_disk(move |store| store.contents(&name, &ids)).await {
        Ok(found) => found.into_iter().collect::<BTreeMap<_, _>>(),
        Err(error) => {
            return tracing::warn!(%pool, error = %Chain(&error), "could not examine orphans");
        }
    };
    let confirmed = context.snapshot.confirmations().orphans.as_deref() == Some(pool.as_str());
    let (number, retention) = (found.len(), context.orphan_args.orphan_retention);
    let scanned =
        context.orphans.scanned(&pool, found, content.volumes.len(), (confirmed, retention));
    context.metrics.pools.orphans.set(&pool, number);
    report(context, content, &scanned);
    scanned.removable.into_iter().for_each(|id| context.queue.add(id));
    if confirmed {
        let node = &context.node;
        let consumed = context.cluster.consume(node, names::CONFIRM_ORPHANS, pool.as_str()).await;
        if let Err(error) = consumed {
            tracing::warn!(%pool, error = %Chain(&error), "could not remove the confirmation from the node");
        }
    }
}

fn report(context: &Context, content: &Content, scanned: &Scanned) {
    let (pool, node) = (&content.pool, &context.node);
    if let Some(kept) = &scanned.kept {
        let text = found_text(pool, node.as_str(), kept);
        context.warn(node, EventReason::OrphansFound, &text);
    }
    if let Some(number) = scanned.stopped {
        let all = content.volumes.len();
        let text = format!(
            "{number} of {all} volumes in pool {pool} on node {node} have neither a PersistentVolume nor \
             a claim, as after a loss of API objects; none of them is removed. To remove them, run: \
             kubectl annotate node {node} {}={pool}",
            names::CONFIRM_ORPHANS
        );
        context.warn(node, EventReason::OrphanRemovalStopped, &text);
    }
}

fn found_text(pool: &PoolName, node: &str, kept: &[VolumeId]) -> String {
    let named: Vec<_> = kept.iter().take(NAMED).map(VolumeId::volume_name).collect();
    let more = kept.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!(
        "pool {pool} on node {node} contains data that no PersistentVolume and no claim owns: \
         {named}{more}; the data is kept. To use a volume again, create a claim with the annotation \
         {adopt}: <name>; to remove it, delete its directory on the node",
        named = named.join(", "),
        adopt = names::ADOPT
    )
}

fn report_missing(context: &Context, known: &[VolumeId], contents: &[Content]) {
    for content in contents {
        let is_missing = |volume: &Volume| {
            volume.pool_label.as_deref() == Some(content.pool.as_str())
                && volume.is_ours()
                && volume.phase == Phase::Bound
                && !volume.deleting
        };
        let absent = known.iter().filter(|id| !contents.iter().any(|c| c.volumes.contains(id)));
        // Read again: the volume may have been deleted while the pools were read.
        let missing: Vec<_> =
            absent.filter_map(|id| context.snapshot.view(id).volume).filter(is_missing).collect();
        context.metrics.pools.missing.set(&content.pool, missing.len());
        for volume in missing {
            let text = format!(
                "the directory of volume {} is not in pool {} on node {}; restore it from a backup, or \
                 delete the claim and create it again",
                volume.name, content.pool, context.node
            );
            context.warn(&volume, EventReason::VolumeDataMissing, &text);
        }
    }
}
