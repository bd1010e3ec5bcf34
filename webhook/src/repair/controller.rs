//! Carries out repairs: watches the objects that may need one, and decides about each some time
//! after it has changed. Only a few bounded fields of an object are kept. If it needs a repair, the
//! complete object is read from the API server, decided about again, and changed in the version
//! that was read. The caller runs the controller only while this replica leads.

use super::kind::{Claims, Key, Kind, Services};
use super::metrics::{RepairMetrics, RepairOutcome};
use super::object::{Object, RepairError, node_exists};
use super::plan::Repair;
use super::queue::Queue;
use super::report::Report;
use crate::event::{Action, Events};
use crate::snapshot::watcher::SnapshotStore;
use fastrak_admission::mutate::service::Settings;
use fastrak_admission::snapshot::Snapshot;
use fastrak_admission::verdict::Reason;
use fastrak_api::duration::parse_or_seconds;
use fastrak_runtime::chain::Chain;
use fastrak_runtime::timer::reached;
use fastrak_runtime::watch::Watch;
use futures::StreamExt as _;
use kube::runtime::watcher::Event;
use kube::{Client, Resource as _};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch::Receiver;
use tokio::time::Instant;

/// The delay after a failed repair.
pub(super) const RETRY_DELAY: Duration = Duration::from_secs(30);

/// The flags of repairs.
#[derive(Clone, Debug, clap::Args)]
pub struct RepairArgs {
    /// Delay before an object is repaired after its last change, in seconds.
    #[arg(long, env = "FASTRAK_REPAIR_DELAY", default_value = "2", value_name = "SECONDS", value_parser = parse_or_seconds)]
    pub repair_delay: Duration,
    /// Minimum time between two repairs of a kind of object, in seconds.
    #[arg(long, env = "FASTRAK_REPAIR_INTERVAL", default_value = "0.02", value_name = "SECONDS", value_parser = parse_or_seconds)]
    pub repair_interval: Duration,
}

pub(crate) struct RepairController {
    pub client: Client,
    pub store: SnapshotStore,
    pub settings: Settings,
    pub metrics: RepairMetrics,
    pub events: Events,
    pub args: RepairArgs,
}

impl RepairController {
    /// Repairs until the future is dropped.
    pub(crate) async fn run(&self) {
        // In dry-run mode nothing is changed.
        if self.settings.dry_run {
            std::future::pending::<()>().await;
        }
        tokio::join!(self.repair_all::<Claims>(), self.repair_all::<Services>());
    }

    async fn repair_all<K: Kind>(&self) {
        let mut changes = self.store.subscribe();
        let mut queue = Queue::new(self.args.repair_delay);
        loop {
            // Without a snapshot there is no decision. Its arrival is notified.
            match self.store.latest() {
                Some(snapshot) => self.repair_by::<K>(snapshot, &mut queue, &mut changes).await,
                None => drop(changes.changed().await),
            }
        }
    }

    /// Repairs until a change of the snapshot requires a new list of all objects.
    async fn repair_by<K: Kind>(
        &self,
        mut snapshot: Arc<Snapshot>,
        queue: &mut Queue<K::View>,
        changes: &mut Receiver<()>,
    ) {
        let mut events = pin!(Watch::all::<K::Object>(self.client.clone(), K::read).events());
        let backlog = self.metrics.backlog(K::SUBJECT);
        let mut earliest = Instant::now();
        loop {
            backlog.set(queue.backlog());
            let next = queue.next_due().map(|due| due.max(earliest));
            tokio::select! {
                Some(event) = events.next() => take::<K>(queue, event, &snapshot),
                Ok(()) = changes.changed() => {
                    let before = std::mem::replace(&mut snapshot, self.store.latest().unwrap_or_default());
                    if K::is_outdated(&before, &snapshot) {
                        return;
                    }
                    queue.requeue_all(Instant::now());
                }
                () = reached(next) => if self.handle_next::<K>(queue, &snapshot).await {
                    earliest = Instant::now() + self.args.repair_interval;
                },
            }
        }
    }

    /// Handles the next object of the queue. Returns whether the API server was asked.
    async fn handle_next<K: Kind>(&self, queue: &mut Queue<K::View>, snapshot: &Snapshot) -> bool {
        let Some((key, view)) = queue.take_next(Instant::now()) else { return false };
        let reason = match K::plan(&view, snapshot, self.settings) {
            Repair::Change(_, reason) => reason,
            Repair::Report(report) => {
                let new = queue.is_new(&key, &report.note, Instant::now());
                if new {
                    self.warn::<K>(&key, snapshot).await;
                }
                return new;
            }
            Repair::ReadVolume(_) => return self.restore::<K>(queue, &key, snapshot).await,
            Repair::Nothing => return false,
        };
        match self.try_repair::<K>(&key, snapshot, reason).await {
            RepairOutcome::Failed => queue.requeue(&key, Instant::now() + RETRY_DELAY),
            // The watch shows the result.
            RepairOutcome::Repaired | RepairOutcome::Superseded => {}
        }
        true
    }

    /// Repairs an object. Counts and logs the outcome.
    async fn try_repair<K: Kind>(
        &self,
        key: &Key,
        snapshot: &Snapshot,
        reason: Reason,
    ) -> RepairOutcome {
        let (namespace, name) = key;
        let kind = K::Object::kind(&());
        let outcome = self.change::<K>(key, snapshot).await.unwrap_or_else(|error| {
            let error = Chain(&error);
            tracing::warn!(%error, %kind, namespace, name, "could not repair the object");
            RepairOutcome::Failed
        });
        self.metrics.count(K::SUBJECT, outcome);
        tracing::info!(%kind, namespace, name, %reason, ?outcome, "repair finished");
        outcome
    }

    /// Reads an object and changes it if it still needs a repair.
    async fn change<K: Kind>(
        &self,
        key: &Key,
        snapshot: &Snapshot,
    ) -> Result<RepairOutcome, RepairError> {
        let Some(object) = Object::<K>::get(&self.client, key).await? else {
            return Ok(RepairOutcome::Superseded);
        };
        let Repair::Change(edits, reason) = K::plan(&object.view, snapshot, self.settings) else {
            return Ok(RepairOutcome::Superseded);
        };
        if let Some(node) = K::absent(&object.view, &edits)
            && node_exists(&self.client, &node).await?
        {
            return Ok(RepairOutcome::Superseded);
        }
        match object.change(&self.client, &edits).await? {
            Some(changed) => {
                let report = K::report(&object.view, &changed.view, reason);
                self.record(&changed, report, Action::Repairing);
                Ok(RepairOutcome::Repaired)
            }
            None => Ok(RepairOutcome::Superseded),
        }
    }

    /// Reads an object and records an event if it still cannot be served.
    async fn warn<K: Kind>(&self, key: &Key, snapshot: &Snapshot) {
        let (namespace, name) = key;
        let kind = K::Object::kind(&());
        match Object::<K>::get(&self.client, key).await {
            Ok(Some(object)) => {
                if let Repair::Report(report) = K::plan(&object.view, snapshot, self.settings) {
                    tracing::info!(%kind, namespace, name, note = report.note, "reported an object that is not served");
                    self.record(&object, report, Action::Watching);
                }
            }
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(error = %Chain(&error), %kind, namespace, name, "could not read an object to report");
            }
        }
    }

    pub(super) fn record<K: Kind>(&self, object: &Object<K>, report: Report, action: Action) {
        self.events.record(object.reference(), report.reason, action, report.note);
    }
}

fn take<K: Kind>(queue: &mut Queue<K::View>, event: Event<K::View>, snapshot: &Snapshot) {
    match event {
        Event::Init => queue.start_list(),
        Event::InitDone => queue.finish_list(),
        Event::Delete(view) => queue.remove(&K::key(&view)),
        // Objects that need no repair are not kept. Most Services of a cluster are such objects.
        Event::Apply(view) | Event::InitApply(view) if !K::concerns(&view, snapshot) => {
            queue.remove(&K::key(&view));
        }
        Event::Apply(view) | Event::InitApply(view) => {
            queue.put(K::key(&view), view, Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fastrak_admission::fixtures::{node, snapshot};
    use serde_json::json;

    fn service(name: &str, kind: &str) -> <Services as Kind>::View {
        let object = json!({
            "metadata": {
                "name": name, "namespace": "shop", "resourceVersion": "7",
                "labels": {"team": "x".repeat(100_000)},
            },
            "spec": {"type": kind, "ports": [{"port": 80}]},
        });
        Services::read(&object.to_string()).unwrap()
    }

    #[test]
    fn objects_that_need_no_repair_are_not_kept() {
        let (mut queue, snapshot) = (Queue::new(Duration::ZERO), Snapshot::default());
        let mut take = |event| take::<Services>(&mut queue, event, &snapshot);
        take(Event::Init);
        take(Event::InitApply(service("inner", "ClusterIP")));
        take(Event::InitApply(service("outer", "LoadBalancer")));
        take(Event::InitDone);
        take(Event::Apply(service("node", "NodePort")));
        assert_eq!(queue.backlog(), 1);
        let (key, _) = queue.take_next(Instant::now()).unwrap();
        assert_eq!(key.1, "outer");
        // An object that no longer needs one is removed.
        super::take::<Services>(&mut queue, Event::Apply(service("outer", "ClusterIP")), &snapshot);
        queue.requeue_all(Instant::now());
        assert_eq!(queue.backlog(), 0);
    }

    #[test]
    fn claims_of_other_provisioners_are_not_kept_until_classes_change() {
        let known = snapshot(&[node("a")]);
        let other = snapshot(&[node("a")]);
        let claim = |class: &str| {
            let object = json!({
                "metadata": {"name": "data", "namespace": "shop"},
                "spec": {"storageClassName": class},
            });
            Claims::read(&object.to_string()).unwrap()
        };
        for (class, is_kept) in [("waits", true), ("foreign", false), ("novel", true)] {
            assert_eq!(Claims::concerns(&claim(class), &known), is_kept, "{class}");
        }
        assert!(
            Claims::is_outdated(&known, &other) && !Claims::is_outdated(&known, &known.clone())
        );
    }

    #[test]
    fn a_bound_claim_is_kept_only_while_it_does_not_name_its_node() {
        let known = snapshot(&[node("a")]);
        let bound = |labels: serde_json::Value| {
            let object = json!({
                "metadata": {
                    "name": "data", "namespace": "shop", "labels": labels,
                    "annotations": {"fastrak.io/node": "a"},
                },
                "spec": {
                    "storageClassName": "waits",
                    "volumeName": "pvc-0b0a3a2e-0d6c-4f5f-9e57-3c2f1d2b4a59",
                },
                "status": {"phase": "Bound"},
            });
            Claims::read(&object.to_string()).unwrap()
        };
        assert!(!Claims::concerns(&bound(json!({"fastrak.io/node": "a"})), &known));
        assert!(Claims::concerns(&bound(json!({"team": "x"})), &known));
    }
}
