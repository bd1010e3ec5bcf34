//! The control plane alone: it starts, works, stops and leaves nothing behind.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fastrak_testkit::objects::{claim, local_volume, pod, storage_class};
use fastrak_testkit::{
    Component, ControlPlane, Identity, Options, eventually, fake_node, or_skip,
    service_account_client, shared, with_namespace,
};
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::core::v1::{Node, PersistentVolume, PersistentVolumeClaim, Pod, Secret};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::{ListParams, PostParams};
use kube::{Api, Client};

const SOON: Duration = Duration::from_secs(30);

async fn create<K>(api: &Api<K>, object: &K) -> Result<K>
where
    K: serde::Serialize + serde::de::DeserializeOwned + Clone + std::fmt::Debug,
{
    api.create(&PostParams::default(), object).await.context("create an object")
}

fn alive(folder: &Path) -> Vec<String> {
    let folder = folder.display().to_string();
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let lines = processes.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    lines.filter(|line| line.contains(&folder)).collect()
}

#[tokio::test]
async fn a_claim_without_a_class_gets_the_default_one() -> Result<()> {
    let plane = or_skip!(shared(Options::full()).await, Ok(()));
    let client = plane.client().await?;
    let classes: Api<StorageClass> = Api::all(client.clone());
    create(&classes, &storage_class("usual", "example.com/none").default_class().build()).await?;
    with_namespace(&client, async |namespace| {
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), &namespace);
        let dry_run = PostParams { dry_run: true, ..PostParams::default() };
        eventually(SOON, "the API server has seen the class", || async {
            let created = claims.create(&dry_run, &claim("data").build(&namespace)).await?;
            let class = created.spec.and_then(|spec| spec.storage_class_name);
            ensure!(class.as_deref() == Some("usual"), "{class:?}");
            Ok(())
        })
        .await
    })
    .await
}

#[tokio::test]
async fn a_pod_with_a_local_volume_is_scheduled_to_the_node_of_the_volume() -> Result<()> {
    let plane = or_skip!(shared(Options::full()).await, Ok(()));
    let client = plane.client().await?;
    fake_node(&client, "here").await?;
    fake_node(&client, "there").await?;
    let volumes: Api<PersistentVolume> = Api::all(client.clone());
    let classes: Api<StorageClass> = Api::all(client.clone());
    create(&classes, &storage_class("hand", "kubernetes.io/no-provisioner").build()).await?;
    create(&volumes, &local_volume("by-hand", "hand", "there", "/nowhere").build()).await?;
    with_namespace(&client, async |namespace| {
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), &namespace);
        let pods: Api<Pod> = Api::namespaced(client.clone(), &namespace);
        create(&claims, &claim("data").class("hand").build(&namespace)).await?;
        create(&pods, &pod("user").mounts("data").build(&namespace)).await?;
        let node = eventually(SOON, "the pod has a node", || async {
            let pod = pods.get("user").await?;
            pod.spec.and_then(|spec| spec.node_name).context("it has none")
        });
        assert_eq!(node.await?, "there");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_service_account_has_only_the_granted_rights() -> Result<()> {
    let plane = or_skip!(shared(Options::full()).await, Ok(()));
    let client = plane.client().await?;
    with_namespace(&client, async |namespace| {
        let own = service_account_client(plane, &namespace, "default").await?;
        let secrets: Api<Secret> = Api::namespaced(own.clone(), &namespace);
        let refused = secrets.list(&ListParams::default()).await.expect_err("it was not granted");
        assert!(refused.to_string().contains("default"), "{refused}");
        let account = format!("--serviceaccount={namespace}:default");
        let scope = format!("--namespace={namespace}");
        let binding = ["create", "rolebinding", "r", "--clusterrole=admin", &account, &scope];
        plane.kubectl(&binding).await?;
        eventually(SOON, "the grant is effective", || async {
            secrets.list(&ListParams::default()).await
        })
        .await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_token_of_a_pod_names_the_node_of_the_pod() -> Result<()> {
    let plane = or_skip!(shared(Options::full()).await, Ok(()));
    let client = plane.client().await?;
    fake_node(&client, "home").await?;
    with_namespace(&client, async |namespace| {
        let pods: Api<Pod> = Api::namespaced(client.clone(), &namespace);
        let pod = create(&pods, &pod("agent").on_node("home").build(&namespace)).await?;
        let own = Identity::of_pod(plane, &pod).await?.client().await?;
        let review = whoami(own).await?;
        let user = review.status.and_then(|status| status.user_info).context("a user")?;
        let extra = user.extra.context("a pod's token has extra claims")?;
        assert_eq!(extra["authentication.kubernetes.io/node-name"], ["home"]);
        Ok(())
    })
    .await
}

async fn whoami(client: Client) -> Result<SelfSubjectReview> {
    let reviews: Api<SelfSubjectReview> = Api::all(client);
    create(&reviews, &SelfSubjectReview::default()).await
}

#[tokio::test]
async fn the_api_server_can_be_restarted() -> Result<()> {
    let plane = or_skip!(ControlPlane::start(Options::with_controllers()).await, Ok(()));
    let client = plane.client().await?;
    let nodes: Api<Node> = Api::all(client.clone());
    fake_node(&client, "before").await?;
    plane.stop_component(Component::ApiServer)?;
    assert!(nodes.get("before").await.is_err(), "no API server answers");
    assert!(plane.stop_component(Component::ApiServer).is_err(), "it is stopped already");
    plane.start_component(Component::ApiServer).await?;
    nodes.get("before").await.context("the node is still there")?;
    plane.stop_component(Component::ControllerManager)?;
    plane.start_component(Component::ControllerManager).await?;
    plane.expect_running()
}

#[tokio::test]
async fn a_dropped_control_plane_leaves_nothing_behind() -> Result<()> {
    let plane = or_skip!(ControlPlane::start(Options::api_only()).await, Ok(()));
    let logs = plane.logs_dir();
    let folder = logs.parent().context("the logs are in a folder")?.to_owned();
    assert_eq!(alive(&folder).len(), 2, "etcd and the API server: {:?}", alive(&folder));
    drop(plane);
    assert_eq!(alive(&folder), Vec::<String>::new());
    assert!(!folder.exists(), "{} is still there", folder.display());
    Ok(())
}
