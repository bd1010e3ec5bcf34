//! Claims get their volumes.

use crate::scene::{Scene, path_of};
use anyhow::{Context, Result};
use fastrak_api::names::{self, kubernetes};
use fastrak_api::volume::Identity;
use fastrak_testkit::{or_skip, with_namespace};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::ResourceExt;
use kube::api::PostParams;
use std::os::unix::fs::PermissionsExt;

fn mode(path: &std::path::Path) -> Result<u32> {
    Ok(std::fs::metadata(path)?.permissions().mode() & 0o7777)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pinned_claim_is_bound_to_a_directory_on_its_node() -> Result<()> {
    let scene = or_skip!(Scene::new().await, Ok(()));
    let _agent = scene.agent()?;
    with_namespace(&scene.client, async |namespace| {
        let claim = scene.create(&namespace, scene.claim("data").asks("1.5G")).await?;
        let volume = scene.bound(&claim).await?;
        let uid = claim.uid().context("a claim has a uid")?;
        let path = path_of(&volume);
        assert_eq!(volume.name_any(), format!("pvc-{uid}"));
        assert_eq!(path, scene.pool().join(&uid).join("data"));
        assert_eq!((mode(&scene.pool().join(&uid))?, mode(&path)?), (0o700, 0o777));
        let identity = std::fs::read(scene.pool().join(&uid).join("volume.json"))?;
        let identity: Identity = serde_json::from_slice(&identity)?;
        assert_eq!((identity.claim.as_str(), identity.bytes), ("data", 1_500_000_000));
        let spec = volume.spec.context("a spec")?;
        assert_eq!(spec.capacity.context("capacity")?["storage"].0, "1500M");
        let affinity = serde_json::to_string(&spec.node_affinity)?;
        assert!(affinity.contains(&format!("host-of-{}", scene.node)), "{affinity}");
        let text = format!("in pool default on node {}", scene.node);
        scene.event_with(&namespace, "data", "ProvisioningSucceeded", &text).await?;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_with_an_empty_selector_is_served() -> Result<()> {
    let scene = or_skip!(Scene::new().await, Ok(()));
    let _agent = scene.agent()?;
    with_namespace(&scene.client, async |namespace| {
        let mut claim = scene.claim("data").build(&namespace);
        let spec = claim.spec.as_mut().context("a spec")?;
        spec.selector = Some(LabelSelector::default());
        let claims = scene.claims(&namespace);
        let claim = claims.create(&PostParams::default(), &claim).await?;
        assert!(claim.spec.as_ref().is_some_and(|spec| spec.selector.is_some()), "{claim:?}");
        scene.bound(&claim).await.map(drop)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_with_only_a_pin_is_served_by_the_parameters_of_its_class() -> Result<()> {
    let scene = or_skip!(Scene::new().await, Ok(()));
    let fast = scene.folder.path().join("fast");
    std::fs::create_dir(&fast)?;
    let _agent = scene.agent_with(&[&format!("--pool=fast={}", fast.display())])?;
    let class = scene.class("fast", &[("pool", "fast"), ("mode", "02770")]).await?;
    with_namespace(&scene.client, async |namespace| {
        let claim = fastrak_testkit::objects::claim("data")
            .class(&class)
            .annotate(names::NODE, &scene.node)
            .label(names::NODE, &scene.node)
            .access("ReadWriteOncePod");
        let claim = scene.create(&namespace, claim).await?;
        let volume = scene.bound(&claim).await?;
        assert!(path_of(&volume).starts_with(&fast), "{volume:?}");
        assert_eq!(mode(&path_of(&volume))?, 0o2770);
        assert_eq!(volume.labels()[names::POOL], "fast");
        assert_eq!(volume.annotations()[kubernetes::PROVISIONED_BY], names::PROVISIONER);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_created_while_no_agent_runs_are_served_at_its_next_start() -> Result<()> {
    let scene = or_skip!(Scene::new().await, Ok(()));
    with_namespace(&scene.client, async |namespace| {
        let mut claims = Vec::new();
        for number in 0..10 {
            claims.push(scene.create(&namespace, scene.claim(&format!("data-{number}"))).await?);
        }
        let agent = scene.agent()?;
        for claim in &claims {
            scene.bound(claim).await?;
        }
        assert_eq!(scene.directories().len(), 10);
        agent.end().await
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_without_a_published_object_is_used() -> Result<()> {
    let scene = or_skip!(Scene::new().await, Ok(()));
    with_namespace(&scene.client, async |namespace| {
        let agent = scene.agent()?;
        let claim = scene.create(&namespace, scene.claim("data")).await?;
        let volume = scene.bound(&claim).await?;
        agent.end().await?;
        // The state after a kill between creating the directory and the object.
        std::fs::write(path_of(&volume).join("file"), "kept")?;
        let again = scene.claim("again");
        let again = scene.create(&namespace, again).await?;
        let uid = again.uid().context("a claim has a uid")?;
        let old = scene.pool().join(claim.uid().context("a claim has a uid")?);
        let new = scene.pool().join(&uid);
        std::fs::create_dir(&new)?;
        std::fs::create_dir(new.join("data"))?;
        std::fs::write(new.join("data/file"), "kept")?;
        let identity = std::fs::read_to_string(old.join("volume.json"))?;
        let old_uid = claim.uid().context("a claim has a uid")?;
        std::fs::write(new.join("volume.json"), identity.replace(&old_uid, &uid))?;
        let _agent = scene.agent()?;
        let volume = scene.bound(&again).await?;
        assert_eq!(std::fs::read_to_string(path_of(&volume).join("file"))?, "kept");
        Ok(())
    })
    .await
}
