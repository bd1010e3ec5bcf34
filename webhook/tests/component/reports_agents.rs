//! An agent that is not Ready is reported on its node, once, after the grace period.

use crate::agents::{runs_agent, set_ready};
use crate::test_cluster::{Running, TestCluster};
use anyhow::Result;
use fastrak_api::names;
use fastrak_testkit::{Options, fake_node, or_skip};
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::ListParams;

/// Waits until this number of agents is in each state.
async fn counts(replica: &Running, ready: u32, starting: u32, down: u32) -> Result<()> {
    let lines = [("ready", ready), ("starting", starting), ("down", down)]
        .map(|(state, count)| format!("fastrak_webhook_agents{{state=\"{state}\"}} {count}"));
    replica.shows(&lines.each_ref().map(String::as_str)).await
}

#[tokio::test]
async fn an_agent_that_stays_not_ready_is_reported_on_its_node() -> Result<()> {
    let cluster = or_skip!(TestCluster::start(Options::api_only()).await, Ok(()));
    for name in ["node-a", "node-b"] {
        fake_node(&cluster.client, name).await?;
        runs_agent(&cluster, name).await?;
    }
    let patient = cluster.run(&["--agent-grace=3600"]).await?;
    let webhook = cluster.run(&["--agent-grace=1"]).await?;
    counts(&patient, 2, 0, 0).await?;
    counts(&webhook, 2, 0, 0).await?;

    set_ready(&cluster, names::AGENT, "node-b", false).await?;
    counts(&patient, 1, 1, 0).await?;
    counts(&webhook, 1, 0, 1).await?;
    // The leader has nothing to report. Its successor reports.
    patient.stop().await?;
    cluster.has_event("AgentNotReady", "node-b", "describe pod fastrak-agent-node-b").await?;
    set_ready(&cluster, names::AGENT, "node-b", true).await?;
    counts(&webhook, 2, 0, 0).await?;
    webhook.stop().await?;

    let events: Api<Event> = cluster.api("default");
    let all = events.list(&ListParams::default()).await?.items.into_iter();
    let reported: Vec<_> = all
        .filter(|event| event.reason.as_deref() == Some("AgentNotReady"))
        .filter_map(|event| event.regarding?.name)
        .collect();
    assert_eq!(reported, ["node-b"]);
    Ok(())
}
