//! A pool grants no more than it has: a claim that does not fit gets the figures and waits for
//! space.

use crate::scene::{DEADLINE, Scene};
use anyhow::{Result, ensure};
use fastrak_testkit::{eventually, or_skip, with_namespace};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt;

/// Creates a pool with 90Mi allocatable and a class for it.
async fn small_pool(scene: &Scene) -> Result<(String, String)> {
    let class = scene.class("small", &[("pool", "small")]).await?;
    let small = scene.folder.path().join("small");
    std::fs::create_dir(&small)?;
    Ok((class, format!("--pool=small={},size=100Mi,reserve=10%", small.display())))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_does_not_fit_gets_the_figures_and_is_served_when_there_is_space() -> Result<()>
{
    let scene = or_skip!(Scene::new().await, Ok(()));
    let (class, pool) = small_pool(&scene).await?;
    let _agent = scene.agent_with(&[&pool])?;
    with_namespace(&scene.client, async |namespace| {
        let claim = |name: &str| scene.claim(name).class(&class).asks("60Mi");
        let first = scene.create(&namespace, claim("first")).await?;
        scene.bound(&first).await?;
        let second = scene.create(&namespace, claim("second")).await?;
        let figures = "30Mi available, the claim requests 60Mi: ";
        let note = scene.event_with(&namespace, "second", "ProvisioningFailed", figures).await?;
        ensure!(note.contains("it may grant 90Mi and has granted 60Mi"), "{note}");
        scene.delete(&first).await?;
        scene.bound(&second).await?;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_claims_are_not_granted_the_same_space() -> Result<()> {
    let scene = or_skip!(Scene::new().await, Ok(()));
    let (class, pool) = small_pool(&scene).await?;
    let agent = scene.agent_with(&[&pool])?;
    with_namespace(&scene.client, async |namespace| {
        let names: Vec<_> = (0..12).map(|number| format!("data-{number}")).collect();
        for name in &names {
            scene.create(&namespace, scene.claim(name).class(&class).asks("20Mi")).await?;
        }
        let claims = scene.claims(&namespace);
        let bound = async || {
            let all = claims.list(&kube::api::ListParams::default()).await?;
            let phases = all.items.iter().filter_map(|claim| claim.status.as_ref()?.phase.as_ref());
            anyhow::Ok(phases.filter(|phase| *phase == "Bound").count())
        };
        eventually(DEADLINE, "four are bound", async || {
            let count = bound().await?;
            ensure!(count == 4, "{count}");
            Ok(())
        })
        .await?;
        let all = claims.list(&kube::api::ListParams::default()).await?.items;
        let waits = |claim: &&PersistentVolumeClaim| {
            claim.status.as_ref().and_then(|status| status.phase.as_deref()) != Some("Bound")
        };
        for claim in all.iter().filter(waits) {
            scene.event(&namespace, &claim.name_any(), "ProvisioningFailed").await?;
        }
        ensure!(bound().await? == 4, "more than there is room for");
        // The grants are read again after a restart.
        agent.end().await?;
        let _agent = scene.agent_with(&[&pool])?;
        let one = scene.create(&namespace, scene.claim("one").class(&class).asks("11Mi")).await?;
        scene.event_with(&namespace, "one", "ProvisioningFailed", "has granted 80Mi").await?;
        scene.delete(&one).await?;
        let fits = scene.create(&namespace, scene.claim("fits").class(&class).asks("10Mi")).await?;
        scene.bound(&fits).await?;
        Ok(())
    })
    .await
}
