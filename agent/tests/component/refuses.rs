//! A claim that cannot be served gets an event with the reason, and is served as soon as it can be.

use crate::scene::Scene;
use anyhow::{Context, Result, ensure};
use fastrak_api::names::kubernetes;
use fastrak_testkit::objects::node;
use fastrak_testkit::{fake_node_from, or_skip, with_namespace};
use k8s_openapi::api::core::v1::{Event, Node, PersistentVolumeClaim, TypedLocalObjectReference};
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::json;
use std::collections::BTreeMap;

/// Creates the claim and waits for the event. Checks that nothing was created for it.
async fn refused(
    scene: &Scene,
    namespace: &str,
    claim: &PersistentVolumeClaim,
    words: &str,
) -> Result<()> {
    let created = scene.claims(namespace).create(&PostParams::default(), claim).await;
    let created = created.context("create a claim")?;
    scene.event_with(namespace, &created.name_any(), "ProvisioningFailed", words).await?;
    let uid = created.uid().context("it has a uid")?;
    ensure!(!scene.directories().contains(&uid), "a directory was made");
    ensure!(scene.volumes().get_opt(&format!("pvc-{uid}")).await?.is_none(), "a volume was made");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_unservable_claim_is_refused_with_an_alternative() -> Result<()> {
    let scene = or_skip!(Scene::new().await, Ok(()));
    let _agent = scene.agent()?;
    with_namespace(&scene.client, async |namespace| {
        let claim = |name: &str| scene.claim(name);
        let source = TypedLocalObjectReference {
            kind: "PersistentVolumeClaim".to_owned(),
            name: "other".to_owned(),
            ..TypedLocalObjectReference::default()
        };
        let mut selecting = claim("selector").build(&namespace);
        let labels = BTreeMap::from([("disk".to_owned(), "fast".to_owned())]);
        let selector = LabelSelector { match_labels: Some(labels), ..LabelSelector::default() };
        selecting.spec.get_or_insert_default().selector = Some(selector);
        let mut attributes = claim("attributes").build(&namespace);
        attributes.spec.get_or_insert_default().volume_attributes_class_name =
            Some("gold".to_owned());
        let table = [
            (
                claim("block").block().build(&namespace),
                "volumeMode Block is not served; use Filesystem",
            ),
            (claim("many").access("ReadWriteMany").build(&namespace), "use ReadWriteOnce"),
            (claim("readers").access("ReadOnlyMany").build(&namespace), "use ReadWriteOnce"),
            (claim("filled").data_source(source).build(&namespace), "PersistentVolumeClaim/other"),
            (selecting, "spec.selector"),
            (attributes, "spec.volumeAttributesClassName"),
        ];
        for (claim, words) in &table {
            refused(&scene, &namespace, claim, words).await?;
        }
        for (number, key, value, words) in [
            (1, "pool", "../../etc", "pool: \"../../etc\""),
            (2, "pool", "nvme", "it has: default"),
            (3, "mode", "rwxrwxrwx", "mode: \"rwxrwxrwx\""),
            (4, "pathPattern", "{{ .PVC }}", "\"pathPattern\""),
        ] {
            let class = scene.class(&format!("bad-{number}"), &[(key, value)]).await?;
            let name = format!("class-{number}");
            let claim = claim(&name).class(&class).build(&namespace);
            refused(&scene, &namespace, &claim, words).await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_is_reported_once_and_served_at_once_when_its_class_is_corrected() -> Result<()> {
    let scene = or_skip!(Scene::new().await, Ok(()));
    let _agent = scene.agent()?;
    let class = scene.class("corrected", &[("mode", "9")]).await?;
    with_namespace(&scene.client, async |namespace| {
        let claim = scene.create(&namespace, scene.claim("data").class(&class)).await?;
        scene.event(&namespace, "data", "ProvisioningFailed").await?;
        // Any change of the claim requeues it; the same text must not be reported again.
        for round in ["1", "2", "3"] {
            let touched = serde_json::json!({ "metadata": { "annotations": { "round": round } } });
            scene.patch_claim(&claim, touched).await?;
        }
        let classes: Api<StorageClass> = Api::all(scene.client.clone());
        classes.delete(&class, &DeleteParams::default()).await?;
        scene.class("corrected", &[("mode", "0700")]).await?;
        scene.bound(&claim).await?;
        let events: Api<Event> = Api::namespaced(scene.client.clone(), &namespace);
        let events = events.list(&ListParams::default()).await?;
        let by_us = |event: &&Event| {
            event.reason.as_deref() == Some("ProvisioningFailed")
                && event.reporting_component.as_deref() == Some("local.fastrak.io")
        };
        let reported: Vec<_> = events.items.iter().filter(by_us).collect();
        ensure!(reported.len() == 1 && reported[0].series.is_none(), "{reported:?}");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_possible_size_is_refused_with_the_figures() -> Result<()> {
    let scene = or_skip!(Scene::new().await, Ok(()));
    let _agent = scene.agent()?;
    with_namespace(&scene.client, async |namespace| {
        scene.create(&namespace, scene.claim("data").asks("7Ei")).await?;
        let note = scene.event(&namespace, "data", "ProvisioningFailed").await?;
        ensure!(
            note.contains("pool default has ") && note.contains("the claim requests 7Ei"),
            "{note}"
        );
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_hostname_label_is_refused_and_both_nodes_are_named() -> Result<()> {
    let scene = or_skip!(Scene::new().await, Ok(()));
    let other = format!("{}-twin", scene.node);
    let twin = node(&other).label(kubernetes::HOSTNAME, format!("host-of-{}", scene.node));
    fake_node_from(&scene.client, twin).await?;
    let _agent = scene.agent()?;
    with_namespace(&scene.client, async |namespace| {
        let claim = scene.claim("data").build(&namespace);
        let words = format!("nodes {} and {other} have the same label", scene.node);
        refused(&scene, &namespace, &claim, &words).await?;
        let nodes: Api<Node> = Api::all(scene.client.clone());
        nodes.delete(&other, &DeleteParams::default()).await?;
        // It is retried after a minute, or when the claim changes.
        let claim = scene.claims(&namespace).get("data").await?;
        scene
            .patch_claim(&claim, json!({ "metadata": { "labels": { "touched": "yes" } } }))
            .await?;
        scene.bound(&claim).await.map(drop)
    })
    .await
}
