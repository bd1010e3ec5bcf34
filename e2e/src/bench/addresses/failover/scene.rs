//! Three real nodes, a Service with an address of a pool, and a client outside of the cluster.

use super::client::Connections;
use crate::bench::addresses::setup;
use crate::install::{Binaries, pods};
use anyhow::{Context, Result, anyhow, ensure};
use fastrak_api::assignment::{Assignment, State, lease_name};
use fastrak_api::names::{self, kubernetes};
use fastrak_api::node::NodeName;
use fastrak_testkit::nodes::{FREE_ADDRESSES, Outsider, ProxyMode};
use fastrak_testkit::objects::{pod, service};
use fastrak_testkit::{Cluster, ClusterOptions, Node, eventually};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use kube::{Client, ResourceExt as _};
use serde_json::json;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

const NAMESPACE: &str = "default";
const SERVES: &str = "exec httpd -f -p 8080 -h /tmp";
const PORT: u16 = 80;
/// The admin port of a speaker.
const ADMIN: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 19180);
const SOON: Duration = Duration::from_secs(90);
/// The longest time that a packet takes on the bridge of a busy machine.
const IN_FLIGHT: Duration = Duration::from_millis(100);

/// The cluster and the Service.
pub(super) struct Scene {
    pub(super) cluster: Cluster,
    pub(super) outsider: Outsider,
    pub(super) address: IpAddr,
    client: Client,
}

impl Scene {
    /// Starts a cluster, and waits until the Service answers.
    pub(super) async fn start(binaries: &Binaries, mode: ProxyMode) -> Result<Self> {
        let options =
            ClusterOptions { nodes: 3, proxy_mode: Some(mode), ..ClusterOptions::default() };
        let cluster = Cluster::start(options).await?;
        pods::install_addresses(&cluster, binaries).await?;
        let (client, outsider) = (cluster.client().await?, cluster.outsider().await?);
        // The third node is no holder and runs the only pod of the Service. With a pod on the node
        // that fails, kube-proxy would send a part of all connections there until Kubernetes
        // reports the node as not Ready, after 40 seconds: that time is not the address's.
        let names = [cluster.node(0).name(), cluster.node(1).name()];
        let holders = json!([{ "key": kubernetes::HOSTNAME, "operator": "In", "values": names }]);
        let spec = json!({
            "addresses": [FREE_ADDRESSES], "nodeSelector": { "matchExpressions": holders },
        });
        setup::create_pool(&client, &spec).await?;
        let pods: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
        let backend = pod("web").label("app", "web").shell(SERVES).on_node(cluster.node(2).name());
        pods.create(&PostParams::default(), &backend.build(NAMESPACE)).await?;
        let address = address(&client).await?;
        Ok(Self { cluster, outsider, address, client })
    }

    /// Starts a client of the Service, and waits until it is answered.
    pub(super) async fn connections(&self, interval: Duration) -> Result<Connections> {
        let address = SocketAddr::new(self.address, PORT);
        let start = std::time::Instant::now();
        let mut connections = Connections::open(self.outsider.network()?, address, interval)?;
        connections.first_answer(start).await?;
        Ok(connections)
    }

    /// Waits until the address has a holder that answers and a standby that observes it, which is the
    /// node `former` if there is one. Returns the holder, which may fail now.
    pub(super) async fn holder(&self, former: Option<&Node>) -> Result<&Node> {
        let leases: Api<Lease> = Api::namespaced(self.client.clone(), names::ADDRESS_NAMESPACE);
        eventually(SOON, "the address has a holder and a standby", || async {
            let lease = leases.get(&lease_name(self.address)).await?;
            let assignment = Assignment::read(&lease)?;
            ensure!(assignment.state == State::Accepted, "it is {}", assignment.state);
            let holder = self.node(&assignment.holder)?;
            let standby = self.node(&assignment.standby.context("it has no standby")?)?;
            let is_expected = former.is_none_or(|former| former.name() == standby.name());
            let names = (holder.name(), standby.name());
            ensure!(is_expected, "{} holds it, the standby is {}", names.0, names.1);
            expect_role(holder, "holder").await?;
            expect_role(standby, "standby").await?;
            Ok(holder)
        })
        .await
    }

    /// Makes the client forget the MAC address of a holder that does not answer any more. A client that
    /// knows it is answered all the time, because the node still forwards packets.
    pub(super) async fn forget_neighbor(&self) -> Result<()> {
        let address = self.address.to_string();
        let neighbor = |verb| ["ip", "neighbor", verb, "to", &address, "dev", "eth0"];
        eventually(SOON, "the client does not know the holder", || async {
            self.outsider.run(&neighbor("flush")).await?;
            // On a busy machine an answer of the holder may still be on its way.
            tokio::time::sleep(IN_FLIGHT).await;
            let shown = self.outsider.run(&neighbor("show")).await?.stdout;
            ensure!(!shown.contains("lladdr"), "{shown}");
            Ok(())
        })
        .await
    }

    /// Deletes the pod of a node's speaker.
    pub(super) async fn delete_speaker(&self, node: &Node) -> Result<()> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), names::NAMESPACE);
        let selector = format!("{}={}", kubernetes::APP_NAME, names::SPEAKER);
        let on_node = format!("spec.nodeName={}", node.name());
        let params = ListParams::default().labels(&selector).fields(&on_node);
        let found = pods.list(&params).await.context("list the speakers of a node")?.items;
        let speaker = found.first().context("the node has no speaker")?.name_any();
        pods.delete(&speaker, &DeleteParams::default()).await.context("delete a speaker")?;
        Ok(())
    }

    /// Adds what the speakers have logged to an error.
    pub(super) async fn explained<T>(&self, result: Result<T>) -> Result<T> {
        let Err(error) = result else { return result };
        let label = format!("{}={}", kubernetes::APP_NAME, names::SPEAKER);
        let logs = ["-n", names::NAMESPACE, "logs", "--ignore-errors", "--tail=40", "-l", &label];
        let logs = self.cluster.kubectl(&logs).await.unwrap_or_else(|error| format!("{error:#}"));
        let leases = ["-n", names::ADDRESS_NAMESPACE, "get", "leases", "-o", "yaml"];
        let leases = self.cluster.kubectl(&leases).await.unwrap_or_default();
        Err(anyhow!("{error:#}\n{logs}\n{leases}"))
    }

    fn node(&self, name: &NodeName) -> Result<&Node> {
        let mut nodes = self.cluster.nodes().iter();
        nodes.find(|node| node.name() == name.as_str()).with_context(|| format!("no node {name}"))
    }
}

/// Creates the Service and returns its address.
async fn address(client: &Client) -> Result<IpAddr> {
    let services: Api<Service> = Api::namespaced(client.clone(), NAMESPACE);
    let object = service("web").load_balancer().port(PORT).target(8080).build(NAMESPACE);
    services.create(&PostParams::default(), &object).await.context("create a Service")?;
    eventually(SOON, "the Service has an address", || async {
        let status = services.get("web").await?.status.unwrap_or_default();
        let ingress = status.load_balancer.and_then(|balancer| balancer.ingress);
        let address = ingress.unwrap_or_default().into_iter().find_map(|one| one.ip);
        anyhow::Ok(address.context("no address")?.parse()?)
    })
    .await
}

/// Checks that the speaker of a node has this role for the address. There is no other address.
async fn expect_role(node: &Node, role: &str) -> Result<()> {
    let metrics = node.network()?.get(ADMIN.into(), "/metrics").await?;
    let expected = format!("fastrak_speaker_addresses{{role=\"{role}\"}} 1");
    ensure!(metrics.lines().any(|line| line == expected), "{} is no {role} yet", node.name());
    Ok(())
}
