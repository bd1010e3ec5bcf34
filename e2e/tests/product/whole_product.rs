//! The whole product as it ships: both programs as pods, from `deploy/base`, on real nodes.

use anyhow::{Context, Result, ensure};
use fastrak_api::names::{self, kubernetes};
use fastrak_e2e::demo::pools;
use fastrak_e2e::install::{Binaries, pods};
use fastrak_testkit::objects::{claim, pod, service};
use fastrak_testkit::{Cluster, ClusterOptions, bound_claim, eventually, or_skip, with_namespace};
use k8s_openapi::api::core::v1::{Node, PersistentVolume, PersistentVolumeClaim, Pod, Service};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(90);
const WRITES: &str = "echo kept > /data/file; while :; do sleep 1; done";

async fn cluster_of(nodes: u8) -> Result<Cluster> {
    let cluster = Cluster::start(ClusterOptions { nodes, ..ClusterOptions::default() }).await?;
    pods::install(&cluster, &Binaries::built()?).await?;
    Ok(cluster)
}

/// The APIs of one namespace.
struct TestNamespace {
    claims: Api<PersistentVolumeClaim>,
    pods: Api<Pod>,
    services: Api<Service>,
    volumes: Api<PersistentVolume>,
    namespace: String,
}

impl TestNamespace {
    fn of(client: &Client, namespace: &str) -> Self {
        Self {
            claims: Api::namespaced(client.clone(), namespace),
            pods: Api::namespaced(client.clone(), namespace),
            services: Api::namespaced(client.clone(), namespace),
            volumes: Api::all(client.clone()),
            namespace: namespace.to_owned(),
        }
    }

    async fn claim(&self, name: &str) -> Result<PersistentVolumeClaim> {
        let object = claim(name).asks("8Mi").build(&self.namespace);
        self.claims.create(&PostParams::default(), &object).await.context("create a claim")
    }

    async fn writes(&self, name: &str, claim: &str) -> Result<()> {
        let object = pod(name).shell(WRITES).mounts(claim).build(&self.namespace);
        self.pods.create(&PostParams::default(), &object).await.map(drop).context("create a pod")
    }

    async fn bound(&self, name: &str) -> Result<PersistentVolumeClaim> {
        bound_claim(&self.claims, name, SOON).await
    }

    async fn running(&self, name: &str) -> Result<String> {
        eventually(SOON, format!("{name} runs"), || async {
            let pod = self.pods.get(name).await?;
            let status = pod.status.unwrap_or_default();
            ensure!(status.phase.as_deref() == Some("Running"), "{:?}", status.conditions);
            pod.spec.and_then(|spec| spec.node_name).context("it has a node")
        })
        .await
    }

    /// Deletes the claims and pods and waits until no volume and no directory is left.
    async fn leaves_nothing(&self, cluster: &Cluster) -> Result<()> {
        let (now, all) = (DeleteParams::default().grace_period(0), ListParams::default());
        self.pods.delete_collection(&now, &all).await.context("delete the pods")?;
        self.claims.delete_collection(&now, &all).await.context("delete the claims")?;
        eventually(SOON, "no claim and no volume is left", || async {
            let left = (self.claims.list(&all).await?.items, self.volumes.list(&all).await?.items);
            ensure!(left.0.is_empty() && left.1.is_empty(), "{left:?}");
            Ok(())
        })
        .await?;
        eventually(SOON, "the pools are empty", || async {
            for node in cluster.nodes() {
                let left = pools::volumes(&node.pool_dir())?;
                ensure!(left.is_empty(), "on {}: {left:?}", node.name());
            }
            Ok(())
        })
        .await
    }
}

async fn a_pod_finds_its_file_on_the_node_it_runs_on(
    cluster: &Cluster,
    objects: &TestNamespace,
) -> Result<()> {
    let made = objects.claim("data").await?;
    let class = made.spec.as_ref().and_then(|spec| spec.storage_class_name.as_deref());
    assert_eq!(class, Some(names::CLASS_DEFAULT));
    assert!(!made.annotations().contains_key(names::NODE), "with two nodes a pod decides");
    objects.writes("writer", "data").await?;
    let node = objects.running("writer").await?;
    let claim = objects.bound("data").await?;
    assert_eq!(claim.annotations().get(names::NODE), Some(&node));
    assert_eq!(claim.annotations()[names::PINNED_BY], "scheduler");
    assert_eq!(claim.labels().get(names::NODE), Some(&node));
    let uid = claim.uid().context("it has a uid")?;
    let home = cluster.nodes().iter().find(|known| known.name() == node).context("a known node")?;
    let file = home.pool_dir().join(&uid).join("data/file");
    eventually(SOON, "the file is written", || async {
        let text = std::fs::read_to_string(&file)?;
        ensure!(text == "kept\n", "{text:?}");
        anyhow::Ok(())
    })
    .await?;
    let elsewhere = cluster.nodes().iter().filter(|known| known.name() != node);
    for other in elsewhere {
        assert_eq!(pools::volumes(&other.pool_dir())?, Vec::<String>::new());
    }
    Ok(())
}

async fn a_claim_grows_while_its_pod_runs(objects: &TestNamespace) -> Result<()> {
    let before = objects.pods.get("writer").await?;
    let request = json!({ "spec": { "resources": { "requests": { "storage": "24Mi" } } } });
    let params = PatchParams::default();
    objects.claims.patch("data", &params, &Patch::Merge(request)).await.context("ask for more")?;
    eventually(SOON, "the claim has grown", || async {
        let status = objects.claims.get("data").await?.status.unwrap_or_default();
        let shown = status.capacity.as_ref().and_then(|capacity| capacity.get("storage"));
        ensure!(shown.is_some_and(|size| size.0 == "24Mi"), "{status:?}");
        Ok(())
    })
    .await?;
    let after = objects.pods.get("writer").await?;
    assert_eq!(before.uid(), after.uid());
    let restarts = after.status.and_then(|status| status.container_statuses).unwrap_or_default();
    assert!(restarts.iter().all(|container| container.restart_count == 0), "{restarts:?}");
    Ok(())
}

/// Checks the agents' node condition beside the kubelet's.
async fn nodes_report_usable_pools(client: &Client) -> Result<()> {
    let nodes: Api<Node> = Api::all(client.clone());
    eventually(SOON, "every node has the condition", || async {
        for node in nodes.list(&ListParams::default()).await?.items {
            let conditions = node.status.and_then(|status| status.conditions).unwrap_or_default();
            let is_true =
                |kind: &str| conditions.iter().any(|c| c.type_ == kind && c.status == "True");
            ensure!(is_true(names::POOLS_READY) && is_true("Ready"), "{conditions:?}");
        }
        Ok(())
    })
    .await
}

async fn scale_webhook(cluster: &Cluster, replicas: u8) -> Result<()> {
    let (deployment, replicas) =
        (format!("deployment/{}", names::WEBHOOK), format!("--replicas={replicas}"));
    cluster.kubectl(&["-n", names::NAMESPACE, "scale", &deployment, &replicas]).await?;
    let selector = format!("app.kubernetes.io/name={}", names::WEBHOOK);
    let args = ["-n", names::NAMESPACE, "get", "pods", "-l", &selector, "-o", "name"];
    if replicas == "--replicas=0" {
        return eventually(SOON, "the webhook is gone", || async {
            let left = cluster.kubectl(&args).await?;
            ensure!(left.is_empty(), "{left}");
            Ok(())
        })
        .await;
    }
    pods::rolled_out(cluster.plane(), &deployment).await
}

async fn what_the_webhook_missed_is_repaired(
    cluster: &Cluster,
    objects: &TestNamespace,
) -> Result<()> {
    scale_webhook(cluster, 0).await?;
    let claim = objects.claim("missed").await?;
    let service = service("missed").load_balancer().port(80).build(&objects.namespace);
    let service = objects.services.create(&PostParams::default(), &service).await;
    let service = service.context("a Service is accepted while the webhook is down")?;
    assert!(!claim.annotations().contains_key(names::NODE));
    assert!(!service.annotations().contains_key(names::BALANCER_DECISION));
    objects.writes("waiter", "missed").await?;
    eventually(SOON, "the scheduler has chosen, and no webhook mirrored it", || async {
        let claim = objects.claims.get("missed").await?;
        ensure!(claim.annotations().contains_key(kubernetes::SELECTED_NODE), "{claim:?}");
        ensure!(!claim.labels().contains_key(names::NODE), "{claim:?}");
        Ok(())
    })
    .await?;
    scale_webhook(cluster, 2).await?;
    let node = objects.running("waiter").await?;
    assert_eq!(objects.bound("missed").await?.annotations().get(names::NODE), Some(&node));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn on_two_nodes_data_is_where_its_pod_runs_also_after_an_outage_of_the_webhook() -> Result<()>
{
    let _turn = crate::turn().await;
    or_skip!(Cluster::supported(), Ok(()));
    let cluster = cluster_of(2).await?;
    let client = cluster.client().await?;
    with_namespace(&client, async |namespace| {
        let objects = TestNamespace::of(&client, &namespace);
        a_pod_finds_its_file_on_the_node_it_runs_on(&cluster, &objects).await?;
        a_claim_grows_while_its_pod_runs(&objects).await?;
        nodes_report_usable_pools(&client).await?;
        objects.leaves_nothing(&cluster).await?;
        what_the_webhook_missed_is_repaired(&cluster, &objects).await?;
        objects.leaves_nothing(&cluster).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn on_one_node_a_claim_is_bound_without_any_pod() -> Result<()> {
    let _turn = crate::turn().await;
    or_skip!(Cluster::supported(), Ok(()));
    let cluster = cluster_of(1).await?;
    let client = cluster.client().await?;
    with_namespace(&client, async |namespace| {
        let objects = TestNamespace::of(&client, &namespace);
        objects.claim("alone").await?;
        let claim = objects.bound("alone").await?;
        assert_eq!(claim.annotations()[names::PINNED_BY], "only-node");
        objects.leaves_nothing(&cluster).await
    })
    .await
}
