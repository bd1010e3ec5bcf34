//! Carries repairs out: watches what may need one, and looks at each object a while after it has
//! changed. Of an object that is watched only a few bounded words are kept. One that needs a change is
//! got whole from the API server, decided about again, and changed in the very version that was got.
//! It decides nothing, and it does not know whether this replica leads: its caller does.

use super::kind::{Claims, Key, Kind, Services};
use super::metrics::{RepairMetrics, RepairOutcome};
use super::object::{Object, RepairError, node_exists};
use super::plan::Repair;
use super::queue::Queue;
use super::report::Report;
use crate::duration::duration;
use crate::event::{Action, Events};
use crate::snapshot::watcher::SnapshotStore;
use fastrak_admission::mutate::service::Settings;
use fastrak_admission::snapshot::Snapshot;
use fastrak_admission::verdict::Reason;
use fastrak_runtime::chain::Chain;
use fastrak_runtime::watch::Watch;
use futures::StreamExt as _;
use kube::runtime::watcher::Event;
use kube::{Client, Resource as _};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch::Receiver;
use tokio::time::Instant;

/// How long after a failure an object is tried again: whatever refused it is not gone at once.
pub(super) const AGAIN: Duration = Duration::from_secs(30);

/// The flags of repairs.
#[derive(Clone, Debug, clap::Args)]
pub struct RepairArgs {
    /// How long an object is left alone before it is repaired, in seconds.
    #[arg(long, env = "FASTRAK_REPAIR_DELAY", default_value = "2", value_name = "SECONDS", value_parser = duration)]
    pub repair_delay: Duration,
    /// The least time between two repairs, in seconds.
    #[arg(long, env = "FASTRAK_REPAIR_INTERVAL", default_value = "0.02", value_name = "SECONDS", value_parser = duration)]
    pub repair_interval: Duration,
}

/// The controller that repairs.
pub struct RepairController {
    /// How to reach the API server.
    pub client: Client,
    /// What is known of the cluster.
    pub store: SnapshotStore,
    /// What the operator has configured.
    pub settings: Settings,
    /// What is measured.
    pub metrics: RepairMetrics,
    /// The event queue.
    pub events: Events,
    /// The flags.
    pub args: RepairArgs,
}

impl RepairController {
    /// Mends until it is dropped.
    pub async fn run(&self) {
        // In dry-run mode everything is decided and nothing done.
        if self.settings.dry_run {
            std::future::pending::<()>().await;
        }
        tokio::join!(self.mend::<Claims>(), self.mend::<Services>());
    }

    async fn mend<K: Kind>(&self) {
        let mut news = self.store.subscribe();
        let mut queue = Queue::new(self.args.repair_delay);
        loop {
            // Without snapshot nothing can be decided; their arrival is news.
            match self.store.latest() {
                Some(snapshot) => self.mend_by::<K>(snapshot, &mut queue, &mut news).await,
                None => drop(news.changed().await),
            }
        }
    }

    /// Mends until the snapshot have changed so much that everything has to be listed again.
    async fn mend_by<K: Kind>(
        &self,
        mut snapshot: Arc<Snapshot>,
        queue: &mut Queue<K::View>,
        news: &mut Receiver<()>,
    ) {
        let mut events = pin!(Watch::all::<K::Object>(self.client.clone(), K::read).events());
        let backlog = self.metrics.backlog(K::SUBJECT);
        let mut turn = Instant::now();
        loop {
            backlog.set(queue.backlog());
            let next = queue.next_due().map(|due| due.max(turn));
            tokio::select! {
                Some(event) = events.next() => take::<K>(queue, event, &snapshot),
                Ok(()) = news.changed() => {
                    let before = std::mem::replace(&mut snapshot, self.store.latest().unwrap_or_default());
                    if K::is_outdated(&before, &snapshot) {
                        return;
                    }
                    queue.look_at_all(Instant::now());
                }
                () = reached(next) => if self.look::<K>(queue, &snapshot).await {
                    turn = Instant::now() + self.args.repair_interval;
                },
            }
        }
    }

    /// Looks at the object whose turn it is; whether there was something to do about it.
    async fn look<K: Kind>(&self, queue: &mut Queue<K::View>, snapshot: &Snapshot) -> bool {
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
        match self.tried::<K>(&key, snapshot, reason).await {
            RepairOutcome::Failed => queue.look_again(&key, Instant::now() + AGAIN),
            // The watch will show what has become of it.
            RepairOutcome::Repaired | RepairOutcome::Superseded => {}
        }
        true
    }

    /// What came of a repair, counted and logged.
    async fn tried<K: Kind>(
        &self,
        key: &Key,
        snapshot: &Snapshot,
        reason: Reason,
    ) -> RepairOutcome {
        let (namespace, name) = key;
        let kind = K::Object::kind(&());
        let outcome = self.change::<K>(key, snapshot).await.unwrap_or_else(|error| {
            let error = Chain(&error);
            tracing::warn!(%error, %kind, namespace, name, "could not be put right");
            RepairOutcome::Failed
        });
        self.metrics.count(K::SUBJECT, outcome);
        tracing::info!(%kind, namespace, name, %reason, ?outcome, "had been missed");
        outcome
    }

    /// Puts an object right, by what it says at this moment.
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

    /// Tells the owner of an object why nothing can be done about it, by what it says at this moment.
    async fn warn<K: Kind>(&self, key: &Key, snapshot: &Snapshot) {
        let (namespace, name) = key;
        let kind = K::Object::kind(&());
        match Object::<K>::get(&self.client, key).await {
            Ok(Some(object)) => {
                if let Repair::Report(report) = K::plan(&object.view, snapshot, self.settings) {
                    tracing::info!(%kind, namespace, name, note = report.note, "not served");
                    self.record(&object, report, Action::Watching);
                }
            }
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(error = %Chain(&error), %kind, namespace, name, "could not report");
            }
        }
    }

    pub(super) fn record<K: Kind>(&self, object: &Object<K>, report: Report, action: Action) {
        self.events.record(object.reference(), report.reason, action, report.note);
    }
}

fn take<K: Kind>(queue: &mut Queue<K::View>, event: Event<K::View>, snapshot: &Snapshot) {
    match event {
        Event::Init => queue.relist(),
        Event::InitDone => queue.relisted(),
        Event::Delete(view) => queue.remove(&K::key(&view)),
        // What can need nothing is not kept for a moment: most Services of a cluster are such.
        Event::Apply(view) | Event::InitApply(view) if !K::concerns(&view, snapshot) => {
            queue.remove(&K::key(&view));
        }
        Event::Apply(view) | Event::InitApply(view) => {
            queue.put(K::key(&view), view, Instant::now());
        }
    }
}

async fn reached(next: Option<Instant>) {
    match next {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
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
    fn what_can_need_nothing_is_not_kept_in_memory() {
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
        // One that ceases to matter is let go.
        super::take::<Services>(&mut queue, Event::Apply(service("outer", "ClusterIP")), &snapshot);
        queue.look_at_all(Instant::now());
        assert_eq!(queue.backlog(), 0);
    }

    #[test]
    fn claims_of_another_provisioner_are_not_kept_until_the_classes_have_changed() {
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
    fn a_bound_claim_is_kept_in_memory_only_while_it_does_not_name_its_node() {
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
