//! The program stays within the memory limit of its manifest with the largest objects that an API
//! server accepts, also while it leads, repairs claims and Services, and gives addresses.

use crate::addresses::Addresses;
use crate::runs_as_a_program::Program;
use crate::test_cluster::{SOON, TestCluster};
use anyhow::{Context as _, Result, ensure};
use fastrak_api::names;
use fastrak_api::names::kubernetes::SELECTED_NODE;
use fastrak_testkit::objects::{claim, pod, service};
use fastrak_testkit::{Options, eventually, fake_node, memory, or_skip};
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::{ContainerPort, PersistentVolumeClaim, Pod, Service};
use kube::Api;
use kube::api::PostParams;

const COUNT: usize = 200;
/// The bytes of a claim's labels, near the limit of an API server: etcd accepts requests of 1.5
/// MiB.
const LABELS: usize = 1_200_000;
const SERVICE_LABELS: usize = 120_000;
/// Every tenth object needs a repair.
const REPAIRED: usize = COUNT / 10;

/// Creates large claims and Services that wait.
async fn make(cluster: &TestCluster) -> Result<()> {
    let (claims, services): (Api<PersistentVolumeClaim>, Api<Service>) =
        (cluster.api("default"), cluster.api("default"));
    let large = |number: usize| {
        let (claims, services) = (claims.clone(), services.clone());
        let needs_repair = number < REPAIRED;
        let mut waits = claim(&format!("data-{number}")).class(names::CLASS_DEFAULT);
        let mut asks = service(&format!("web-{number}")).load_balancer().port(80);
        if needs_repair {
            waits = waits.annotate(SELECTED_NODE, "node-a");
        } else {
            asks = asks.annotate(names::BALANCER_DECISION, "none");
        }
        let (mut waits, mut asks) = (waits.build("default"), asks.build("default"));
        waits.metadata.labels.get_or_insert_default().extend(memory::labels(LABELS));
        asks.metadata.labels.get_or_insert_default().extend(memory::labels(SERVICE_LABELS));
        async move {
            claims.create(&PostParams::default(), &waits).await?;
            services.create(&PostParams::default(), &asks).await.map(drop)
        }
    };
    let made = futures::stream::iter((0..COUNT).map(large)).buffer_unordered(4);
    made.try_collect::<()>().await.context("make claims and Services")
}

#[tokio::test]
async fn hundreds_of_objects_of_more_than_a_megabyte_fit_into_the_leader() -> Result<()> {
    let cluster = or_skip!(TestCluster::start(Options::api_only()).await, Ok(()));
    for name in ["node-a", "node-b"] {
        fake_node(&cluster.client, name).await?;
    }
    no_webhook(&cluster).await?;
    make(&cluster).await?;
    let program = Program::start(&cluster, &["--repair-delay=0.2"]).await?;
    eventually(SOON * 6, "everything is repaired", || async {
        let metrics = program.metrics().await?;
        for resource in ["persistentvolumeclaims", "services"] {
            let line = format!(
                "fastrak_webhook_repairs_total{{resource=\"{resource}\",outcome=\"repaired\"}} {REPAIRED}"
            );
            ensure!(metrics.contains(&line), "{metrics}");
            let idle = format!("fastrak_webhook_repair_backlog{{resource=\"{resource}\"}} 0");
            ensure!(metrics.contains(&idle), "{metrics}");
        }
        Ok(())
    })
    .await?;
    is_within_its_limit(&program)
}

/// Creates large Services that get the addresses of the nodes that run their pods, the
/// EndpointSlices that name those, and pods with host ports.
async fn make_addressed(addresses: &Addresses) -> Result<()> {
    let pods: Api<Pod> = addresses.cluster.api("default");
    let services = addresses.services();
    let large = |number: usize| {
        let (name, port) = (format!("web-{number}"), 1000 + u16::try_from(number).unwrap_or(0));
        let mut asks = service(&name).load_balancer().port(port).local().build("default");
        asks.metadata.labels.get_or_insert_default().extend(memory::labels(SERVICE_LABELS));
        let mut user = pod(&name).on_node("node-a").build("default");
        let host_port = ContainerPort {
            container_port: 80,
            host_port: Some(i32::from(port) + 1000),
            ..ContainerPort::default()
        };
        let containers = &mut user.spec.get_or_insert_default().containers;
        containers.iter_mut().for_each(|it| it.ports = Some(vec![host_port.clone()]));
        user.metadata.labels.get_or_insert_default().extend(memory::labels(LABELS));
        let (pods, services) = (pods.clone(), services.clone());
        async move {
            addresses.pods_on(&name, "node-a").await?;
            pods.create(&PostParams::default(), &user).await?;
            services.create(&PostParams::default(), &asks).await.map(drop)?;
            anyhow::Ok(())
        }
    };
    let made = futures::stream::iter((0..COUNT).map(large)).buffer_unordered(4);
    made.try_collect::<()>().await.context("make Services, EndpointSlices and pods")
}

#[tokio::test]
async fn addresses_for_hundreds_of_large_services_fit_into_the_leader() -> Result<()> {
    let Some(addresses) = Addresses::start().await? else { return Ok(()) };
    no_webhook(&addresses.cluster).await?;
    addresses.cluster.plane.kubectl(&["create", "serviceaccount", "default"]).await?;
    make_addressed(&addresses).await?;
    let flags = ["--repair-delay=0.2", "--addresses", "--balancer=node-ip"];
    let program = Program::start(&addresses.cluster, &flags).await?;
    eventually(SOON * 6, "each Service has a port of a node", || async {
        let metrics = program.metrics().await?;
        let line = format!("fastrak_webhook_frontends{{state=\"accepted\"}} {COUNT}");
        ensure!(metrics.contains(&line), "{metrics}");
        Ok(())
    })
    .await?;
    for number in 0..COUNT {
        addresses.has_within(SOON * 6, &format!("web-{number}"), &["192.0.2.1"]).await?;
    }
    is_within_its_limit(&program)
}

/// Removes the webhook configuration: no webhook answers yet, and the API server would wait two
/// seconds at each write.
async fn no_webhook(cluster: &TestCluster) -> Result<()> {
    let configuration = ["delete", "mutatingwebhookconfiguration", names::WEBHOOK_CONFIGURATION];
    cluster.plane.kubectl(&configuration).await.map(drop)
}

fn is_within_its_limit(program: &Program) -> Result<()> {
    let (peak, limit) = (memory::peak(program.process.pid())?, memory::limit("webhook.yaml")?);
    ensure!(peak <= limit, "{} KiB of {} KiB", peak >> 10, limit >> 10);
    Ok(())
}
