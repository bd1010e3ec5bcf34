//! The policies as they ship, without a webhook: claims get their volumes and Services a decision.

use anyhow::{Context as _, Result, ensure};
use fastrak_api::names::kubernetes::SELECTED_NODE;
use fastrak_api::names::{self, BALANCER_DECISION, NODE, PINNED_BY};
use fastrak_e2e::install::{Binaries, Processes, overlay};
use fastrak_testkit::objects::{claim, pod, service};
use fastrak_testkit::{
    ControlPlane, Options, apply_manifests, assets, bound_claim, eventually, fake_node, or_skip,
};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Service};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt as _};
use serde_json::json;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(60);

async fn is_bound(claims: &Api<PersistentVolumeClaim>, name: &str, by: &str) -> Result<()> {
    let bound = bound_claim(claims, name, SOON).await?;
    let node = bound.annotations().get(NODE).context("it is pinned")?;
    assert_eq!(bound.annotations().get(SELECTED_NODE), Some(node));
    assert_eq!(bound.labels().get(NODE), Some(node), "the agents select by this label");
    assert_eq!(bound.annotations().get(PINNED_BY).map(String::as_str), Some(by));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_the_webhook_down_claims_get_volumes_and_services_a_decision() -> Result<()> {
    let plane = or_skip!(ControlPlane::start(Options::full()).await, Ok(()));
    let client = plane.client().await?;
    let nodes = ["node-a", "node-b"];
    for name in nodes {
        fake_node(&client, name).await?;
    }
    let mut processes = Processes::install(&plane, &Binaries::built()?, &nodes).await?;
    processes.stop_webhook()?;
    apply_manifests(&plane, &assets::repository().join("deploy/policies")).await?;

    let params = PostParams::default();
    let services: Api<Service> = Api::default_namespaced(client.clone());
    let probe = service("probe").load_balancer().port(80).build("default");
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    eventually(SOON, "the policies are in force", || async {
        let answer = services.create(&dry, &probe).await?;
        answer.annotations().get(BALANCER_DECISION).cloned().context("not yet")
    })
    .await?;
    let web = service("web").load_balancer().port(80).build("default");
    let web = services.create(&params, &web).await?;
    assert_eq!(web.annotations().get(BALANCER_DECISION).map(String::as_str), Some("inlets"));

    let claims: Api<PersistentVolumeClaim> = Api::default_namespaced(client.clone());
    let mine = claim("mine").asks("1Mi").annotate(NODE, "node-b").build("default");
    claims.create(&params, &mine).await?;
    is_bound(&claims, "mine", "user").await?;

    let open = claims.create(&params, &claim("open").asks("1Mi").build("default")).await?;
    ensure!(!open.annotations().contains_key(NODE), "the scheduler chooses");
    let pods: Api<Pod> = Api::default_namespaced(client.clone());
    pods.create(&params, &pod("user").mounts("open").build("default")).await?;
    is_bound(&claims, "open", "scheduler").await?;

    // A withdrawn choice removes the pin. This node has no agent that could bind the claim first.
    let later = claim("later").asks("1Mi").class(names::CLASS_RETAIN).build("default");
    claims.create(&params, &later).await?;
    let select = |node: Option<&str>| json!({"metadata": {"annotations": {SELECTED_NODE: node}}});
    let params = PatchParams::default();
    let chosen = claims.patch("later", &params, &Patch::Merge(select(Some("node-c")))).await?;
    assert_eq!(chosen.labels().get(NODE).map(String::as_str), Some("node-c"));
    let freed = claims.patch("later", &params, &Patch::Merge(select(None))).await?;
    ensure!(freed.labels().get(NODE).or(freed.annotations().get(NODE)).is_none(), "{freed:?}");
    processes.expect_running()
}

#[tokio::test]
async fn the_installation_without_a_webhook_does_not_name_one() -> Result<()> {
    let plane = or_skip!(ControlPlane::start(Options::api_only()).await, Ok(()));
    let overlay = overlay(&plane, &["webhookless"])?;
    let text = plane.kubectl(&["kustomize", &overlay.to_string_lossy()]).await?;
    for absent in [names::WEBHOOK, "MutatingWebhookConfiguration", "kind: Deployment"] {
        ensure!(!text.contains(absent), "{absent} is there");
    }
    for there in [names::AGENT, names::CLAIMS_HOOK, names::SERVICES_HOOK, names::CLASS_DEFAULT] {
        ensure!(text.contains(there), "{there} is not there");
    }
    let applied = apply_manifests(&plane, &overlay).await?.stdout;
    ensure!(applied.lines().count() >= 10, "{applied}");
    // Applying it again changes nothing.
    let again = ["diff", "--server-side", "-k", &overlay.to_string_lossy()];
    plane.kubectl(&again).await.map(drop).context("it differs from what was applied")
}
