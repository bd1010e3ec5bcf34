//! `deploy/addresses`: what a pod security level refuses of the speaker, and that its rights are those
//! that it uses.

use crate::base::security;
use crate::rights::{compare, granted};
use anyhow::{Context, Result, ensure};
use fastrak_api::assignment::{Assignment, State, lease_name};
use fastrak_api::names;
use fastrak_api::node::NodeName;
use fastrak_e2e::audit::AuditLog;
use fastrak_e2e::install::overlay;
use fastrak_runtime::ready::Readiness;
use fastrak_runtime::shutdown::Shutdown;
use fastrak_runtime::supervise::Supervisor;
use fastrak_speaker::host::link::Sockets;
use fastrak_speaker::interface::InterfaceName;
use fastrak_speaker::metrics::Metrics;
use fastrak_speaker::run::{GRACE, Speaker};
use fastrak_testkit::lan::{Host, Lan};
use fastrak_testkit::{
    ControlPlane, Identity, Options, apply_manifests, eventually, fake_node, or_skip,
};
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::PostParams;
use serde_json::json;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;
use tokio::task::JoinHandle;

const SOON: Duration = Duration::from_secs(30);
const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 200));

async fn installed(options: Options) -> Result<ControlPlane> {
    let plane = ControlPlane::start(options).await?;
    apply_manifests(&plane, &overlay(&plane, &["addresses"])?).await?;
    Ok(plane)
}

fn sockets(host: &Host) -> Result<Sockets> {
    host.network()?.run(|| Sockets::open().context("open the sockets"))
}

/// Starts the speaker of a node. Aborting the task is a power cut.
async fn speaker(plane: &ControlPlane, host: &Host, node: &str) -> Result<JoinHandle<()>> {
    fake_node(&plane.client().await?, node).await?;
    let identity = Identity::on_node(plane, names::NAMESPACE, names::SPEAKER, node).await?;
    let speaker = Speaker {
        node: NodeName::parse(node)?,
        client: identity.client().await?,
        sockets: sockets(host)?,
        interface: Some(InterfaceName::parse("eth0")?),
        readiness: Readiness::new(),
        metrics: Metrics::register(&mut Default::default()),
    };
    let (mut supervisor, shutdown) = (Supervisor::new(), Shutdown::manual());
    speaker.start(&mut supervisor, &shutdown);
    Ok(tokio::spawn(async move { drop(supervisor.run(shutdown, GRACE).await) }))
}

async fn is_held(leases: &Api<Lease>, holder: &str) -> Result<()> {
    let lease = leases.get(&lease_name(ADDRESS)).await?;
    let assignment = Assignment::read(&lease)?;
    ensure!(assignment.holder.as_str() == holder && assignment.state == State::Accepted);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_right_of_the_speaker_is_used_and_none_is_missing() -> Result<()> {
    let lan = or_skip!(Lan::create().await, Ok(()));
    let plane = or_skip!(installed(Options::api_only().audited()).await, Ok(()));
    let hosts = (lan.host(1).await?, lan.host(2).await?);
    let log = AuditLog::from_now(&plane.audit_log())?;
    let first = speaker(&plane, &hosts.0, "node-a").await?;
    let second = speaker(&plane, &hosts.1, "node-b").await?;
    let leases: Api<Lease> = Api::namespaced(plane.client().await?, names::ADDRESS_NAMESPACE);
    let lease: Lease = serde_json::from_value(json!({
        "metadata": {
            "name": lease_name(ADDRESS),
            "labels": { names::ADDRESS: names::ADDRESS_ENABLED },
            "annotations": { names::STANDBY: "node-b", names::ADDRESS_STATE: "proposed" },
        },
        "spec": { "holderIdentity": "node-a" },
    }))?;
    leases.create(&PostParams::default(), &lease).await?;
    eventually(SOON, "it is accepted", || is_held(&leases, "node-a")).await?;
    first.abort();
    eventually(SOON, "it is taken over", || is_held(&leases, "node-b")).await?;
    let granted = granted(&["addresses/rbac-speaker.yaml"]);
    eventually(SOON, "every right is used", || async { compare(&granted, &log.requests()?) })
        .await?;
    second.abort();
    Ok(())
}

#[tokio::test]
async fn the_speaker_exceeds_the_baseline_standard_by_its_network_only() {
    let plane = or_skip!(installed(Options::api_only()).await);
    let sets: Api<DaemonSet> = Api::namespaced(plane.client().await.unwrap(), names::NAMESPACE);
    let set = serde_json::to_value(sets.get(names::SPEAKER).await.unwrap()).unwrap();
    let template = &set["spec"]["template"];
    let refused = security(&plane, "baseline", template, names::SPEAKER).await.unwrap_err();
    let refused = format!("{refused:#}");
    let (_, violations) = refused.trim_end().split_once("baseline:latest\": ").unwrap();
    let expected = [
        r#"non-default capabilities (container "speaker" must not include "NET_RAW" in securityContext.capabilities.add)"#,
        "host namespaces (hostNetwork=true)",
        r#"probe or lifecycle host (container "speaker" uses probe or lifecycle host "127.0.0.1")"#,
    ];
    assert_eq!(violations, expected.join(", "));
}
