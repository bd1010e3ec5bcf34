//! A claim that requests more gets it. A claim that requests too much gets an event and can request
//! less.

use crate::scene::{DEADLINE, Scene};
use anyhow::{Context, Result, ensure};
use fastrak_api::names;
use fastrak_api::volume::Identity;
use fastrak_testkit::{eventually, or_skip, with_namespace};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimStatus};
use kube::ResourceExt;
use serde_json::json;

pub(crate) async fn resize(scene: &Scene, claim: &PersistentVolumeClaim, size: &str) -> Result<()> {
    let patch = json!({ "spec": { "resources": { "requests": { "storage": size } } } });
    scene.patch_claim(claim, patch).await
}

/// Waits until the claim's status has this size. Returns the status.
pub(crate) async fn shows(
    scene: &Scene,
    claim: &PersistentVolumeClaim,
    size: &str,
) -> Result<PersistentVolumeClaimStatus> {
    let claims = scene.claims(&claim.namespace().unwrap_or_default());
    eventually(DEADLINE, format!("the claim shows {size}"), || async {
        let status = claims.get(&claim.name_any()).await?.status.context("a status")?;
        let shown = status.capacity.as_ref().and_then(|capacity| capacity.get("storage"));
        ensure!(shown.is_some_and(|shown| shown.0 == size), "{status:?}");
        Ok(status)
    })
    .await
}

/// Returns whether a condition concerns the size. Kubernetes writes others, such as that no pod
/// uses the claim.
fn has_size_condition(status: &PersistentVolumeClaimStatus) -> bool {
    status.conditions.iter().flatten().any(|condition| condition.type_.contains("Resiz"))
}

/// Returns the size that was promised last. Resource quotas count it.
fn promised(status: &PersistentVolumeClaimStatus) -> Option<&str> {
    let size = status.allocated_resources.as_ref()?.get("storage")?;
    Some(size.0.as_str())
}

fn is_resizing(status: &PersistentVolumeClaimStatus) -> bool {
    status.allocated_resource_statuses.as_ref().is_some_and(|statuses| !statuses.is_empty())
}

fn record(scene: &Scene, claim: &PersistentVolumeClaim) -> Result<Identity> {
    let path = scene.pool().join(claim.uid().context("a uid")?).join("volume.json");
    Ok(serde_json::from_slice(&std::fs::read(path)?)?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_requests_more_gets_it() -> Result<()> {
    let scene = or_skip!(Scene::new().await, Ok(()));
    let _agent = scene.agent()?;
    with_namespace(&scene.client, async |namespace| {
        // The same for a retained volume.
        let kept = scene.create(&namespace, scene.claim("kept").class(names::CLASS_RETAIN)).await?;
        let claim = scene.create(&namespace, scene.claim("data")).await?;
        for claim in [&kept, &claim] {
            scene.bound(claim).await?;
            resize(&scene, claim, "5Mi").await?;
        }
        shows(&scene, &kept, "5Mi").await?;
        let status = shows(&scene, &claim, "5Mi").await?;
        ensure!(!has_size_condition(&status), "{status:?}");
        ensure!(promised(&status) == Some("5Mi") && !is_resizing(&status), "{status:?}");
        let volume = scene.bound(&claim).await?;
        assert_eq!(
            volume.spec.context("a spec")?.capacity.context("a capacity")?["storage"].0,
            "5Mi"
        );
        assert_eq!(record(&scene, &claim)?.bytes, 5 << 20);
        scene.event_with(&namespace, "data", "VolumeResizeSuccessful", "from 1Mi to 5Mi").await?;
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_requests_too_much_gets_an_event_and_can_request_less() -> Result<()> {
    let scene = or_skip!(Scene::new().await, Ok(()));
    let class = scene.class("small", &[("pool", "small")]).await?;
    let small = scene.folder.path().join("small");
    std::fs::create_dir(&small)?;
    let _agent =
        scene.agent_with(&[&format!("--pool=small={},size=100Mi,reserve=10%", small.display())])?;
    with_namespace(&scene.client, async |namespace| {
        let other = scene.claim("other").class(&class).asks("30Mi");
        scene.bound(&scene.create(&namespace, other).await?).await?;
        let claim =
            scene.create(&namespace, scene.claim("data").class(&class).asks("10Mi")).await?;
        scene.bound(&claim).await?;
        resize(&scene, &claim, "61Mi").await?;
        let figures = "pool small has 60Mi available, the claim requests 61Mi";
        scene.event_with(&namespace, "data", "VolumeResizeFailed", figures).await?;
        let claims = scene.claims(&namespace);
        eventually(DEADLINE, "the claim says why", || async {
            let status = claims.get("data").await?.status.context("a status")?;
            let conditions = status.conditions.unwrap_or_default();
            let failed = conditions.iter().find(|failed| failed.type_ == "ControllerResizeError");
            let message = failed.and_then(|failed| failed.message.as_deref()).unwrap_or_default();
            ensure!(message.contains(figures), "{conditions:?}");
            let statuses = status.allocated_resource_statuses.unwrap_or_default();
            ensure!(statuses["storage"] == "ControllerResizeInfeasible", "{statuses:?}");
            Ok(())
        })
        .await?;
        resize(&scene, &claim, "60Mi").await?;
        let status = shows(&scene, &claim, "60Mi").await?;
        ensure!(!has_size_condition(&status), "{status:?}");
        ensure!(promised(&status) == Some("60Mi") && !is_resizing(&status), "{status:?}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_resize_is_completed_at_the_next_start() -> Result<()> {
    let scene = or_skip!(Scene::new().await, Ok(()));
    with_namespace(&scene.client, async |namespace| {
        let agent = scene.agent()?;
        let resized = scene.create(&namespace, scene.claim("resized")).await?;
        let untouched = scene.create(&namespace, scene.claim("untouched")).await?;
        let volume = scene.bound(&resized).await?;
        scene.bound(&untouched).await?;
        agent.end().await?;
        // Of one claim the volume is resized and the status is not updated; of the other nothing is
        // done.
        for claim in [&resized, &untouched] {
            resize(&scene, claim, "3Mi").await?;
        }
        let capacity = json!({ "spec": { "capacity": { "storage": "3Mi" } } });
        scene.patch_volume(&volume.name_any(), capacity).await?;
        let _agent = scene.agent()?;
        for claim in [&resized, &untouched] {
            let status = shows(&scene, claim, "3Mi").await?;
            ensure!(promised(&status) == Some("3Mi") && !is_resizing(&status), "{status:?}");
        }
        assert_eq!(record(&scene, &untouched)?.bytes, 3 << 20);
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn kubernetes_refuses_a_claim_that_requests_less_than_it_has() -> Result<()> {
    let scene = or_skip!(Scene::new().await, Ok(()));
    let _agent = scene.agent()?;
    with_namespace(&scene.client, async |namespace| {
        let claim = scene.claim("data").class(names::CLASS_DEFAULT).asks("4Mi");
        let claim = scene.create(&namespace, claim).await?;
        scene.bound(&claim).await?;
        let refused = resize(&scene, &claim, "2Mi").await;
        let words = refused.err().map(|error| format!("{error:#}")).unwrap_or_default();
        ensure!(words.contains("less than"), "{words:?}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_without_its_label_grows_and_one_without_its_annotation_gets_an_event() -> Result<()>
{
    let scene = or_skip!(Scene::new().await, Ok(()));
    let _agent = scene.agent()?;
    with_namespace(&scene.client, async |namespace| {
        let label = scene.create(&namespace, scene.claim("label")).await?;
        let both = scene.create(&namespace, scene.claim("both")).await?;
        for claim in [&label, &both] {
            scene.bound(claim).await?;
            scene.patch_claim(claim, json!({ "metadata": { "labels": null } })).await?;
        }
        let pin = json!({ "metadata": { "annotations": { names::NODE: null } } });
        scene.patch_claim(&both, pin).await?;
        for claim in [&label, &both] {
            resize(&scene, claim, "5Mi").await?;
        }
        shows(&scene, &label, "5Mi").await?;
        assert_eq!(record(&scene, &label)?.bytes, 5 << 20);
        let text = "does not have label fastrak.io/node";
        scene.event_with(&namespace, "label", "NodeLabelMissing", text).await?;
        let text = "label and annotation";
        let note = scene.event_with(&namespace, "both", "NodeLabelMissing", text).await?;
        ensure!(note.contains("does not grow"), "{note}");
        shows(&scene, &both, "1Mi").await?;
        let node = json!({ names::NODE: scene.node });
        let restored = json!({ "metadata": { "labels": node, "annotations": node } });
        scene.patch_claim(&both, restored).await?;
        shows(&scene, &both, "5Mi").await?;
        Ok(())
    })
    .await
}
