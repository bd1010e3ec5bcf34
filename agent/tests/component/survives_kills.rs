//! After a kill at any moment, the next start of the agent completes or removes what was left.

use crate::scene::{DEADLINE, Scene};
use anyhow::{Context, Result, ensure};
use fastrak_testkit::process::Process;
use fastrak_testkit::{eventually, or_skip, with_namespace};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt;
use std::collections::BTreeSet;
use std::time::Duration;

const ROUNDS: u64 = 50;

/// The agent as a process that is killed repeatedly at random moments.
struct Killed<'a> {
    scene: &'a Scene,
    agent: Process,
    seed: u64,
}

impl<'a> Killed<'a> {
    fn new(scene: &'a Scene) -> Result<Self> {
        let uid = scene.random_uid()?;
        let seed = u64::from_str_radix(&uid[..8], 16)? | 1;
        Ok(Self { scene, agent: scene.program(&[])?, seed })
    }

    /// Lets the agent run until a random moment, kills it and starts it again.
    async fn kill(&mut self) -> Result<()> {
        // xorshift spreads the moments well enough.
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        // The sleep is the tested moment and waits for no condition. An agent needs about 40 ms to
        // start and sync its watches, and a few for each claim.
        tokio::time::sleep(Duration::from_micros(self.seed % 120_000)).await;
        self.agent.kill();
        self.agent = self.scene.program(&[])?;
        Ok(())
    }
}

fn uids(claims: &[PersistentVolumeClaim]) -> BTreeSet<String> {
    claims.iter().filter_map(ResourceExt::uid).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_live_claim_is_bound_and_no_deleted_one_leaves_anything() -> Result<()> {
    let scene = or_skip!(Scene::new().await, Ok(()));
    with_namespace(&scene.client, async |namespace| {
        let mut killed = Killed::new(&scene)?;
        let mut claims = Vec::new();
        for round in 0..ROUNDS {
            let claim = scene.claim(&format!("data-{round}"));
            claims.push(scene.create(&namespace, claim).await?);
            killed.kill().await?;
        }
        for claim in &claims {
            scene.bound(claim).await.with_context(|| killed.agent.log_tail(40))?;
        }
        let owned: BTreeSet<_> = scene.directories().into_iter().collect();
        ensure!(owned == uids(&claims), "{owned:?}");
        let volumes = claims.iter().filter_map(ResourceExt::uid).map(|uid| format!("pvc-{uid}"));
        let volumes: Vec<_> = volumes.collect();
        for claim in claims {
            scene.delete(&claim).await?;
            killed.kill().await?;
        }
        for volume in volumes {
            scene.gone(&volume).await.with_context(|| killed.agent.log_tail(40))?;
        }
        scene.empty().await.with_context(|| killed.agent.log_tail(40))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_that_live_for_a_moment_leave_no_directory_and_no_volume() -> Result<()> {
    let scene = or_skip!(Scene::new().await, Ok(()));
    with_namespace(&scene.client, async |namespace| {
        let mut killed = Killed::new(&scene)?;
        let mut claims = Vec::new();
        for round in 0..ROUNDS / 2 {
            let claim = scene.claim(&format!("data-{round}"));
            let claim = scene.create(&namespace, claim).await?;
            killed.kill().await?;
            scene.delete(&claim).await?;
            claims.push(claim);
        }
        for claim in &claims {
            let uid = claim.uid().context("it has a uid")?;
            scene.gone(&format!("pvc-{uid}")).await?;
        }
        eventually(DEADLINE, "no directory has lost its owner", || async {
            let left = scene.directories();
            ensure!(left.is_empty(), "{left:?}");
            Ok(())
        })
        .await?;
        scene.empty().await
    })
    .await
}
