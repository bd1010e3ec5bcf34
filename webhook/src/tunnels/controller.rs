//! Watches Tunnels and Services, and deletes the Tunnels that are left behind. The caller runs it only
//! while this replica leads.

use super::metrics::{TunnelMetrics, TunnelOutcome};
use super::plan::{View, is_left_behind, plan};
use super::service::{TunnelService, read_keeper};
use super::tunnel::{Key, OwnedTunnel};
use crate::event::{self, Action, Events};
use crate::live;
use crate::snapshot::watcher::SnapshotStore;
use fastrak_api::duration::parse_or_seconds;
use fastrak_api::reason::EventReason;
use fastrak_api::tunnel::Tunnel;
use fastrak_runtime::chain::Chain;
use fastrak_runtime::clock;
use fastrak_runtime::reflector::Reflector;
use fastrak_runtime::retry::KeyedBackoff;
use fastrak_runtime::superseded::is_superseded;
use fastrak_runtime::timer::reached;
use fastrak_runtime::watch::Watch;
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Service;
use kube::api::{DeleteParams, Preconditions};
use kube::{Api, Client};
use std::collections::BTreeMap;
use std::pin::pin;
use std::time::Duration;
use tokio::sync::watch::Receiver;
use tokio::time::Instant;

/// The delays between two attempts to delete a Tunnel.
const FIRST_DELAY: Duration = Duration::from_secs(1);
const MAX_DELAY: Duration = Duration::from_secs(5 * 60);
const FORGET_AFTER: Duration = Duration::from_secs(60 * 60);

/// The flags of Tunnels.
#[derive(Clone, Debug, clap::Args)]
pub struct TunnelArgs {
    /// Delete the Tunnel of a Service that fastrak delegated to inlets-operator and that is no longer
    /// of type LoadBalancer, after this time, in seconds. Requires the component deploy/inlets.
    #[arg(long, env = "FASTRAK_TUNNEL_CLEANUP_AFTER", value_name = "SECONDS", value_parser = parse_or_seconds)]
    pub tunnel_cleanup_after: Option<Duration>,
}

/// Deletes Tunnels that are left behind.
pub(crate) struct TunnelController {
    /// The API client.
    pub client: Client,
    /// The snapshot of the cluster.
    pub store: SnapshotStore,
    /// The event queue.
    pub events: Events,
    /// The metrics.
    pub metrics: TunnelMetrics,
    /// How long a Tunnel that is left behind stays. A change of the type may be a mistake.
    pub grace: Duration,
}

/// Why a Tunnel could not be deleted.
#[derive(Debug, thiserror::Error)]
enum TunnelError {
    #[error("could not read the Service of the Tunnel")]
    Service(#[source] kube::Error),
    #[error("could not parse the Service of the Tunnel")]
    Parse(#[source] serde_json::Error),
    #[error("could not delete the Tunnel")]
    Delete(#[source] kube::Error),
}

/// The state while the operator is installed.
struct Run<'a> {
    parts: &'a TunnelController,
    tunnels: Reflector<Key, OwnedTunnel>,
    tunnel_services: Reflector<Key, ()>,
    /// When each Tunnel that is left behind was first seen.
    seen: BTreeMap<Key, Instant>,
    backoff: KeyedBackoff<Key, Instant>,
}

impl TunnelController {
    /// Deletes Tunnels until the future is dropped. Waits while the operator is not installed.
    pub(crate) async fn run(&self) {
        let mut changes = self.store.subscribe();
        loop {
            if self.is_installed() {
                Run::new(self).run(&mut changes).await;
            } else {
                drop(changes.changed().await);
            }
        }
    }

    fn is_installed(&self) -> bool {
        self.store.latest().and_then(|snapshot| snapshot.inlets_operator) == Some(true)
    }

    /// Deletes a Tunnel if its Service still does not keep it: the watch of Services may be behind.
    async fn delete(
        &self,
        (namespace, name): &Key,
        tunnel: &OwnedTunnel,
    ) -> Result<TunnelOutcome, TunnelError> {
        let service = self.service(&tunnel.service_key(namespace)).await?;
        let service = service.filter(|live| is_left_behind(tunnel, &live.uid, &live.view));
        let Some(service) = service else { return Ok(TunnelOutcome::Superseded) };
        let tunnels: Api<Tunnel> = Api::namespaced(self.client.clone(), namespace);
        let preconditions = Preconditions {
            uid: Some(tunnel.uid.clone()),
            resource_version: Some(tunnel.version.clone()),
        };
        let params = DeleteParams::default().preconditions(preconditions);
        match tunnels.delete(name, &params).await {
            Ok(_) => {
                let regarding = event::service(namespace, &tunnel.service, &service.uid);
                let note = note(name, tunnel.machine.as_deref());
                self.events.record(regarding, EventReason::TunnelDeleted, Action::Deleting, note);
                Ok(TunnelOutcome::Deleted)
            }
            Err(error) if is_superseded(&error) => Ok(TunnelOutcome::Superseded),
            Err(error) => Err(TunnelError::Delete(error)),
        }
    }

    async fn service(&self, (namespace, name): &Key) -> Result<Option<TunnelService>, TunnelError> {
        let text = live::text::<Service>(&self.client, namespace, name).await;
        let text = text.map_err(TunnelError::Service)?;
        let service = text.map(|text| TunnelService::read(&text));
        service.transpose().map_err(TunnelError::Parse)
    }
}

impl<'a> Run<'a> {
    fn new(parts: &'a TunnelController) -> Self {
        Self {
            parts,
            tunnels: Reflector::default(),
            tunnel_services: Reflector::default(),
            seen: BTreeMap::new(),
            backoff: KeyedBackoff::new(FIRST_DELAY, MAX_DELAY, FORGET_AFTER),
        }
    }

    /// Deletes Tunnels until the operator is not installed any more.
    async fn run(mut self, changes: &mut Receiver<()>) {
        let client = || self.parts.client.clone();
        let mut tunnels = pin!(Watch::all::<Tunnel>(client(), OwnedTunnel::read).events());
        let mut services = pin!(Watch::all::<Service>(client(), read_keeper).events());
        loop {
            let next = self.next();
            let due = next.as_ref().map(|(due, _)| *due);
            tokio::select! {
                Some(event) = tunnels.next() => drop(self.tunnels.apply(event)),
                Some(event) = services.next() => drop(self.tunnel_services.apply(event)),
                Ok(()) = changes.changed() => if !self.parts.is_installed() {
                    return;
                },
                () = reached(due) => if let Some((_, key)) = next {
                    self.delete(key).await;
                },
            }
        }
    }

    /// Returns the Tunnel that is deleted next, with the time.
    fn next(&mut self) -> Option<(Instant, Key)> {
        let snapshot = self.parts.store.latest()?;
        let (tunnels, tunnel_services) = (self.tunnels.all()?, self.tunnel_services.all()?);
        let view =
            View { tunnels: &tunnels, tunnel_services: &tunnel_services, snapshot: &snapshot };
        let (now, instant) = (clock::now(), Instant::now());
        let planned: BTreeMap<_, _> = plan(view).collect();
        self.seen.retain(|key, _| planned.contains_key(key));
        let due = |(key, from): (&Key, _)| {
            let seen = *self.seen.entry(key.clone()).or_insert(instant);
            // A time in the past is a negative duration.
            let wait = Duration::try_from(now.duration_until(from)).unwrap_or_default();
            let due = (instant + wait).max(seen + self.parts.grace);
            (self.backoff.due(key).map_or(due, |retry| retry.max(due)), key.clone())
        };
        planned.into_iter().map(due).min()
    }

    async fn delete(&mut self, key: Key) {
        let tunnel = self.tunnels.all().and_then(|all| all.get(&key).cloned());
        let Some(tunnel) = tunnel else { return };
        let (namespace, name) = &key;
        let outcome = self.parts.delete(&key, &tunnel).await.unwrap_or_else(|error| {
            tracing::warn!(error = %Chain(&error), namespace, name, "could not delete a Tunnel");
            TunnelOutcome::Failed
        });
        self.parts.metrics.count(outcome);
        tracing::info!(namespace, name, ?outcome, "tried to delete a Tunnel");
        // Also after a success: the watch may be behind.
        self.backoff.record(key, Instant::now());
    }
}

fn note(tunnel: &str, machine: Option<&str>) -> String {
    let machine = match machine {
        Some(id) => format!("inlets-operator deletes machine {id}"),
        None => format!(
            "inlets-operator has recorded no machine, so check its cloud for one named {tunnel}"
        ),
    };
    format!("deleted Tunnel {tunnel}: the type is no longer LoadBalancer; {machine}")
}
