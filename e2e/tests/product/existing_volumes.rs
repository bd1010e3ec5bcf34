//! Existing volumes are used again: no second volume is created for a claim with a reserved one,
//! and a kept volume that was freed keeps its data.

use anyhow::{Context, Result, ensure};
use fastrak_api::names;
use fastrak_e2e::demo::pools;
use fastrak_e2e::install::{Task, base, policies, remove_workloads, webhook_config};
use fastrak_testkit::objects::{claim, local_volume, pod};
use fastrak_testkit::webhook_configuration::set_urls;
use fastrak_testkit::{
    ControlPlane, Identity, Options, apply_manifests, bound_claim, eventually, fake_node, or_skip,
};
use k8s_openapi::api::core::v1::{ObjectReference, PersistentVolume, PersistentVolumeClaim, Pod};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt as _};
use serde_json::json;
use std::path::PathBuf;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(90);
const NODE: &str = "node-a";
const RESERVED: usize = 20;

/// A cluster with one node, and both programs in this process.
struct TestCluster {
    plane: ControlPlane,
    pool: PathBuf,
    claims: Api<PersistentVolumeClaim>,
    pods: Api<Pod>,
    volumes: Api<PersistentVolume>,
    agent: Task,
    webhook: Task,
}

impl TestCluster {
    async fn start() -> Result<Self> {
        let plane = ControlPlane::start(Options::full()).await?;
        apply_manifests(&plane, &base()).await?;
        let client = plane.client().await?;
        remove_workloads(&client).await?;
        fake_node(&client, NODE).await?;
        let pool = plane.scratch_dir("pool")?;
        policies::allow_pools(&plane, &[&pool]).await?;
        let agent = Identity::on_node(&plane, names::NAMESPACE, names::AGENT, NODE).await?;
        policies::allowed(&agent, NODE, &pool).await?;
        let agent = Task::agent(&agent, NODE, &pool, &[])?;
        let webhook = Identity::of(&plane, names::NAMESPACE, names::WEBHOOK).await?;
        let webhook = Task::webhook(webhook_config(&webhook, &["--repair-delay=0.2"])?).await?;
        set_urls(&client, webhook.addresses()?.reviews).await?;
        let this = Self {
            pool,
            claims: Api::default_namespaced(client.clone()),
            pods: Api::default_namespaced(client.clone()),
            volumes: Api::all(client),
            agent,
            webhook,
            plane,
        };
        this.webhook_is_called().await.map(|()| this)
    }

    /// Waits until the API server calls the webhook and both have the node.
    async fn webhook_is_called(&self) -> Result<()> {
        let dry = PostParams { dry_run: true, ..PostParams::default() };
        let object = claim("probe").build("default");
        eventually(SOON, "claims are pinned", || async {
            let answer = self.claims.create(&dry, &object).await?;
            answer.annotations().get(names::NODE).context("not yet").map(drop)
        })
        .await
    }

    async fn claim(&self, name: &str, class: &str) -> Result<()> {
        let object = claim(name).class(class).asks("1Mi").build("default");
        self.claims
            .create(&PostParams::default(), &object)
            .await
            .map(drop)
            .context("create a claim")
    }

    /// Waits until the claim is bound, and returns its volume.
    async fn bound(&self, name: &str) -> Result<String> {
        let claim = bound_claim(&self.claims, name, SOON).await?;
        claim.spec.and_then(|spec| spec.volume_name).context("it names its volume")
    }

    async fn is(&self, volume: &str, phase: &str) -> Result<()> {
        eventually(SOON, format!("{volume} is {phase}"), || async {
            let now = self.volumes.get(volume).await?.status.unwrap_or_default().phase;
            ensure!(now.as_deref() == Some(phase), "{now:?}");
            Ok(())
        })
        .await
    }

    async fn names(&self) -> Result<Vec<String>> {
        let all = self.volumes.list(&ListParams::default()).await?;
        Ok(all.iter().map(|volume| volume.name_any()).collect())
    }

    async fn stop(self) -> Result<()> {
        self.agent.stop().await?;
        self.webhook.stop().await?;
        drop(self.plane);
        Ok(())
    }
}

fn reserved(number: usize) -> PersistentVolume {
    let volume = local_volume(&format!("kept-{number}"), names::CLASS_DEFAULT, NODE, "/kept");
    let reserve = |spec: &mut k8s_openapi::api::core::v1::PersistentVolumeSpec| {
        spec.claim_ref = Some(ObjectReference {
            namespace: Some("default".to_owned()),
            name: Some(format!("data-{number}")),
            ..ObjectReference::default()
        });
    };
    volume.with_spec(reserve).build()
}

async fn claims_get_their_reserved_volumes_and_no_others(cluster: &TestCluster) -> Result<()> {
    for number in 0..RESERVED {
        cluster.volumes.create(&PostParams::default(), &reserved(number)).await?;
    }
    cluster.is(&format!("kept-{}", RESERVED - 1), "Available").await?;
    for number in 0..RESERVED {
        cluster.claim(&format!("data-{number}"), names::CLASS_DEFAULT).await?;
    }
    for number in 0..RESERVED {
        assert_eq!(cluster.bound(&format!("data-{number}")).await?, format!("kept-{number}"));
    }
    // The agent serves claims in the order in which it sees them.
    cluster.claim("new", names::CLASS_DEFAULT).await?;
    let made = cluster.bound("new").await?;
    let names = cluster.names().await?;
    assert_eq!(names.len(), RESERVED + 1, "{names:?}");
    assert!(names.contains(&made));
    assert_eq!(pools::volumes(&cluster.pool)?.len(), 1);
    Ok(())
}

async fn a_freed_volume_is_used_again_with_its_data(cluster: &TestCluster) -> Result<()> {
    cluster.claim("first", names::CLASS_RETAIN).await?;
    let volume = cluster.bound("first").await?;
    let id = volume.strip_prefix(names::VOLUME_NAME_PREFIX).context("it is fastrak's")?;
    let file = cluster.pool.join(id).join("data/file");
    std::fs::write(&file, "kept")?;
    cluster.claims.delete("first", &DeleteParams::default()).await?;
    cluster.is(&volume, "Released").await?;
    let free = Patch::Merge(json!({ "spec": { "claimRef": null } }));
    cluster.volumes.patch(&volume, &PatchParams::default(), &free).await?;
    cluster.is(&volume, "Available").await?;

    let before = cluster.names().await?;
    cluster.claim("second", names::CLASS_RETAIN).await?;
    let user = pod("user").mounts("second").build("default");
    cluster.pods.create(&PostParams::default(), &user).await?;
    assert_eq!(cluster.bound("second").await?, volume);
    assert_eq!(cluster.names().await?, before);
    assert_eq!(std::fs::read_to_string(&file)?, "kept");
    Ok(())
}

/// The steps of docs/storage.md.
async fn a_kept_volume_goes_to_the_next_claim_of_its_name(cluster: &TestCluster) -> Result<()> {
    cluster.claim("ledger", names::CLASS_RETAIN).await?;
    let volume = cluster.bound("ledger").await?;
    cluster.claims.delete("ledger", &DeleteParams::default()).await?;
    cluster.is(&volume, "Released").await?;
    let reserve = r#"{"spec": {"claimRef": {"uid": null, "resourceVersion": null}}}"#;
    cluster.plane.kubectl(&["patch", "pv", &volume, "--type", "merge", "-p", reserve]).await?;
    cluster.is(&volume, "Available").await?;
    let before = cluster.names().await?;
    cluster.claim("ledger", names::CLASS_RETAIN).await?;
    assert_eq!(cluster.bound("ledger").await?, volume);
    assert_eq!(cluster.names().await?, before);
    cluster.claims.delete("ledger", &DeleteParams::default()).await?;
    cluster.plane.kubectl(&["delete", "pv", &volume, "--timeout=60s"]).await?;
    let id = volume.strip_prefix(names::VOLUME_NAME_PREFIX).context("it is fastrak's")?;
    ensure!(cluster.pool.join(id).join("data").is_dir(), "its directory was removed");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn existing_volumes_are_used_again_and_no_others_are_created() -> Result<()> {
    let _turn = crate::turn().await;
    let cluster = or_skip!(TestCluster::start().await, Ok(()));
    claims_get_their_reserved_volumes_and_no_others(&cluster).await?;
    a_freed_volume_is_used_again_with_its_data(&cluster).await?;
    a_kept_volume_goes_to_the_next_claim_of_its_name(&cluster).await?;
    cluster.stop().await
}
