//! A claim that a volume populator fills gets no volume of its own and no event, and keeps the
//! volume of the populator.

use crate::scene::{Scene, path_of};
use anyhow::{Context, Result, ensure};
use fastrak_testkit::{or_skip, with_namespace};
use k8s_openapi::api::core::v1::{Event, TypedObjectReference};
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use serde_json::json;

const FINALIZER: &str = "hello.example.com/populate-target-protection";

#[tokio::test(flavor = "multi_thread")]
async fn a_populators_claim_gets_the_volume_that_was_filled_for_it() -> Result<()> {
    let scene = or_skip!(Scene::new().await, Ok(()));
    let _agent = scene.agent()?;
    with_namespace(&scene.client, async |namespace| {
        let mut wanted = scene.claim("data").build(&namespace);
        wanted.metadata.finalizers = Some(vec![FINALIZER.to_owned()]);
        wanted.spec.get_or_insert_default().data_source_ref = Some(TypedObjectReference {
            api_group: Some("hello.example.com".to_owned()),
            kind: "Hello".to_owned(),
            name: "world".to_owned(),
            ..TypedObjectReference::default()
        });
        let claims = scene.claims(&namespace);
        let data = claims.create(&kube::api::PostParams::default(), &wanted).await?;

        // A populator fills a claim of its own and gives its volume to the user's claim.
        let prime = scene.create(&namespace, scene.claim("prime")).await?;
        let volume = scene.bound(&prime).await?;
        std::fs::write(path_of(&volume).join("file"), "hello")?;
        let own = data.uid().context("it has a uid")?;
        ensure!(!scene.directories().contains(&own), "a directory was made for the user's claim");
        let claim_ref = json!({
            "name": "data", "namespace": namespace, "uid": own,
            "resourceVersion": data.resource_version(),
        });
        let name = volume.name_any();
        scene.patch_volume(&name, json!({ "spec": { "claimRef": claim_ref } })).await?;
        scene.delete(&prime).await?;
        ensure!(scene.bound(&data).await?.name_any() == name, "it is bound to another volume");

        let events: Api<Event> = Api::namespaced(scene.client.clone(), &namespace);
        let events = events.list(&ListParams::default()).await?.items;
        let failed =
            events.iter().find(|event| event.reason.as_deref() == Some("ProvisioningFailed"));
        ensure!(failed.is_none(), "{failed:?}");
        ensure!(std::fs::read_to_string(path_of(&volume).join("file"))? == "hello", "other data");

        let released = json!({ "metadata": { "finalizers": null } });
        scene.patch_claim(&data, released).await?;
        scene.delete(&data).await?;
        scene.gone(&name).await
    })
    .await
}
