//! Services that were created or changed without the webhook are repaired when it is back.

use crate::test_cluster::{SOON, TestCluster, annotation};
use anyhow::{Result, ensure};
use fastrak_api::names::inlets::{MANAGE, MANAGE_LEGACY};
use fastrak_api::names::{self, BALANCER, BALANCER_DECISION};
use fastrak_testkit::objects::{ServiceBuilder, service};
use fastrak_testkit::{Options, eventually, or_skip};
use k8s_openapi::api::core::v1::Service;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

type Message = (Option<String>, Option<String>, Option<String>);

/// The annotations of the inlets operator, current and older, and the decision.
fn said(service: &Service) -> Message {
    let text = |key| annotation(&service.metadata, key);
    (text(MANAGE), text(MANAGE_LEGACY), text(BALANCER_DECISION))
}

fn inlets() -> Message {
    (Some("1".to_owned()), Some("true".to_owned()), Some("inlets".to_owned()))
}

fn web(name: &str) -> ServiceBuilder {
    service(name).load_balancer().port(80)
}

async fn create(api: &Api<Service>, builder: ServiceBuilder, namespace: &str) -> Result<Service> {
    Ok(api.create(&PostParams::default(), &builder.build(namespace)).await?)
}

async fn change(api: &Api<Service>, name: &str, patch: Value) -> Result<Service> {
    Ok(api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await?)
}

async fn becomes(api: &Api<Service>, name: &str, wanted: Message) -> Result<()> {
    eventually(SOON, format!("Service {name} is repaired"), || async {
        let found = said(&api.get(name).await?);
        ensure!(found == wanted, "{found:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn missed_services_are_repaired() -> Result<()> {
    let cluster = or_skip!(TestCluster::start(Options::api_only()).await, Ok(()));
    cluster.plane.kubectl(&["create", "namespace", "opted-out"]).await?;
    let opt_out = format!("{}={}", names::ADMISSION, names::ADMISSION_DISABLED);
    cluster.plane.kubectl(&["label", "namespace", "opted-out", &opt_out]).await?;
    let (services, elsewhere): (Api<Service>, Api<Service>) =
        (cluster.api("default"), cluster.api("opted-out"));
    let none = (Some("0".to_owned()), Some("false".to_owned()), Some("none".to_owned()));
    let nothing: Message = (None, None, None);

    let webhook = cluster.webhook(&[]).await?;
    for name in ["kept", "flipped", "asked"] {
        assert_eq!(said(&create(&services, web(name), "default").await?), inlets());
    }
    webhook.stop().await?;

    // No webhook runs now.
    assert_eq!(said(&create(&services, web("missed"), "default").await?), nothing);
    let cluster_ip = json!({"spec": {"type": "ClusterIP"}});
    assert_eq!(said(&change(&services, "flipped", cluster_ip).await?), inlets());
    let wish = json!({"metadata": {"annotations": {BALANCER: "none"}}});
    assert_eq!(said(&change(&services, "asked", wish).await?), inlets());
    create(&services, service("inner").port(80), "default").await?;
    let out = web("out").label(names::ADMISSION, names::ADMISSION_DISABLED);
    create(&services, out, "default").await?;
    create(&elsewhere, web("far"), "opted-out").await?;
    let system: Api<Service> = cluster.api("kube-system");
    create(&system, web("own"), "kube-system").await?;

    // The configuration has changed. Existing decisions are kept.
    let webhook = cluster.run(&["--balancer=none"]).await?;
    becomes(&services, "missed", none.clone()).await?;
    becomes(&services, "flipped", nothing.clone()).await?;
    becomes(&services, "asked", none.clone()).await?;
    cluster.has_event("BalancerRepaired", "missed", "none").await?;
    cluster.has_event("BalancerRepaired", "flipped", "removed the decision").await?;
    let line = r#"fastrak_webhook_repairs_total{resource="services",outcome="repaired"} 3"#;
    let idle = r#"fastrak_webhook_repair_backlog{resource="services"} 0"#;
    webhook.shows(&[line, idle]).await?;
    // One task handles Services in order: after a later one, the others were handled.
    cluster.unregister().await?;
    create(&services, web("later"), "default").await?;
    becomes(&services, "later", none).await?;
    assert_eq!(said(&services.get("kept").await?), inlets());
    for (api, name) in
        [(&services, "inner"), (&services, "out"), (&elsewhere, "far"), (&system, "own")]
    {
        assert_eq!(said(&api.get(name).await?), nothing, "{name}");
    }
    webhook.stop().await
}

/// Writes an address into the status of a Service as this field manager.
async fn give_address(api: &Api<Service>, name: &str, by: &str) -> Result<()> {
    let status = json!({"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}});
    let params = PatchParams { field_manager: Some(by.to_owned()), ..PatchParams::default() };
    api.patch_status(name, &params, &Patch::Merge(status)).await?;
    Ok(())
}

#[tokio::test]
async fn a_lost_decision_is_restored_if_the_operator_wrote_the_address() -> Result<()> {
    let cluster = or_skip!(TestCluster::start(Options::api_only()).await, Ok(()));
    let services: Api<Service> = cluster.api("default");
    for name in ["ours", "others"] {
        create(&services, web(name), "default").await?;
    }
    give_address(&services, "ours", names::inlets::OPERATOR).await?;
    give_address(&services, "others", "controller").await?;
    let webhook = cluster.run(&["--balancer=none"]).await?;
    becomes(&services, "ours", inlets()).await?;
    let foreign = (None, None, Some("skipped:foreign-address".to_owned()));
    becomes(&services, "others", foreign).await?;
    webhook.stop().await
}

#[tokio::test]
async fn an_address_of_another_load_balancer_ends_the_decision() -> Result<()> {
    let cluster = or_skip!(TestCluster::start(Options::api_only()).await, Ok(()));
    let services: Api<Service> = cluster.api("default");
    let webhook = cluster.webhook(&[]).await?;
    for name in ["ours", "others"] {
        let asking = web(name).annotate(BALANCER, "inlets");
        assert_eq!(said(&create(&services, asking, "default").await?), inlets());
    }
    // Only the status changes, for which the webhook is not called.
    give_address(&services, "ours", names::inlets::OPERATOR).await?;
    give_address(&services, "others", "k3s").await?;
    let text = |text: &str| Some(text.to_owned());
    let withheld = (text("0"), text("false"), text("skipped:foreign-address"));
    becomes(&services, "others", withheld.clone()).await?;
    cluster.has_event("BalancerRepaired", "others", "skipped:foreign-address").await?;
    // After a later Service, the others were handled; nothing is repaired twice.
    cluster.unregister().await?;
    create(&services, web("later"), "default").await?;
    becomes(&services, "later", inlets()).await?;
    assert_eq!(said(&services.get("others").await?), withheld);
    assert_eq!(said(&services.get("ours").await?), inlets());
    let line = r#"fastrak_webhook_repairs_total{resource="services",outcome="repaired"} 2"#;
    webhook.shows(&[line]).await?;
    webhook.stop().await
}

#[tokio::test]
async fn source_ranges_added_without_the_webhook_end_the_tunnel() -> Result<()> {
    let cluster = or_skip!(TestCluster::start(Options::api_only()).await, Ok(()));
    let services: Api<Service> = cluster.api("default");
    let webhook = cluster.webhook(&[]).await?;
    assert_eq!(said(&create(&services, web("outer"), "default").await?), inlets());
    webhook.stop().await?;
    let ranges = json!({"spec": {"loadBalancerSourceRanges": ["10.0.0.0/8"]}});
    assert_eq!(said(&change(&services, "outer", ranges).await?), inlets());
    let webhook = cluster.run(&[]).await?;
    let none = (Some("0".to_owned()), Some("false".to_owned()), Some("none".to_owned()));
    becomes(&services, "outer", none).await?;
    cluster.has_event("BalancerRepaired", "outer", "source_ranges").await?;
    webhook.stop().await
}
