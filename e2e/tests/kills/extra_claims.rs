//! Claims that are created, grown and deleted beside those of the StatefulSet. Each volume has a
//! file with the uid of its claim.

use crate::SOON;
use crate::random::Random;
use anyhow::{Context, Result, ensure};
use fastrak_api::names;
use fastrak_testkit::objects::{claim, storage_class};
use fastrak_testkit::{Cluster, Node, bound_claim, eventually};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;
use std::collections::VecDeque;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

/// The number of claims at a time.
const ALIVE: usize = 6;
/// Among this number are several of each kind.
const ENOUGH: u64 = 40;
const MARK: &str = "mark";
/// A class whose data stays in the trash for a while.
const TRASHED: &str = "trashed";
const GROWN: &str = "2Mi";

/// Creates claims on random nodes and deletes them, some at once.
pub(crate) struct ExtraClaims<'a> {
    cluster: &'a Cluster,
    claims: Api<PersistentVolumeClaim>,
    random: Random,
    number: u64,
    alive: VecDeque<Volume>,
    done: ExtraReport,
}

/// The numbers of claims by what was done with them.
#[derive(Debug, Default)]
pub(crate) struct ExtraReport {
    pub(crate) claims: usize,
    /// The number of claims deleted before they could be bound.
    pub(crate) at_once: usize,
    /// The number of claims that grew.
    pub(crate) grown: usize,
    /// Volumes whose claims are gone and whose data must be kept.
    pub(crate) kept: Vec<(String, PathBuf)>,
}

struct Volume {
    name: String,
    uid: String,
    data: PathBuf,
    kept: bool,
    grown: bool,
}

impl<'a> ExtraClaims<'a> {
    pub(crate) async fn start(
        cluster: &'a Cluster,
        client: &Client,
        namespace: &str,
        random: Random,
    ) -> Result<Self> {
        let classes: Api<StorageClass> = Api::all(client.clone());
        let trashed = storage_class(TRASHED, names::PROVISIONER).expandable();
        let trashed = trashed.parameter("onDelete", "trash").parameter("trashTTL", "1s").build();
        classes.create(&PostParams::default(), &trashed).await.context("create a class")?;
        let claims = Api::namespaced(client.clone(), namespace);
        let (alive, done) = (VecDeque::new(), ExtraReport::default());
        Ok(Self { cluster, claims, random, number: 0, alive, done })
    }

    /// Runs until it is over and there were enough claims, and then deletes all remaining ones.
    pub(crate) async fn run(mut self, over: &AtomicBool) -> Result<ExtraReport> {
        while !over.load(Ordering::Relaxed) || self.number < ENOUGH {
            self.create_one().await?;
            if self.alive.len() > ALIVE {
                self.delete_one().await?;
            }
        }
        while !self.alive.is_empty() {
            self.delete_one().await?;
        }
        Ok(self.done)
    }

    async fn create_one(&mut self) -> Result<()> {
        self.number += 1;
        self.done.claims += 1;
        let (kept, grown) = (self.number % 8 == 7, self.number.is_multiple_of(3));
        let node = self.random.of(self.cluster.nodes());
        let name = format!("extra-{}", self.number);
        let class = match self.number % 8 {
            7 => names::CLASS_RETAIN,
            1 | 4 => TRASHED,
            _ => names::CLASS_DEFAULT,
        };
        let object = claim(&name).class(class).annotate(names::NODE, node.name());
        let object = object.build(self.claims.namespace().unwrap_or_default());
        let made = self.claims.create(&PostParams::default(), &object).await;
        let uid = made.context("create a claim")?.uid().context("it has a uid")?;
        if !kept && self.random.below(3) == 0 {
            self.done.at_once += 1;
            return self.delete(&name).await;
        }
        self.bound(&name).await?;
        let data = mark(node, &uid)?;
        if grown {
            self.ask_for_more(&name).await?;
        }
        self.alive.push_back(Volume { name, uid, data, kept, grown });
        Ok(())
    }

    async fn delete_one(&mut self) -> Result<()> {
        let Some(Volume { name, uid, data, kept, grown }) = self.alive.pop_front() else {
            return Ok(());
        };
        if grown {
            self.shows_growth(&name).await?;
            self.done.grown += 1;
        }
        let mark = std::fs::read_to_string(data.join(MARK));
        let mark = mark.with_context(|| format!("the data of {name} is gone"))?;
        ensure!(mark == uid, "{name} has the data of {mark}");
        if kept {
            self.done.kept.push((uid, data));
        }
        self.delete(&name).await
    }

    async fn delete(&self, name: &str) -> Result<()> {
        let deleted = self.claims.delete(name, &DeleteParams::default()).await;
        deleted.map(drop).context("delete a claim")
    }

    async fn ask_for_more(&self, name: &str) -> Result<()> {
        let patch = json!({"spec": {"resources": {"requests": {"storage": GROWN}}}});
        let asked = self.claims.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await;
        asked.map(drop).context("ask for more")
    }

    async fn shows_growth(&self, name: &str) -> Result<()> {
        eventually(SOON, format!("{name} has grown"), || async {
            let status = self.claims.get(name).await?.status.unwrap_or_default();
            let shown = status.capacity.as_ref().and_then(|capacity| capacity.get("storage"));
            ensure!(shown.is_some_and(|shown| shown.0 == GROWN), "{status:?}");
            Ok(())
        })
        .await
    }

    async fn bound(&self, name: &str) -> Result<()> {
        bound_claim(&self.claims, name, SOON).await.map(drop)
    }
}

impl ExtraReport {
    /// Checks that the kept data is there.
    pub(crate) fn check_kept(&self) -> Result<()> {
        for (uid, data) in &self.kept {
            let mark = std::fs::read_to_string(data.join(MARK));
            ensure!(mark.is_ok_and(|mark| mark == *uid), "the data of {uid} was not kept");
        }
        Ok(())
    }
}

/// Writes the uid of the claim into a new volume, which must be empty, and links that lead out of
/// it.
fn mark(node: &Node, uid: &str) -> Result<PathBuf> {
    let data = node.pool_dir().join(uid).join("data");
    let there = std::fs::read_dir(&data).with_context(|| format!("{uid} is Bound"))?.count();
    ensure!(there == 0, "{uid} is new and has {there} files");
    std::fs::write(data.join(MARK), uid).context("mark a volume")?;
    symlink("/var/lib/fastrak/lost+found", data.join("out")).context("make a link")?;
    symlink(node.pool_dir().join("lost+found"), data.join("far-out")).context("make a link")?;
    Ok(data)
}
