//! Claims that come and go beside the set's, each bearing the mark of its owner while it lives.

use crate::SOON;
use crate::random::Random;
use anyhow::{Context, Result, ensure};
use fastrak_api::names;
use fastrak_testkit::objects::claim;
use fastrak_testkit::{Cluster, Node, eventually};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, Client, ResourceExt as _};
use std::collections::VecDeque;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

/// How many live at the same time.
const ALIVE: usize = 6;
const MARK: &str = "mark";

/// Makes claims on random nodes and deletes them, some at once.
pub(crate) struct Churn<'a> {
    cluster: &'a Cluster,
    claims: Api<PersistentVolumeClaim>,
    random: Random,
    number: u64,
    alive: VecDeque<Volume>,
    done: Churned,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Churned {
    pub(crate) claims: usize,
    /// Of these, how many were deleted before they could be bound.
    pub(crate) at_once: usize,
    /// Volumes whose claims are gone and whose data is to be there for ever.
    pub(crate) kept: Vec<(String, PathBuf)>,
}

struct Volume {
    name: String,
    uid: String,
    data: PathBuf,
    kept: bool,
}

impl<'a> Churn<'a> {
    pub(crate) fn new(
        cluster: &'a Cluster,
        client: &Client,
        namespace: &str,
        random: Random,
    ) -> Self {
        Self {
            cluster,
            claims: Api::namespaced(client.clone(), namespace),
            random,
            number: 0,
            alive: VecDeque::new(),
            done: Churned::default(),
        }
    }

    /// Goes on until it is over, and then deletes all that is left.
    pub(crate) async fn run(mut self, over: &AtomicBool) -> Result<Churned> {
        while !over.load(Ordering::Relaxed) {
            self.one_more().await?;
            if self.alive.len() > ALIVE {
                self.one_less().await?;
            }
        }
        while !self.alive.is_empty() {
            self.one_less().await?;
        }
        Ok(self.done)
    }

    async fn one_more(&mut self) -> Result<()> {
        self.number += 1;
        self.done.claims += 1;
        let kept = self.number % 8 == 7;
        let node = self.random.of(self.cluster.nodes());
        let name = format!("extra-{}", self.number);
        let class = if kept { names::CLASS_RETAIN } else { names::CLASS_DEFAULT };
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
        self.alive.push_back(Volume { name, uid, data, kept });
        Ok(())
    }

    async fn one_less(&mut self) -> Result<()> {
        let Some(Volume { name, uid, data, kept }) = self.alive.pop_front() else {
            return Ok(());
        };
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

    async fn bound(&self, name: &str) -> Result<()> {
        eventually(SOON, format!("{name} is Bound"), || async {
            let status = self.claims.get(name).await?.status.unwrap_or_default();
            ensure!(status.phase.as_deref() == Some("Bound"), "{:?}", status.phase);
            Ok(())
        })
        .await
    }
}

impl Churned {
    /// Makes sure that what was to be kept is there.
    pub(crate) fn look_at_kept(&self) -> Result<()> {
        for (uid, data) in &self.kept {
            let mark = std::fs::read_to_string(data.join(MARK));
            ensure!(mark.is_ok_and(|mark| mark == *uid), "{uid} was to be kept");
        }
        Ok(())
    }
}

/// Puts an owner's mark into a new volume, which has to be empty, and a way out of it.
fn mark(node: &Node, uid: &str) -> Result<PathBuf> {
    let data = node.pool_dir().join(uid).join("data");
    let there = std::fs::read_dir(&data).with_context(|| format!("{uid} is Bound"))?.count();
    ensure!(there == 0, "{uid} is new and has {there} files");
    std::fs::write(data.join(MARK), uid).context("mark a volume")?;
    symlink("/var/lib/fastrak/lost+found", data.join("out")).context("make a link")?;
    symlink(node.pool_dir().join("lost+found"), data.join("far-out")).context("make a link")?;
    Ok(data)
}
