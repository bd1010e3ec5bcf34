//! A claim that no agent will serve gets an event with the reason.

use crate::agents::{runs_agent, set_ready};
use crate::test_cluster::TestCluster;
use anyhow::Result;
use fastrak_api::names::kubernetes::STORAGE_CLASS_BETA;
use fastrak_api::names::{self, ADMISSION, ADMISSION_DISABLED, CLASS_DEFAULT, NODE};
use fastrak_testkit::objects::claim;
use fastrak_testkit::{Options, fake_node, or_skip};
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::ListParams;

#[tokio::test]
async fn only_claims_that_no_agent_will_serve_get_an_event() -> Result<()> {
    let cluster = or_skip!(TestCluster::start(Options::api_only()).await, Ok(()));
    for name in ["node-a", "node-b", "node-c", "node-d"] {
        fake_node(&cluster.client, name).await?;
    }
    for name in ["node-a", "node-b", "node-d"] {
        runs_agent(&cluster, name).await?;
    }
    let webhook = cluster.webhook(&["--repair-delay=0.2", "--agent-grace=1"]).await?;
    let ours = |name: &str| claim(name).class(CLASS_DEFAULT);
    let pinned = |name: &str, node: &str| ours(name).annotate(NODE, node);
    cluster.plane.kubectl(&["create", "namespace", "quiet"]).await?;
    let opt_out = format!("{ADMISSION}={ADMISSION_DISABLED}");
    cluster.plane.kubectl(&["label", "namespace", "quiet", &opt_out]).await?;
    for (claim, namespace) in [
        (ours("waits"), "default"),
        (pinned("served", "node-a"), "default"),
        (pinned("late", "node-b"), "default"),
        (pinned("bare", "node-c"), "default"),
        (ours("out").label(ADMISSION, ADMISSION_DISABLED), "default"),
        (claim("old").annotate(STORAGE_CLASS_BETA, CLASS_DEFAULT), "default"),
        (ours("system"), "kube-system"),
        (ours("quiet"), "quiet"),
    ] {
        cluster.claim(&claim.build(namespace)).await?;
    }
    let unserved = "ClaimNotServed";
    cluster.has_event("AgentNotReady", "bare", "which has no pod").await?;
    cluster.has_event(unserved, "out", "opts out; remove the label").await?;
    cluster.has_event(unserved, "old", "with spec.storageClassName: local-storage").await?;
    cluster.has_event_in("kube-system", unserved, "system", "in another namespace").await?;
    cluster.has_event_in("quiet", unserved, "quiet", "of namespace quiet opts out").await?;
    set_ready(&cluster, names::AGENT, "node-b", false).await?;
    cluster.has_event("AgentNotReady", "late", "describe pod fastrak-agent-node-b").await?;

    let events: Api<Event> = Api::all(cluster.client.clone());
    let all = events.list(&ListParams::default()).await?.items;
    let ours =
        all.iter().filter(|event| event.reporting_controller.as_deref() == Some(names::WEBHOOK));
    let mut on: Vec<_> = ours
        .filter_map(|event| event.regarding.as_ref()?.name.as_deref())
        .filter(|name| *name != "node-b")
        .collect();
    on.sort_unstable();
    assert_eq!(on, ["bare", "late", "old", "out", "quiet", "system"], "each once");
    webhook.stop().await
}
