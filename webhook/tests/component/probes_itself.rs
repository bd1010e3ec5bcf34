//! A webhook that the API server cannot reach reports it and stays ready, because another replica
//! would be no easier to reach.

use crate::http;
use crate::test_cluster::{SOON, TestCluster};
use anyhow::{Result, ensure};
use fastrak_testkit::{Options, eventually, or_skip};

#[tokio::test]
async fn it_reports_that_the_api_server_does_not_reach_it() -> Result<()> {
    let cluster = or_skip!(TestCluster::start(Options::api_only()).await, Ok(()));
    let webhook = cluster.webhook(&["--probe-interval=0.2"]).await?;
    let shows = async |line: &str| {
        eventually(SOON, line.to_owned(), || async {
            let metrics = webhook.metrics().await?;
            ensure!(metrics.lines().any(|have| have.starts_with(line)), "{metrics}");
            Ok(())
        })
        .await
    };
    let readiness = async || anyhow::Ok(http::get(webhook.admin, "/readyz").await?);
    shows("fastrak_webhook_probe_success{} 1").await?;

    cluster.register("127.0.0.1:9".parse()?).await?;
    shows("fastrak_webhook_probe_success{} 0").await?;
    shows(r#"fastrak_webhook_probe_failures_total{cause="refused"} "#).await?;
    let (status, body) = readiness().await?;
    ensure!(status == 200 && body.contains("[!] probe: refused: "), "{status}: {body}");

    cluster.register(webhook.address).await?;
    shows("fastrak_webhook_probe_success{} 1").await?;
    let (status, body) = readiness().await?;
    ensure!(status == 200 && !body.contains("[!]"), "{status}: {body}");
    webhook.stop().await
}

#[tokio::test]
async fn only_the_leader_probes() -> Result<()> {
    let cluster = or_skip!(TestCluster::start(Options::api_only()).await, Ok(()));
    let leader = cluster.webhook(&["--probe-interval=0.2"]).await?;
    eventually(SOON, "the leader has probed", || async {
        let metrics = leader.metrics().await?;
        ensure!(metrics.contains("probe_success{} 1"), "{metrics}");
        Ok(())
    })
    .await?;
    let other = cluster.run(&["--probe-interval=0.2"]).await?;
    other.is_ready().await?;
    ensure!(!other.metrics().await?.contains("probe_success{} 1"));
    leader.stop().await?;
    eventually(SOON, "the new leader probes", || async {
        let metrics = other.metrics().await?;
        ensure!(metrics.contains("probe_success{} "), "{metrics}");
        Ok(())
    })
    .await?;
    other.stop().await
}
