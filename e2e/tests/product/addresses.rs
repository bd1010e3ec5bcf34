//! A Service gets an address of a pool and answers a client outside of the cluster, with the real
//! kube-proxy on real nodes, and keeps answering when the node that holds the address fails.

use anyhow::{Context, Result, ensure};
use fastrak_api::address_pool::AddressPool;
use fastrak_api::names;
use fastrak_e2e::install::{Binaries, pods};
use fastrak_testkit::nodes::{FREE_ADDRESSES, Outsider};
use fastrak_testkit::objects::{pod, service};
use fastrak_testkit::{Cluster, ClusterOptions, Node, eventually, or_skip};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(90);
/// The goal is three seconds; a machine that runs other tests beside this one takes longer.
const FAILOVER: Duration = Duration::from_secs(20);
const SERVES: &str = "echo hello > /tmp/index.html; exec httpd -f -p 8080 -h /tmp";
const NAMESPACE: &str = "default";

struct Scene {
    cluster: Cluster,
    client: Client,
    outsider: Outsider,
}

impl Scene {
    async fn start() -> Result<Self> {
        let cluster =
            Cluster::start(ClusterOptions { nodes: 2, ..ClusterOptions::default() }).await?;
        pods::install_addresses(&cluster, &Binaries::built()?).await?;
        let (client, outsider) = (cluster.client().await?, cluster.outsider().await?);
        let this = Self { cluster, client, outsider };
        this.pool().await?;
        for node in this.cluster.nodes() {
            this.backend(node).await?;
        }
        Ok(this)
    }

    async fn pool(&self) -> Result<()> {
        let pools: Api<AddressPool> = Api::all(self.client.clone());
        let pool = json!({
            "apiVersion": names::ADDRESS_POOL_VERSION, "kind": "AddressPool",
            "metadata": {"name": "lan"}, "spec": {"addresses": [FREE_ADDRESSES]},
        });
        pools.patch("lan", &PatchParams::apply("test"), &Patch::Apply(&pool)).await?;
        Ok(())
    }

    /// Runs a pod of the Service on a node.
    async fn backend(&self, node: &Node) -> Result<()> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), NAMESPACE);
        let name = format!("web-{}", node.name());
        let backend = pod(&name).label("app", "web").shell(SERVES).on_node(node.name());
        pods.create(&PostParams::default(), &backend.build(NAMESPACE)).await?;
        Ok(())
    }

    fn services(&self) -> Api<Service> {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    /// Creates the Service and returns its address.
    async fn address(&self) -> Result<String> {
        let object = service("web").load_balancer().port(80).target(8080).build(NAMESPACE);
        self.services().create(&PostParams::default(), &object).await?;
        let addresses = self.addresses("web", 1).await?;
        addresses.into_iter().next().context("no address")
    }

    /// Waits until a Service has this number of addresses.
    async fn addresses(&self, name: &str, count: usize) -> Result<Vec<String>> {
        eventually(SOON, format!("{name} has {count} addresses"), || async {
            let status = self.services().get(name).await?.status.unwrap_or_default();
            let ingress = status.load_balancer.and_then(|balancer| balancer.ingress);
            let all = ingress.unwrap_or_default().into_iter().filter_map(|one| one.ip);
            let all: Vec<_> = all.collect();
            ensure!(all.len() == count, "{all:?}");
            Ok(all)
        })
        .await
    }

    /// Creates a Service that gets the addresses of the nodes, and checks that each answers.
    async fn serves_on_nodes(&self) -> Result<()> {
        let mut object = service("web").load_balancer().port(81).target(8080).build(NAMESPACE);
        object.metadata.name = Some("nodes".to_owned());
        let choice = (names::BALANCER.to_owned(), "node-ip".to_owned());
        object.metadata.annotations = Some([choice].into());
        self.services().create(&PostParams::default(), &object).await?;
        for address in self.addresses("nodes", self.cluster.nodes().len()).await? {
            let at = format!("{address}:81");
            let answers = eventually(SOON, format!("{at} answers"), || async {
                let page = self.outsider.get(at.parse()?, "/").await?;
                ensure!(page == "hello\n", "{page:?}");
                Ok(())
            });
            self.explained(answers.await).await?;
        }
        // Port 10250 is the kubelet's.
        let taken = json!({"spec": {"ports": [{"port": 10250, "targetPort": 8080}]}});
        self.services().patch("nodes", &PatchParams::default(), &Patch::Merge(taken)).await?;
        self.addresses("nodes", 0).await?;
        self.services().delete("nodes", &DeleteParams::default()).await?;
        Ok(())
    }

    /// Returns whether the client gets the page.
    async fn answers(&self, address: &str) -> Result<()> {
        let page = self.outsider.get(format!("{address}:80").parse()?, "/").await?;
        ensure!(page == "hello\n", "{page:?}");
        Ok(())
    }

    /// Adds what the speakers logged to an error.
    async fn explained<T>(&self, result: Result<T>) -> Result<T> {
        let Err(error) = result else { return result };
        let label = format!("{}={}", names::kubernetes::APP_NAME, names::SPEAKER);
        let logs = ["-n", names::NAMESPACE, "logs", "--ignore-errors", "--tail=60", "-l", &label];
        let logs = self.cluster.kubectl(&logs).await.unwrap_or_else(|error| format!("{error:#}"));
        let leases = ["-n", names::ADDRESS_NAMESPACE, "get", "leases", "-o", "yaml"];
        let leases = self.cluster.kubectl(&leases).await.unwrap_or_default();
        Err(error.context(format!("{logs}\n{leases}")))
    }

    async fn holder(&self, address: &str) -> Result<&Node> {
        let leases: Api<Lease> = Api::namespaced(self.client.clone(), names::ADDRESS_NAMESPACE);
        let spec = leases.get(address).await?.spec.unwrap_or_default();
        let holder = spec.holder_identity.context("no holder")?;
        let mut nodes = self.cluster.nodes().iter();
        nodes.find(|node| node.name() == holder).with_context(|| format!("no node {holder}"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_answers_on_its_address_and_survives_its_node() -> Result<()> {
    let _turn = crate::turn().await;
    or_skip!(Cluster::supported(), Ok(()));
    let scene = Scene::start().await?;
    let address = scene.address().await?;
    eventually(SOON, "the Service answers", || scene.answers(&address)).await?;

    scene.serves_on_nodes().await?;
    let holder = scene.holder(&address).await?;
    // The node's own ports are not reachable on the address.
    for port in ["10250", "10256"] {
        let tried = scene.outsider.get(format!("{address}:{port}").parse()?, "/healthz").await;
        let error = format!("{:#}", tried.err().context("a port of the node answers")?);
        ensure!(error.contains("connect"), "port {port} of the node is open: {error}");
    }
    scene.cluster.plug(holder, false).await?;
    let since = Instant::now();
    ensure!(scene.answers(&address).await.is_err(), "the address does not depend on its holder");
    let answered = eventually(FAILOVER, "the other node answers", || scene.answers(&address)).await;
    scene.explained(answered).await?;
    println!("answered {:?} after the node was unplugged", since.elapsed());
    let now = eventually(SOON, "the other node holds the address", || async {
        let now = scene.holder(&address).await?;
        ensure!(now.name() != holder.name(), "{} holds it", now.name());
        Ok(now)
    })
    .await?;
    scene.cluster.plug(holder, true).await?;

    // A restart of the speaker hands the address over.
    let pods: Api<Pod> = Api::namespaced(scene.client.clone(), names::NAMESPACE);
    let speaker = eventually(SOON, "its speaker is Ready", || speaker_of(&pods, now)).await?;
    eventually(SOON, "the first node's speaker is Ready again", || async {
        let ready = speaker_of(&pods, holder).await;
        ready.map(drop)
    })
    .await?;
    pods.delete(&speaker, &DeleteParams::default()).await?;
    eventually(SOON, "the first node holds the address again", || async {
        let back = scene.holder(&address).await?;
        ensure!(back.name() == holder.name(), "{} holds it", back.name());
        Ok(())
    })
    .await?;
    eventually(FAILOVER, "the Service answers", || scene.answers(&address)).await?;

    scene.services().delete("web", &DeleteParams::default()).await?;
    let leases: Api<Lease> = Api::namespaced(scene.client.clone(), names::ADDRESS_NAMESPACE);
    eventually(SOON, "the address is released", || async {
        ensure!(leases.get_opt(&address).await?.is_none(), "its Lease exists");
        Ok(())
    })
    .await?;
    eventually(SOON, "the address does not answer", || async {
        ensure!(scene.answers(&address).await.is_err(), "it answers");
        Ok(())
    })
    .await
}

/// Returns the Ready pod of the speaker on a node.
async fn speaker_of(pods: &Api<Pod>, node: &Node) -> Result<String> {
    let selector = format!("{}={}", names::kubernetes::APP_NAME, names::SPEAKER);
    let params = kube::api::ListParams::default().labels(&selector);
    let all = pods.list(&params).await?.items;
    let on_node = |pod: &&Pod| {
        pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) == Some(node.name())
    };
    let pod = all.iter().find(on_node).context("no speaker on the node")?;
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let is_ready = |kind: &str, status: &str| kind == "Ready" && status == "True";
    let mut ready = conditions.into_iter().filter(|one| is_ready(&one.type_, &one.status));
    ensure!(ready.next().is_some(), "the speaker is not Ready");
    pod.metadata.name.clone().context("a pod has a name")
}
