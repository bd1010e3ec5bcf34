//! Two default classes are reported: to the administrator by a gauge and an event on each, to the
//! user by a warning.

use crate::test_cluster::{Running, SOON, TestCluster};
use anyhow::{Result, ensure};
use fastrak_api::names;
use fastrak_testkit::objects::storage_class;
use fastrak_testkit::{Options, eventually, or_skip};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::api::storage::v1::StorageClass;
use kube::Api;
use kube::api::{DeleteParams, ListParams, PostParams};
use serde_json::json;
use std::collections::BTreeSet;

async fn counts(replica: &Running, count: u32) -> Result<()> {
    replica.shows(&[&format!("fastrak_webhook_default_classes {count}")]).await
}

#[tokio::test]
async fn two_default_classes_are_reported_to_administrators_and_users() -> Result<()> {
    let cluster = or_skip!(TestCluster::start(Options::api_only()).await, Ok(()));
    let webhook = cluster.webhook(&[]).await?;
    // Every replica counts, and one records events.
    let second = cluster.run(&[]).await?;
    let counted = async |count: u32| {
        counts(&webhook, count).await?;
        counts(&second, count).await
    };
    counted(1).await?;
    let classes: Api<StorageClass> = Api::all(cluster.client.clone());
    let other = storage_class("other", "example.com/other").default_class().build();
    classes.create(&PostParams::default(), &other).await?;
    counted(2).await?;

    // The newest wins. Of two from the same second the name decides.
    let made = async |name: &str| {
        anyhow::Ok(classes.get(name).await?.metadata.creation_timestamp.map(|time| time.0))
    };
    let newer = made("other").await? > made(names::CLASS_DEFAULT).await?;
    let winner = if newer { "other" } else { names::CLASS_DEFAULT };
    let order = if newer { "other, local-storage" } else { "local-storage, other" };

    let events: Api<Event> = Api::all(cluster.client.clone());
    let both = BTreeSet::from([names::CLASS_DEFAULT.to_owned(), "other".to_owned()]);
    eventually(SOON, "both classes bear the event", || async {
        let all = events.list(&ListParams::default()).await?;
        let notes: Vec<_> = all.items.iter().map(|event| event.note.clone()).collect();
        let printed = all.items.into_iter().filter(|event| {
            event.reason.as_deref() == Some("MultipleDefaultClasses")
                && event.type_.as_deref() == Some("Warning")
                && event.note.as_ref().is_some_and(|note| note.contains(order))
        });
        let on: BTreeSet<_> = printed.filter_map(|event| event.regarding?.name).collect();
        ensure!(on == both, "{on:?} of {notes:?}");
        Ok(())
    })
    .await?;

    let claim = serde_json::to_string(&json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Mi"}},
            "storageClassName": names::CLASS_DEFAULT,
        },
    }))?;
    let command = cluster.plane.kubectl_command().args(["create", "-f", "-"]).stdin(claim);
    let printed = command.run().await?.stderr;
    let wanted =
        format!("Warning: fastrak: several default StorageClasses: {order}; {winner} wins");
    assert!(printed.contains(&wanted), "{printed}");

    classes.delete("other", &DeleteParams::default()).await?;
    counted(1).await?;
    second.stop().await?;
    webhook.stop().await?;
    let all = events.list(&ListParams::default()).await?.items.into_iter();
    let printed = all.filter(|event| event.reason.as_deref() == Some("MultipleDefaultClasses"));
    let mut on: Vec<_> = printed.filter_map(|event| event.regarding?.name).collect();
    on.sort();
    assert_eq!(on, [names::CLASS_DEFAULT, "other"], "one replica records events");
    Ok(())
}

#[tokio::test]
async fn a_class_of_another_provisioner_with_our_name_is_reported() -> Result<()> {
    let cluster = or_skip!(TestCluster::start(Options::api_only()).await, Ok(()));
    let classes: Api<StorageClass> = Api::all(cluster.client.clone());
    classes.delete(names::CLASS_DEFAULT, &DeleteParams::default()).await?;
    let other = storage_class(names::CLASS_DEFAULT, "example.com/other").build();
    classes.create(&PostParams::default(), &other).await?;
    let _webhook = cluster.webhook(&[]).await?;
    let events: Api<Event> = Api::all(cluster.client.clone());
    eventually(SOON, "the class bears the event", || async {
        let all = events.list(&ListParams::default()).await?.items;
        let event = all.iter().find(|event| event.reason.as_deref() == Some("ClassNameTaken"));
        let note = event.and_then(|event| event.note.clone()).unwrap_or_default();
        ensure!(note.contains("deploy/class-names"), "{} events: {note}", all.len());
        Ok(())
    })
    .await
}
