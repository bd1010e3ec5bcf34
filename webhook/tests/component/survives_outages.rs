//! Replicas killed at any moment of a rotation, and an outage of the API server.

use crate::continuous_client::{ContinuousClient, Excused};
use crate::publishes_its_certificate::Seen;
use crate::repairs_certificates::left;
use crate::rotates_without_a_gap::SHORT;
use crate::runs_as_a_program::{PROGRAM, free_port};
use crate::test_cluster::{SOON, TestCluster};
use anyhow::{Result, ensure};
use fastrak_api::names;
use fastrak_testkit::process::{Invocation, Process};
use fastrak_testkit::{Component, Options, eventually, or_skip};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};
use time::Duration as Time;

struct Replica {
    name: String,
    address: SocketAddr,
    process: Process,
    invocation: Invocation,
}

impl Replica {
    async fn start(cluster: &TestCluster, number: usize) -> Result<Self> {
        let address: SocketAddr = (Ipv4Addr::LOCALHOST, free_port().await?).into();
        let invocation = Invocation::new(Path::new(PROGRAM))
            .arg(format!("--listen={address}"))
            .arg("--admin-addr=127.0.0.1:0")
            .arg("--certificate-poll=1")
            .arg(format!("--kubeconfig={}", cluster.kubeconfig()))
            .args(SHORT);
        let name = format!("replica-{number}");
        let log = cluster.plane.logs_dir().join(format!("{name}.log"));
        let process = Process::start(&name, &invocation, &log)?;
        Ok(Self { name, address, process, invocation })
    }

    /// Kills the process and starts it again.
    fn kill(&mut self) -> Result<()> {
        self.process.kill();
        let log = self.process.log().to_owned();
        self.process = Process::start(&self.name, &self.invocation, &log)?;
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_killed_during_a_rotation_serve_only_trusted_certificates() -> Result<()> {
    let cluster = or_skip!(TestCluster::start(Options::api_only()).await, Ok(()));
    let seen = Seen::by(&cluster);
    let mut replicas = [Replica::start(&cluster, 0).await?, Replica::start(&cluster, 1).await?];
    let addresses = replicas.iter().map(|replica| replica.address).collect();
    seen.is_published().await?;
    let caller = ContinuousClient::direct(&cluster, addresses, Excused::Interruptions).await?;

    let (mut signed, mut kills) = (std::collections::BTreeSet::new(), 0);
    let start = Instant::now();
    // Each kill follows a change of the Secret with a slightly longer delay.
    while signed.len() < 5 {
        ensure!(start.elapsed() < 4 * SOON, "after {kills} kills: {} CAs", signed.len());
        let before = seen.secrets.get_opt(names::WEBHOOK_SECRET).await?;
        let version = |secret: &Option<k8s_openapi::api::core::v1::Secret>| {
            secret.as_ref().and_then(|secret| secret.metadata.resource_version.clone())
        };
        let changed = eventually(SOON, "the Secret changes", || async {
            let now = seen.secrets.get_opt(names::WEBHOOK_SECRET).await?;
            ensure!(version(&now) != version(&before), "not yet");
            Ok(now)
        });
        let _changed = changed.await?;
        let late = Duration::from_millis(kills * 7 % 120);
        let until = Instant::now() + late;
        eventually(SOON, "the delay", || std::future::ready(Instant::now() >= until)).await?;
        replicas[usize::try_from(kills % 2)?].kill()?;
        kills += 1;
        signed.insert(seen.stored(names::SECRET_CA_KEY).await?);
    }
    // Without further kills both serve a trusted certificate.
    seen.is_published().await?;
    for replica in &replicas {
        eventually(SOON, "it serves a trusted certificate", || async {
            let bundle = seen.stored(names::SECRET_CA_CERT).await?;
            crate::continuous_client::call(replica.address, &bundle).await
        })
        .await?;
    }
    let calls = caller.finish().await?;
    ensure!(kills >= 8 && calls[0] > 100, "{kills} kills, {calls:?} calls");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_fails_during_two_minutes_without_the_api_server() -> Result<()> {
    let cluster = or_skip!(TestCluster::start(Options::api_only()).await, Ok(()));
    let seen = Seen::by(&cluster);
    // The certificate is due in half a minute, when it cannot be renewed.
    left(&seen, Time::days(20) - Time::seconds(30)).await?;
    let webhook = cluster.webhook(&[]).await?;
    let leaf = seen.stored(names::SECRET_LEAF_CERT).await?;
    let caller =
        ContinuousClient::direct(&cluster, vec![webhook.address], Excused::Nothing).await?;

    cluster.plane.stop_component(Component::ApiServer)?;
    let back = Instant::now() + Duration::from_secs(120);
    let gone = eventually(Duration::from_secs(150), "two minutes are over", || async {
        let (status, body) = crate::http::get(webhook.admin, "/readyz").await?;
        // The webhook stays ready during the outage.
        ensure!(Instant::now() >= back || status != 200, "not yet");
        Ok((status, body))
    });
    let (status, body) = gone.await?;
    ensure!(status == 200, "{status}: {body}");
    let metrics = webhook.metrics().await?;
    ensure!(
        metrics.contains(r#"rotation_failures_total{cause="read_configuration"}"#),
        "{metrics}"
    );
    cluster.plane.start_component(Component::ApiServer).await?;

    eventually(SOON, "the certificate is renewed", || async {
        ensure!(seen.stored(names::SECRET_LEAF_CERT).await? != leaf, "not yet");
        Ok(())
    })
    .await?;
    cluster.is_asked().await?;
    caller.finish().await?;
    webhook.stop().await
}
