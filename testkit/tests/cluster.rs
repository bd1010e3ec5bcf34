//! Clusters with real nodes: pods run, and nothing is left on the machine afterwards.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fastrak_testkit::assets::Assets;
use fastrak_testkit::objects::{claim, local_volume, pod, service, storage_class};
use fastrak_testkit::process::{Invocation, Process};
use fastrak_testkit::{
    Cluster, ClusterOptions, ControlPlane, Image, NodeProgram, Options, eventually, or_skip,
    with_namespace,
};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod, Service};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, Client};
use tokio::sync::Mutex;

const SOON: Duration = Duration::from_secs(60);

/// The tests run one at a time, because two clusters slow each other down.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

async fn create<K>(api: &Api<K>, object: &K) -> Result<K>
where
    K: serde::Serialize + serde::de::DeserializeOwned + Clone + std::fmt::Debug,
{
    api.create(&PostParams::default(), object).await.context("create an object")
}

async fn running(pods: &Api<Pod>, name: &str) -> Result<Pod> {
    eventually(SOON, format!("pod {name} runs"), || async {
        let pod = pods.get(name).await?;
        let status = pod.status.clone().unwrap_or_default();
        let ready = status.phase.as_deref() == Some("Running");
        ensure!(ready, "{:?} {:?}", status.phase, status.container_statuses);
        Ok(pod)
    })
    .await
}

/// A process, identified by its id and its start time.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Running {
    pid: u32,
    parent: u32,
    name: String,
    started: String,
}

fn all_processes() -> Vec<Running> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let texts = entries.filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok());
    texts.filter_map(|text| parse(&text)).collect()
}

// `pid (name) state parent … started …`: the fields 1, 2, 4 and 22 of proc(5). A name may contain
// any character.
fn parse(stat: &str) -> Option<Running> {
    let (start, rest) = stat.rsplit_once(") ")?;
    let (pid, name) = start.split_once(" (")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    Some(Running {
        pid: pid.parse().ok()?,
        parent: fields.get(1)?.parse().ok()?,
        name: name.to_owned(),
        started: (*fields.get(19)?).to_owned(),
    })
}

/// Returns all descendants of this process.
fn descendants() -> Vec<Running> {
    let all = all_processes();
    let mut known = vec![std::process::id()];
    let mut found = Vec::new();
    while let Some(parent) = known.pop() {
        let children: Vec<&Running> = all.iter().filter(|one| one.parent == parent).collect();
        known.extend(children.iter().map(|one| one.pid));
        found.extend(children.into_iter().cloned());
    }
    found
}

/// Returns everything on the machine with the name of a cluster.
fn traces(id: &str) -> Vec<String> {
    let own = format!("fastrak-testbed-{id}");
    let read = |path: PathBuf| std::fs::read(path).unwrap_or_default();
    let entries = |path: &str| std::fs::read_dir(path).into_iter().flatten().flatten();
    let processes = entries("/proc").map(|entry| entry.path().join("cmdline"));
    let processes = processes.map(|path| String::from_utf8_lossy(&read(path)).replace('\0', " "));
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mounts = mounts.lines().map(str::to_owned).collect::<Vec<_>>();
    let links = entries("/sys/class/net").map(|entry| entry.path().display().to_string());
    let groups = entries("/sys/fs/cgroup").map(|entry| entry.path().join(&own));
    let groups = groups.filter(|path| path.exists()).map(|path| path.display().to_string());
    let folder = std::env::temp_dir().join(&own);
    let folder = folder.exists().then(|| folder.display().to_string());
    let named = processes.chain(mounts).filter(|text| text.contains(&own));
    let links = links.filter(|link| link.ends_with(&format!("ft-{id}")));
    named.chain(links).chain(groups).chain(folder).collect()
}

async fn pods_run_and_kubectl_reaches_them(cluster: &Cluster, namespace: &str) -> Result<()> {
    let pods: Api<Pod> = Api::namespaced(cluster.client().await?, namespace);
    for node in cluster.nodes() {
        let script = "echo hello from $HOSTNAME; while :; do sleep 1; done";
        let wanted = pod(&format!("on-{}", node.name())).shell(script).on_node(node.name());
        create(&pods, &wanted.build(namespace)).await?;
    }
    for node in cluster.nodes() {
        let name = format!("on-{}", node.name());
        running(&pods, &name).await?;
        let scope = format!("--namespace={namespace}");
        let said = cluster.kubectl(&["exec", &scope, &name, "--", "hostname"]).await?;
        assert_eq!(said.trim(), name);
        let log = cluster.kubectl(&["logs", &scope, &name]).await?;
        assert_eq!(log.trim(), format!("hello from {name}"));
    }
    Ok(())
}

async fn an_image_of_one_binary_runs(cluster: &Cluster, namespace: &str) -> Result<()> {
    let busybox = Invocation::new("sh").args(["-c", "command -v busybox"]).run().await?.stdout;
    // A short name, as in the manifests.
    let image = Image::of_binary(Path::new(busybox.trim()), "own-program:dev")?;
    cluster.load_image(&image).await?;
    let pods: Api<Pod> = Api::namespaced(cluster.client().await?, namespace);
    let own = pod("own").image("own-program:dev", &["sleep", "3600"]);
    let own = own.runs_as(65532, 65532).build(namespace);
    create(&pods, &own).await?;
    running(&pods, "own").await.map(drop)
}

async fn a_pod_writes_to_a_local_volume(cluster: &Cluster, namespace: &str) -> Result<()> {
    let client: Client = cluster.client().await?;
    let node = cluster.node(1);
    let folder = node.pool_dir().join("by-hand");
    std::fs::create_dir_all(&folder).context("make the volume's folder")?;
    let classes: Api<StorageClass> = Api::all(client.clone());
    let volumes: Api<PersistentVolume> = Api::all(client.clone());
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), namespace);
    let pods: Api<Pod> = Api::namespaced(client, namespace);
    create(&classes, &storage_class("hand", "kubernetes.io/no-provisioner").build()).await?;
    let path = "/var/lib/fastrak/by-hand";
    create(&volumes, &local_volume("by-hand", "hand", node.name(), path).build()).await?;
    create(&claims, &claim("data").class("hand").build(namespace)).await?;
    let script = "echo kept > /data/file; while :; do sleep 1; done";
    let writer = pod("writer").shell(script).mounts("data").runs_as(1000, 2000);
    create(&pods, &writer.build(namespace)).await?;
    let pod = running(&pods, "writer").await?;
    assert_eq!(pod.spec.and_then(|spec| spec.node_name).as_deref(), Some(node.name()));
    let file = folder.join("file");
    eventually(SOON, "the file is written", || async {
        let text = std::fs::read_to_string(&file)?;
        ensure!(text == "kept\n", "{text:?}");
        anyhow::Ok(())
    })
    .await?;
    let owner = Invocation::new("stat").args(["-c", "%u:%g", &file.display().to_string()]);
    assert_eq!(owner.run().await?.stdout.trim(), "1000:2000");
    Ok(())
}

async fn services_are_reached_from_everywhere(cluster: &Cluster, namespace: &str) -> Result<()> {
    let client: Client = cluster.client().await?;
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let services: Api<Service> = Api::namespaced(client, namespace);
    let script = "mkdir /www; echo served > /www/index.html; httpd -f -p 8080 -h /www";
    let server = pod("web").shell(script).label("app", "web").on_node("node-a");
    create(&pods, &server.build(namespace)).await?;
    let web = create(&services, &service("web").port(80).target(8080).build(namespace)).await?;
    let address = web.spec.and_then(|spec| spec.cluster_ip).context("it has an address")?;
    running(&pods, "web").await?;
    let url = format!("http://{address}/");
    let fetch = ["timeout", "2", "busybox", "wget", "-q", "-O", "-", &url];
    let from_here = eventually(SOON, "the API server's side reaches it", || async {
        cluster.run(&fetch).await
    });
    assert_eq!(from_here.await?.stdout, "served\n");
    for client in ["on-node-a", "on-node-b", "web"] {
        let scope = format!("--namespace={namespace}");
        let exec = [&["exec", &scope, client, "--"][..], &fetch].concat();
        let fetched = eventually(SOON, format!("{client} reaches it"), || async {
            cluster.kubectl(&exec).await
        });
        assert_eq!(fetched.await?, "served\n");
        let api = ["exec", &scope, client, "--", "timeout", "2", "nc", "10.96.0.1", "443"];
        cluster.kubectl(&api).await.with_context(|| format!("{client} reaches the API"))?;
    }
    Ok(())
}

async fn mounts_of_the_kubelet_propagate_to_a_pod(
    cluster: &Cluster,
    namespace: &str,
) -> Result<()> {
    let pods: Api<Pod> = Api::namespaced(cluster.client().await?, namespace);
    let volumes = serde_json::json!([{
        "name": "pods",
        "hostPath": { "path": "/var/lib/kubelet/pods", "type": "Directory" },
    }]);
    let mounts = serde_json::json!([{
        "name": "pods", "mountPath": "/pods", "mountPropagation": "HostToContainer",
    }]);
    let (volumes, mounts) = (serde_json::from_value(volumes)?, serde_json::from_value(mounts)?);
    let watcher = pod("watcher").on_node("node-a").with_spec(|spec| spec.volumes = volumes);
    let mut watcher = watcher.build(namespace);
    let spec = watcher.spec.as_mut().context("a pod has a spec")?;
    spec.containers.iter_mut().for_each(|container| container.volume_mounts.clone_from(&mounts));
    create(&pods, &watcher).await?;
    running(&pods, "watcher").await?;
    let later = create(&pods, &pod("later").on_node("node-a").build(namespace)).await?;
    running(&pods, "later").await?;
    let uid = later.metadata.uid.context("a pod has a uid")?;
    let scope = format!("--namespace={namespace}");
    let seen = cluster.kubectl(&["exec", &scope, "watcher", "--", "cat", "/proc/mounts"]).await?;
    let of_later = seen.lines().filter(|line| line.contains(&format!("/pods/{uid}/"))).count();
    assert_eq!(of_later, 1, "the token of the later pod, once: {seen}");
    Ok(())
}

async fn a_kubelet_can_be_restarted(cluster: &Cluster, namespace: &str) -> Result<()> {
    let pods: Api<Pod> = Api::namespaced(cluster.client().await?, namespace);
    let node = cluster.node(0);
    node.stop(NodeProgram::Kubelet)?;
    assert!(node.stop(NodeProgram::Kubelet).is_err(), "it is stopped already");
    let late = pod("late").on_node(node.name()).build(namespace);
    create(&pods, &late).await?;
    node.start(NodeProgram::Kubelet)?;
    running(&pods, "late").await?;
    pods.delete("late", &DeleteParams::default()).await.context("delete a pod")?;
    eventually(SOON, "the pod is gone", || async {
        pods.get_opt("late").await.map(|pod| pod.is_none()).unwrap_or_default()
    })
    .await
}

#[tokio::test]
async fn nodes_run_pods_and_leave_nothing_behind() -> Result<()> {
    or_skip!(Cluster::supported(), Ok(()));
    or_skip!(Assets::find().await, Ok(()));
    let _turn = ONE_AT_A_TIME.lock().await;
    let cluster = Cluster::start(ClusterOptions::default()).await?;
    let id = cluster.id().to_owned();
    with_namespace(&cluster.client().await?, async |namespace| {
        pods_run_and_kubectl_reaches_them(&cluster, &namespace).await?;
        an_image_of_one_binary_runs(&cluster, &namespace).await?;
        a_pod_writes_to_a_local_volume(&cluster, &namespace).await?;
        services_are_reached_from_everywhere(&cluster, &namespace).await?;
        mounts_of_the_kubelet_propagate_to_a_pod(&cluster, &namespace).await?;
        a_kubelet_can_be_restarted(&cluster, &namespace).await
    })
    .await?;
    let before = (traces(&id), descendants());
    for kind in ["/sys/class/net", "/sys/fs/cgroup"] {
        assert!(before.0.iter().any(|trace| trace.contains(kind)), "{kind} in {:?}", before.0);
    }
    for name in ["kubelet", "containerd-shim", "kube-apiserver", "sh"] {
        assert!(before.1.iter().any(|one| one.name == name), "{name} in {:?}", before.1);
    }
    drop(cluster);
    assert_eq!(traces(&id), Vec::<String>::new());
    let after = all_processes();
    let left: Vec<_> = before.1.iter().filter(|one| after.contains(one)).collect();
    assert!(left.is_empty(), "{left:?}");
    Ok(())
}

#[tokio::test]
async fn two_clusters_can_run_at_once() -> Result<()> {
    or_skip!(Cluster::supported(), Ok(()));
    or_skip!(Assets::find().await, Ok(()));
    let _turn = ONE_AT_A_TIME.lock().await;
    let one = || Cluster::start(ClusterOptions { nodes: 1, ..ClusterOptions::default() });
    let (first, second) = tokio::try_join!(one(), one())?;
    assert_ne!(first.plane().url(), second.plane().url());
    for cluster in [&first, &second] {
        assert_eq!(cluster.kubectl(&["get", "nodes", "-o", "name"]).await?, "node/node-a\n");
    }
    Ok(())
}

#[tokio::test]
#[ignore = "not a test: the next one starts it in a process of its own, and kills that"]
async fn hold_a_cluster_until_killed() -> Result<()> {
    let one = ClusterOptions { nodes: 1, ..ClusterOptions::default() };
    let cluster = Cluster::start(one).await?;
    let client = cluster.client().await?;
    let pods: Api<Pod> = Api::default_namespaced(client);
    create(&pods, &pod("orphan").on_node("node-a").build("default")).await?;
    running(&pods, "orphan").await?;
    println!("holding {}", cluster.id());
    std::future::pending().await
}

#[tokio::test]
async fn a_killed_test_leaves_no_process_and_the_next_start_removes_the_rest() -> Result<()> {
    or_skip!(Cluster::supported(), Ok(()));
    or_skip!(Assets::find().await, Ok(()));
    let _turn = ONE_AT_A_TIME.lock().await;
    let folder = tempfile::tempdir().context("make a folder")?;
    let own = std::env::current_exe().context("find this program")?;
    let held = Invocation::new(own).args(["--ignored", "--exact", "--nocapture"]);
    let held = held.arg("hold_a_cluster_until_killed");
    let mut holder = Process::start("holder", &held, &folder.path().join("log"))?;
    let id = eventually(SOON, "the other process has a cluster", || async {
        let log = std::fs::read_to_string(folder.path().join("log"))?;
        let id = log.lines().find_map(|line| line.split("holding ").nth(1)).map(str::to_owned);
        id.context(log)
    })
    .await?;
    let state = std::env::temp_dir().join(format!("fastrak-testbed-{id}"));
    holder.kill();
    let of_state = |trace: &String| !Path::new(trace).exists();
    eventually(SOON, "no process and no mount is left", || async {
        let left: Vec<String> = traces(&id).into_iter().filter(of_state).collect();
        ensure!(left.is_empty(), "{left:?}");
        Ok(())
    })
    .await?;
    assert!(!traces(&id).is_empty(), "files and control groups are left");
    drop(ControlPlane::start(Options::api_only()).await?);
    assert!(state.join("logs").exists(), "logs of what was killed are kept for a while");
    std::fs::remove_dir_all(&state).context("remove the logs")?;
    assert_eq!(traces(&id), Vec::<String>::new());
    Ok(())
}
