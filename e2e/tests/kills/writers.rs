//! A StatefulSet whose pods append records, and the observer of their files.
//!
//! A record is a line: its number, the pod that created the file, and a checksum of all records so
//! far.

use crate::SOON;
use crate::random::Random;
use anyhow::{Context, Result, bail, ensure};
use fastrak_testkit::objects::BUSYBOX;
use fastrak_testkit::{Cluster, eventually};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const NAME: &str = "log";
const FEW: u32 = 3;
const MANY: u32 = 5;
/// The least number of restarts of pods.
const RESTARTS: usize = 3;

/// Reads the records of earlier pods and continues. Each record is synced before the next.
const WRITE: &str = r#"
trap 'exit 0' TERM
n=0 sum=1 birth=$POD_UID
if [ -e /data/log ]; then
    while read -r number who check; do
        n=$((n + 1)) sum=$(((sum * 48271 + n) % 2147483647))
        [ $n = 1 ] && birth=$who
        if [ "$number $who $check" != "$n $birth $sum" ]; then
            echo "record $n is $number $who $check" >> /data/bad
            exit 1
        fi
    done < /data/log
fi
echo "$n" >> /data/starts
while :; do
    n=$((n + 1)) sum=$(((sum * 48271 + n) % 2147483647))
    echo "$n $birth $sum" | dd of=/data/log oflag=append conv=notrunc,fsync 2> /dev/null || exit 2
    usleep 100000
done"#;

/// The StatefulSet and its claims.
pub(crate) struct Writers {
    sets: Api<StatefulSet>,
    pods: Api<Pod>,
    claims: Api<PersistentVolumeClaim>,
}

/// The observed files of all claims, by the claims' uids.
#[derive(Debug, Default)]
pub(crate) struct Observer {
    files: BTreeMap<String, Seen>,
}

#[derive(Clone, Debug)]
struct Seen {
    birth: String,
    records: usize,
    starts: usize,
    node: String,
}

/// The results.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) files: usize,
    pub(crate) records: usize,
    pub(crate) read_back: usize,
}

impl Writers {
    pub(crate) async fn start(client: &Client, namespace: &str) -> Result<Self> {
        let this = Self {
            sets: Api::namespaced(client.clone(), namespace),
            pods: Api::namespaced(client.clone(), namespace),
            claims: Api::namespaced(client.clone(), namespace),
        };
        this.sets.create(&PostParams::default(), &set()?).await.context("create the set")?;
        this.ready(FEW).await?;
        Ok(this)
    }

    /// Scales up and down until it is over. Returns how many times.
    pub(crate) async fn scale(&self, over: &AtomicBool) -> Result<usize> {
        let mut times = 0;
        while !over.load(Ordering::Relaxed) {
            self.replicas(MANY).await?;
            self.ready(MANY).await?;
            self.replicas(FEW).await?;
            eventually(SOON, "the claims of the deleted pods are deleted", || async {
                let claims = self.claims().await?;
                let names: Vec<_> = claims.iter().map(|claim| claim.name_any()).collect();
                ensure!(claims.len() == FEW as usize, "{names:?}");
                Ok(())
            })
            .await?;
            times += 1;
        }
        Ok(times)
    }

    /// Restarts one pod after another until it is over, but some at least. Returns how many times.
    pub(crate) async fn restart(&self, mut random: Random, over: &AtomicBool) -> Result<usize> {
        let mut times = 0;
        while !over.load(Ordering::Relaxed) || times < RESTARTS {
            let name = format!("{NAME}-{}", random.below(FEW.into()));
            let old = self.running(&name, None).await?;
            // Random pauses, on which nothing depends.
            tokio::time::sleep(Duration::from_millis(500 + random.below(2500))).await;
            self.pods.delete(&name, &DeleteParams::default()).await.context("delete a pod")?;
            self.running(&name, Some(&old)).await?;
            times += 1;
        }
        Ok(times)
    }

    /// Observes the files until it is over.
    pub(crate) async fn watch(&self, cluster: &Cluster, over: &AtomicBool) -> Result<Observer> {
        let mut observer = Observer::default();
        while !over.load(Ordering::Relaxed) {
            self.look(cluster, &mut observer).await?;
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        Ok(observer)
    }

    /// Waits until every pod has written further records, and returns the results.
    pub(crate) async fn add_up(
        &self,
        cluster: &Cluster,
        mut observer: Observer,
    ) -> Result<Written> {
        self.ready(FEW).await?;
        let before = observer.clone_records();
        eventually(SOON, "every pod writes", || async {
            let mut now = Observer { files: observer.files.clone() };
            self.look(cluster, &mut now).await?;
            for claim in self.claims().await? {
                let uid = claim.uid().context("it has a uid")?;
                let records = now.files.get(&uid).map_or(0, |seen| seen.records);
                let before = before.get(&uid).copied().unwrap_or_default();
                ensure!(records > before, "{}: {records} records", claim.name_any());
            }
            anyhow::Ok(())
        })
        .await?;
        self.look(cluster, &mut observer).await?;
        ensure!(self.restarts().await? == 0, "a writer has failed");
        observer.add_up(cluster)
    }

    /// Deletes the StatefulSet and waits until its claims are gone.
    pub(crate) async fn end(&self) -> Result<()> {
        self.sets.delete(NAME, &DeleteParams::background()).await.context("delete the set")?;
        eventually(SOON, "the claims are deleted with their StatefulSet", || async {
            let left = self.claims().await?.len();
            ensure!(left == 0, "{left} are left");
            anyhow::Ok(())
        })
        .await
    }

    async fn look(&self, cluster: &Cluster, observer: &mut Observer) -> Result<()> {
        for claim in self.claims().await? {
            let uid = claim.uid().context("it has a uid")?;
            let Err(problem) = observer.look(cluster, &uid) else { continue };
            // The claim may have been deleted since it was listed.
            let now = self.claims.get_opt(&claim.name_any()).await.context("read a claim")?;
            if now.is_some_and(|now| now.uid().as_deref() == Some(&uid)) {
                return Err(problem.context(format!("{} of {uid}", claim.name_any())));
            }
            observer.files.remove(&uid);
        }
        Ok(())
    }

    async fn claims(&self) -> Result<Vec<PersistentVolumeClaim>> {
        let own = ListParams::default().labels(&format!("app={NAME}"));
        Ok(self.claims.list(&own).await.context("list claims")?.items)
    }

    async fn replicas(&self, replicas: u32) -> Result<()> {
        let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
        let scaled = self.sets.patch_scale(NAME, &PatchParams::default(), &patch).await;
        scaled.map(drop).context("scale the set")
    }

    async fn ready(&self, replicas: u32) -> Result<()> {
        eventually(SOON, format!("{replicas} pods are ready"), || async {
            let status = self.sets.get(NAME).await?.status.unwrap_or_default();
            ensure!(
                i64::from(status.ready_replicas.unwrap_or(0)) == i64::from(replicas),
                "{status:?}"
            );
            Ok(())
        })
        .await
    }

    /// Waits until a pod with this name runs that is not the `old` one. Returns its uid.
    async fn running(&self, name: &str, old: Option<&str>) -> Result<String> {
        eventually(SOON, format!("{name} runs"), || async {
            let pod = self.pods.get(name).await?;
            let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
            ensure!(phase == Some("Running"), "{phase:?}");
            ensure!(pod.metadata.deletion_timestamp.is_none(), "it is being deleted");
            pod.uid().filter(|uid| old != Some(uid)).context("it is the old one")
        })
        .await
    }

    async fn restarts(&self) -> Result<i32> {
        let own = ListParams::default().labels(&format!("app={NAME}"));
        let pods = self.pods.list(&own).await.context("list pods")?;
        let statuses = pods.items.into_iter().filter_map(|pod| pod.status?.container_statuses);
        Ok(statuses.flatten().map(|status| status.restart_count).sum())
    }
}

impl Observer {
    /// Reads the file of one claim and fails if earlier records are missing.
    fn look(&mut self, cluster: &Cluster, uid: &str) -> Result<()> {
        let before = self.files.get(uid);
        let Some((node, data)) = data_of(cluster, uid)? else {
            ensure!(before.is_none(), "the directory of {before:?} is gone");
            return Ok(());
        };
        let text = |file: &str| std::fs::read_to_string(data.join(file)).unwrap_or_default();
        let bad = text("bad");
        ensure!(bad.is_empty(), "a pod found a wrong record: {bad}");
        let (birth, records) = verify(&text("log"))?;
        let starts = text("starts").lines().count();
        let seen = Seen { birth, records, starts, node };
        if let Some(before) = before {
            let goes_on = seen.records >= before.records && seen.starts >= before.starts;
            let same = before.records == 0 || seen.birth == before.birth;
            ensure!(goes_on && same && seen.node == before.node, "{before:?} is now {seen:?}");
        }
        let others = self.files.iter().filter(|(other, _)| *other != uid);
        let mut twins = others.filter(|(_, other)| seen.records > 0 && other.birth == seen.birth);
        if let Some((twin, _)) = twins.next() {
            bail!("it has the file of {twin}: {seen:?}");
        }
        self.files.insert(uid.to_owned(), seen);
        Ok(())
    }

    fn clone_records(&self) -> BTreeMap<String, usize> {
        self.files.iter().map(|(uid, seen)| (uid.clone(), seen.records)).collect()
    }

    fn add_up(&self, cluster: &Cluster) -> Result<Written> {
        for node in cluster.nodes() {
            let here = self.files.values().any(|seen| seen.node == node.name());
            ensure!(here, "no pod has written on {}", node.name());
        }
        let all = self.files.values();
        Ok(Written {
            files: self.files.len(),
            records: all.clone().map(|seen| seen.records).sum(),
            read_back: all.map(|seen| seen.starts.saturating_sub(1)).sum(),
        })
    }
}

/// Returns the node and the data folder of a claim's volume.
fn data_of(cluster: &Cluster, uid: &str) -> Result<Option<(String, PathBuf)>> {
    let places = cluster.nodes().iter().map(|node| (node.name(), node.pool_dir()));
    let places = places.map(|(node, pool)| (node.to_owned(), pool.join(uid).join("data")));
    let mut found: Vec<_> = places.filter(|(_, data)| Path::is_dir(data)).collect();
    ensure!(found.len() < 2, "it is on two nodes");
    Ok(found.pop())
}

/// Returns the pod that created a file and its number of records. Fails on a gap or a wrong
/// checksum.
fn verify(text: &str) -> Result<(String, usize)> {
    let (mut birth, mut sum, mut records) = (String::new(), 1_u64, 0_usize);
    for line in text.lines() {
        records += 1;
        sum = (sum * 48_271 + records as u64) % 2_147_483_647;
        if records == 1 {
            birth = line.split(' ').nth(1).unwrap_or_default().to_owned();
        }
        ensure!(line == format!("{records} {birth} {sum}"), "record {records} is {line:?}");
    }
    Ok((birth, records))
}

fn set() -> Result<StatefulSet> {
    let labels = json!({"app": NAME});
    let set = json!({
        "metadata": {"name": NAME},
        "spec": {
            "replicas": FEW, "serviceName": NAME, "podManagementPolicy": "Parallel",
            "persistentVolumeClaimRetentionPolicy": {"whenScaled": "Delete", "whenDeleted": "Delete"},
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "terminationGracePeriodSeconds": 5,
                    "topologySpreadConstraints": [{
                        "maxSkew": 1, "topologyKey": "kubernetes.io/hostname",
                        "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {"matchLabels": labels}}],
                    "containers": [{
                        "name": "main", "image": BUSYBOX, "imagePullPolicy": "IfNotPresent",
                        "command": ["/bin/sh", "-c", WRITE],
                        "env": [{"name": "POD_UID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}}],
                        "volumeMounts": [{"name": "data", "mountPath": "/data"}]}]}},
            "volumeClaimTemplates": [{
                "metadata": {"name": "data", "labels": labels},
                "spec": {
                    "accessModes": ["ReadWriteOnce"],
                    "resources": {"requests": {"storage": "8Mi"}}}}]}});
    serde_json::from_value(set).context("make the set")
}

#[test]
fn a_lost_changed_or_repeated_record_is_noticed() {
    let line = |n: u64, sum: &mut u64| {
        *sum = (*sum * 48_271 + n) % 2_147_483_647;
        format!("{n} pod {sum}")
    };
    let mut sum = 1;
    let lines: Vec<_> = (1..=5).map(|n| line(n, &mut sum)).collect();
    assert_eq!(verify(&lines.join("\n")).unwrap(), ("pod".to_owned(), 5));
    for at in 0..4 {
        let mut lost = lines.clone();
        lost.remove(at);
        assert!(verify(&lost.join("\n")).is_err(), "without {at}");
        let mut twice = lines.clone();
        twice.insert(at, lines[at].clone());
        assert!(verify(&twice.join("\n")).is_err(), "{at} twice");
    }
    assert!(verify(&lines.join("\n").replace('3', "4")).is_err());
}
