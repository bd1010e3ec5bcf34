//! A Service of type LoadBalancer gets a decision, and loses it with its type.

use crate::test_cluster::{TestCluster, annotation};
use anyhow::Result;
use fastrak_api::names::inlets::{MANAGE, MANAGE_LEGACY};
use fastrak_api::names::{self, BALANCER, BALANCER_DECISION};
use fastrak_testkit::objects::{ServiceBuilder, service};
use fastrak_testkit::{Options, or_skip};
use k8s_openapi::api::core::v1::Service;
use kube::Api;
use kube::ResourceExt as _;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

type Message = (Option<String>, Option<String>, Option<String>);

/// The annotations of the inlets operator, current and older, and the decision.
fn said(service: &Service) -> Message {
    let text = |key| annotation(&service.metadata, key);
    (text(MANAGE), text(MANAGE_LEGACY), text(BALANCER_DECISION))
}

fn saying(manage: Option<&str>, legacy: Option<&str>, decision: Option<&str>) -> Message {
    let text = |part: Option<&str>| part.map(str::to_owned);
    (text(manage), text(legacy), text(decision))
}

struct Services(Api<Service>);

impl Services {
    async fn create(&self, builder: ServiceBuilder) -> Result<Service> {
        Ok(self.0.create(&PostParams::default(), &builder.build("default")).await?)
    }

    async fn change(&self, name: &str, patch: Value) -> Result<Service> {
        Ok(self.0.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await?)
    }
}

fn web(name: &str) -> ServiceBuilder {
    service(name).load_balancer().port(80)
}

#[tokio::test]
async fn a_service_gets_a_decision_and_loses_it_with_its_type() -> Result<()> {
    let cluster = or_skip!(TestCluster::start(Options::api_only()).await, Ok(()));
    let webhook = cluster.webhook(&[]).await?;
    let services = Services(cluster.api("default"));
    let inlets = saying(Some("1"), Some("true"), Some("inlets"));
    let none = saying(Some("0"), Some("false"), Some("none"));
    let nothing = saying(None, None, None);

    let made = services.create(web("plain").annotate("own.io/x", "kept")).await?;
    assert_eq!(said(&made), inlets);
    assert_eq!(annotation(&made.metadata, "own.io/x").as_deref(), Some("kept"));
    assert_eq!(said(&services.create(web("mute").annotate(BALANCER, "none")).await?), none);
    let udp = service("udp").load_balancer().protocol_port("UDP", 53);
    assert_eq!(said(&services.create(udp).await?), none);

    let skips = [
        ("a", web("a").class("example.com/other"), "foreign-class"),
        ("b", web("b").annotate("metallb.io/address-pool", "x"), "foreign-mark"),
        (
            "c",
            web("c").with_spec(|spec| spec.external_ips = Some(vec!["192.0.2.1".to_owned()])),
            "foreign-address",
        ),
        ("d", web("d").annotate(BALANCER, "node-ip"), "unsupported-mode"),
        ("e", web("e").annotate(BALANCER, "rubbish"), "unsupported-mode"),
    ];
    for (name, builder, skip) in skips {
        let decision = format!("skipped:{skip}");
        let made = services.create(builder).await?;
        assert_eq!(said(&made), saying(None, None, Some(&decision)), "{name}");
    }
    let own = services.create(web("own").annotate(MANAGE, "1")).await?;
    assert_eq!(said(&own), saying(Some("1"), None, Some("skipped:user-managed")));
    let out = web("out").label(names::ADMISSION, names::ADMISSION_DISABLED);
    assert_eq!(said(&services.create(out).await?), nothing);
    assert_eq!(said(&services.create(service("inner").port(80)).await?), nothing);

    let given_up = services.change("plain", json!({"spec": {"type": "ClusterIP"}})).await?;
    assert_eq!(said(&given_up), nothing, "otherwise the operator keeps a machine that costs money");
    let taken = services.change("plain", json!({"spec": {"type": "LoadBalancer"}})).await?;
    assert_eq!(said(&taken), inlets);
    let wish = |choice: Option<&str>| json!({"metadata": {"annotations": {BALANCER: choice}}});
    assert_eq!(said(&services.change("plain", wish(Some("none"))).await?), none);
    assert_eq!(said(&services.change("plain", wish(None)).await?), inlets);

    // The user is warned of a mode that is not supported.
    let yaml = serde_json::to_string(&json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "warned", "annotations": {BALANCER: "ip-alias"}},
        "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]},
    }))?;
    let command = cluster.plane.kubectl_command().args(["create", "-f", "-"]).stdin(yaml);
    let printed = command.run().await?.stderr;
    let text = "Warning: fastrak: left it: \"ip-alias\" is not auto";
    assert!(printed.contains(text), "{printed}");

    // Other defaults change nothing that was decided.
    webhook.stop().await?;
    let webhook = cluster.webhook(&["--balancer=none"]).await?;
    let touch = json!({"metadata": {"annotations": {"own.io/y": "z"}}});
    assert_eq!(said(&services.change("plain", touch).await?), inlets);
    assert_eq!(said(&services.create(web("late")).await?), none);
    webhook.stop().await
}

/// Writes an address as the inlets operator does.
async fn obtain_address(services: &Services, name: &str) -> Result<()> {
    services.change(name, json!({"spec": {"externalIPs": ["192.0.2.1"]}})).await?;
    let status = json!({"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}});
    let params = PatchParams {
        field_manager: Some(names::inlets::OPERATOR.to_owned()),
        ..PatchParams::default()
    };
    services.0.patch_status(name, &params, &Patch::Merge(status)).await?;
    Ok(())
}

/// Replaces a Service like a client that does not keep the annotations of others.
async fn replace(services: &Services, name: &str, builder: ServiceBuilder) -> Result<Service> {
    let found = services.0.get(name).await?;
    let mut object = builder.build("default");
    object.metadata.resource_version = found.resource_version();
    Ok(services.0.replace(name, &PostParams::default(), &object).await?)
}

#[tokio::test]
async fn a_service_that_is_replaced_without_its_annotations_keeps_its_decision() -> Result<()> {
    let cluster = or_skip!(TestCluster::start(Options::api_only()).await, Ok(()));
    let webhook = cluster.webhook(&[]).await?;
    let services = Services(cluster.api("default"));
    let inlets = saying(Some("1"), Some("true"), Some("inlets"));

    services.create(web("plain")).await?;
    obtain_address(&services, "plain").await?;
    let replaced = replace(&services, "plain", web("plain").annotate("own.io/x", "y")).await?;
    assert_eq!(said(&replaced), inlets, "otherwise its tunnel and its address are lost");
    assert_eq!(annotation(&replaced.metadata, "own.io/x").as_deref(), Some("y"));
    let decision = json!({"metadata": {"annotations": {BALANCER_DECISION: null}}});
    assert_eq!(said(&services.change("plain", decision).await?), inlets);
    let manage = json!({"metadata": {"annotations": {MANAGE: null, MANAGE_LEGACY: null}}});
    assert_eq!(said(&services.change("plain", manage).await?), inlets);

    let chosen = replace(&services, "plain", web("plain").annotate(BALANCER, "none")).await?;
    assert_eq!(said(&chosen), saying(Some("0"), Some("false"), Some("none")));
    services.create(web("typed")).await?;
    let typed = replace(&services, "typed", service("typed").port(80)).await?;
    assert_eq!(said(&typed), saying(None, None, None));
    services.create(web("own")).await?;
    let own = replace(&services, "own", web("own").annotate(MANAGE, "0")).await?;
    assert_eq!(said(&own), saying(Some("0"), None, Some("skipped:user-managed")));
    webhook.stop().await
}

#[tokio::test]
async fn a_service_with_source_ranges_is_never_public() -> Result<()> {
    let cluster = or_skip!(TestCluster::start(Options::api_only()).await, Ok(()));
    let webhook = cluster.webhook(&[]).await?;
    let services = Services(cluster.api("default"));
    let inlets = saying(Some("1"), Some("true"), Some("inlets"));
    let none = saying(Some("0"), Some("false"), Some("none"));
    let ranges = |ranges: Value| json!({"spec": {"loadBalancerSourceRanges": ranges}});

    let inner = web("inner").with_spec(|spec| {
        spec.load_balancer_source_ranges = Some(vec!["10.0.0.0/8".to_owned()]);
    });
    assert_eq!(said(&services.create(inner).await?), none);
    assert_eq!(said(&services.create(web("outer")).await?), inlets);
    obtain_address(&services, "outer").await?;
    assert_eq!(said(&services.change("outer", ranges(json!(["10.0.0.0/8"]))).await?), none);
    assert_eq!(said(&services.change("outer", ranges(Value::Null)).await?), inlets);

    let fixed = web("fixed").with_spec(|spec| spec.load_balancer_ip = Some("10.0.0.7".to_owned()));
    assert_eq!(said(&services.create(fixed).await?), none);
    let local = web("local").local().build("default");
    let yaml = serde_json::to_string(&local)?;
    let command = cluster.plane.kubectl_command().args(["create", "-f", "-"]).stdin(yaml);
    let printed = command.run().await?.stderr;
    assert!(printed.contains("externalTrafficPolicy: Local has no effect"), "{printed}");
    assert_eq!(said(&services.0.get("local").await?), inlets);
    webhook.stop().await
}
