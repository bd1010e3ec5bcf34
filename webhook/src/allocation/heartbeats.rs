//! Deletes the heartbeats of nodes that were removed from the cluster.
//!
//! No program watches heartbeats, so they are listed from time to time. Each is deleted only in the
//! version that was listed: a speaker that still runs has renewed it, or creates it again.

use crate::snapshot::watcher::SnapshotStore;
use fastrak_admission::snapshot::Snapshot;
use fastrak_api::assignment::{HEARTBEAT_PREFIX, heartbeat_name};
use fastrak_api::names;
use fastrak_runtime::superseded::is_superseded;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{DeleteParams, ListParams, ObjectMeta, Preconditions};
use kube::{Api, Client};
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

/// The time between two lists.
const INTERVAL: Duration = Duration::from_mins(10);
/// The number of heartbeats that one request lists.
const PAGE: u32 = 500;

/// Deletes heartbeats until the future is dropped.
pub(super) async fn clean_up(client: Client, store: &SnapshotStore) -> Infallible {
    let leases = Api::namespaced(client, names::ADDRESS_NAMESPACE);
    let mut changes = store.subscribe();
    loop {
        let nodes = |snapshot: Arc<Snapshot>| snapshot.nodes.keys().map(heartbeat_name).collect();
        let Some(nodes) = store.latest().map(nodes) else {
            drop(changes.changed().await);
            continue;
        };
        if let Err(error) = delete_all_but(&nodes, &leases).await {
            tracing::warn!(%error, "could not delete the heartbeats of removed nodes");
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

async fn delete_all_but(current: &BTreeSet<String>, leases: &Api<Lease>) -> kube::Result<()> {
    let others = format!("!{},!{}", names::ADDRESS, names::FRONTEND);
    let mut params = ListParams::default().labels(&others).limit(PAGE);
    loop {
        let page = leases.list_metadata(&params).await?;
        for lease in page.items {
            delete_unless_current(lease.metadata, current, leases).await?;
        }
        params.continue_token = page.metadata.continue_.filter(|token| !token.is_empty());
        if params.continue_token.is_none() {
            return Ok(());
        }
    }
}

async fn delete_unless_current(
    ObjectMeta { name, uid, resource_version, .. }: ObjectMeta,
    current: &BTreeSet<String>,
    leases: &Api<Lease>,
) -> kube::Result<()> {
    let name = name.unwrap_or_default();
    if !name.starts_with(HEARTBEAT_PREFIX) || current.contains(&name) {
        return Ok(());
    }
    let params = DeleteParams::default().preconditions(Preconditions { uid, resource_version });
    match leases.delete(&name, &params).await {
        Ok(_) => tracing::info!(lease = name, "deleted the heartbeat of a removed node"),
        Err(error) if is_superseded(&error) => {}
        Err(error) => return Err(error),
    }
    Ok(())
}
