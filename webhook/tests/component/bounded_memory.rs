//! The program stays within the memory limit of its manifest with the largest claims and Services
//! that an API server accepts, also while it leads and repairs them.

use crate::http;
use crate::runs_as_a_program::{PROGRAM, free_port};
use crate::test_cluster::{SOON, TestCluster};
use anyhow::{Context as _, Result, ensure};
use fastrak_api::names;
use fastrak_api::names::kubernetes::SELECTED_NODE;
use fastrak_testkit::objects::{claim, service};
use fastrak_testkit::process::{Invocation, Process};
use fastrak_testkit::{Options, eventually, fake_node, memory, or_skip};
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Service};
use kube::Api;
use kube::api::PostParams;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

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
    // No webhook answers yet, and the API server would wait two seconds at each write.
    let configuration = ["delete", "mutatingwebhookconfiguration", names::WEBHOOK_CONFIGURATION];
    cluster.plane.kubectl(&configuration).await?;
    make(&cluster).await?;
    let admin: SocketAddr = (Ipv4Addr::LOCALHOST, free_port().await?).into();
    let invocation = Invocation::new(Path::new(PROGRAM))
        .arg("--listen=127.0.0.1:0")
        .arg(format!("--admin-addr={admin}"))
        .arg("--repair-delay=0.2")
        .arg(format!("--kubeconfig={}", cluster.kubeconfig()));
    let log = cluster.plane.logs_dir().join("fastrak-webhook.log");
    let process = Process::start("fastrak-webhook", &invocation, &log)?;
    eventually(SOON * 6, "everything is repaired", || async {
        let (_, metrics) = http::get(admin, "/metrics").await?;
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
    let (peak, limit) = (memory::peak(process.pid())?, memory::limit("webhook.yaml")?);
    ensure!(peak <= limit, "{} KiB of {} KiB", peak >> 10, limit >> 10);
    Ok(())
}
