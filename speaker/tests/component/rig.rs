//! Nodes with speakers and a client on one segment, and a real API server. Each speaker has the
//! ServiceAccount, the Role and the policies of `deploy/addresses`.

use crate::segment::{AbortOnDrop, INTERFACE, sockets};
use anyhow::{Context, Result};
use fastrak_api::assignment::{Assignment, State, lease_name};
use fastrak_api::names;
use fastrak_api::node::NodeName;
use fastrak_runtime::ready::{Readiness, State as Ready};
use fastrak_runtime::shutdown::Shutdown;
use fastrak_runtime::supervise::Supervisor;
use fastrak_speaker::interface::InterfaceName;
use fastrak_speaker::metrics::Metrics;
use fastrak_speaker::run::{GRACE, Speaker};
use fastrak_testkit::assets::repository;
use fastrak_testkit::eventually::eventually;
use fastrak_testkit::lan::{Host, Lan};
use fastrak_testkit::{
    ControlPlane, Identity, Options, apply_manifests, fake_node, or_skip, shared,
};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::api::PostParams;
use kube::{Api, Client};
use prometheus_client::registry::Registry;
use serde_json::json;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};
use tokio::sync::OnceCell;

const SOON: Duration = Duration::from_secs(10);
const MANIFESTS: [&str; 4] = [
    "base/namespace.yaml",
    "addresses/namespace.yaml",
    "addresses/rbac-speaker.yaml",
    "addresses/policy-speaker.yaml",
];

/// A node with a speaker. Dropping it stops the speaker without any clean-up, as a power cut does.
pub(crate) struct Node {
    pub(crate) host: Host,
    pub(crate) mac: String,
    pub(crate) shutdown: Shutdown,
    pub(crate) readiness: Readiness,
    _task: AbortOnDrop,
}

pub(crate) struct Rig {
    pub(crate) lan: Lan,
    pub(crate) client: Host,
    pub(crate) plane: &'static ControlPlane,
    api: Client,
}

async fn install(plane: &ControlPlane) -> Result<()> {
    for file in MANIFESTS {
        apply_manifests(plane, &repository().join("deploy").join(file)).await?;
    }
    Ok(())
}

impl Rig {
    pub(crate) async fn new() -> Result<Option<Self>> {
        static INSTALLED: OnceCell<()> = OnceCell::const_new();
        let plane: &ControlPlane = or_skip!(shared(Options::api_only()).await, Ok(None));
        INSTALLED.get_or_try_init(|| install(plane)).await?;
        Self::on(plane).await
    }

    /// Uses a separate API server, which the test can stop.
    pub(crate) async fn alone() -> Result<Option<Self>> {
        let plane = or_skip!(ControlPlane::start(Options::api_only()).await, Ok(None));
        // Its processes die with the test process.
        let plane = Box::leak(Box::new(plane));
        install(plane).await?;
        Self::on(plane).await
    }

    async fn on(plane: &'static ControlPlane) -> Result<Option<Self>> {
        let lan = or_skip!(Lan::create().await, Ok(None));
        let (client, api) = (lan.host(99).await?, plane.client().await?);
        Ok(Some(Self { lan, client, plane, api }))
    }

    pub(crate) async fn node(&self, name: &str, number: u8) -> Result<Node> {
        self.node_on(name, number, INTERFACE).await
    }

    /// Adds a node whose speaker uses the interface with this name.
    pub(crate) async fn node_on(&self, name: &str, number: u8, interface: &str) -> Result<Node> {
        fake_node(&self.api, name).await?;
        let identity = Identity::on_node(self.plane, names::NAMESPACE, names::SPEAKER, name);
        self.speaker(name, self.lan.host(number).await?, interface, &identity.await?).await
    }

    /// Adds another machine with the name of a node.
    pub(crate) async fn duplicate_node(&self, name: &str, number: u8) -> Result<Node> {
        let pods: Api<Pod> = Api::namespaced(self.api.clone(), names::NAMESPACE);
        let pod = pods.get(&format!("{}-{name}", names::SPEAKER)).await?;
        let identity = Identity::of_pod(self.plane, &pod).await?;
        self.speaker(name, self.lan.host(number).await?, INTERFACE, &identity).await
    }

    async fn speaker(
        &self,
        name: &str,
        host: Host,
        interface: &str,
        identity: &Identity,
    ) -> Result<Node> {
        let (_, mac) = host.interface().await?;
        let (shutdown, readiness) = (Shutdown::manual(), Readiness::new());
        let speaker = Speaker {
            node: NodeName::parse(name)?,
            client: identity.client().await?,
            sockets: sockets(&host)?,
            interface: Some(InterfaceName::parse(interface)?),
            readiness: readiness.clone(),
            metrics: Metrics::register(&mut Registry::default()),
        };
        let mut supervisor = Supervisor::new();
        speaker.start(&mut supervisor, &shutdown);
        let running = supervisor.run(shutdown.clone(), GRACE);
        let task = AbortOnDrop(tokio::spawn(async move { drop(running.await) }));
        let mac = fastrak_speaker::frame::Mac(mac).to_string();
        Ok(Node { host, mac, shutdown, readiness, _task: task })
    }

    pub(crate) fn leases(&self) -> Api<Lease> {
        Api::namespaced(self.api.clone(), names::ADDRESS_NAMESPACE)
    }

    pub(crate) async fn assign(
        &self,
        address: IpAddr,
        holder: &str,
        standby: Option<&str>,
    ) -> Result<()> {
        let mut annotations = json!({ names::ADDRESS_STATE: "proposed" });
        if let Some(standby) = standby {
            annotations[names::STANDBY] = json!(standby);
        }
        let lease: Lease = serde_json::from_value(json!({
            "metadata": {
                "name": lease_name(address),
                "labels": { names::ADDRESS: names::ADDRESS_ENABLED },
                "annotations": annotations,
            },
            "spec": { "holderIdentity": holder },
        }))?;
        self.leases().create(&PostParams::default(), &lease).await?;
        Ok(())
    }

    pub(crate) async fn expect(&self, address: IpAddr, holder: &str, state: State) -> Result<()> {
        eventually(SOON, format!("{address} is {state} by {holder}"), || async {
            let lease = self.leases().get(&lease_name(address)).await.ok();
            let assignment = lease.and_then(|lease| Assignment::read(&lease).ok());
            assignment.is_some_and(|assignment| {
                assignment.holder.as_str() == holder && assignment.state == state
            })
        })
        .await
        .map(drop)
    }

    /// Returns the MAC address of the station that answers for `address` now.
    pub(crate) async fn answer(&self, address: IpAddr) -> Result<Option<String>> {
        self.client.run("ip neighbor flush dev eth0").await?;
        self.client.send_to(address).await?;
        // The client asks again after a second.
        let until = Instant::now() + Duration::from_secs(2);
        loop {
            let found = self.client.neighbor(address).await?;
            if found.is_some() || Instant::now() >= until {
                return Ok(found);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until the client reaches `address` at a node.
    pub(crate) async fn expect_at(&self, address: IpAddr, node: &Node) -> Result<()> {
        self.expect_at_mac(address, &node.mac).await
    }

    /// Waits until the client reaches `address` at the station with this MAC address.
    pub(crate) async fn expect_at_mac(&self, address: IpAddr, mac: &str) -> Result<()> {
        eventually(SOON, format!("{address} is at {mac}"), || async {
            self.client.send_to(address).await.is_ok()
                && self.client.neighbor(address).await.map_err(drop) == Ok(Some(mac.to_owned()))
        })
        .await
        .map(drop)
    }
}

impl Node {
    /// Waits until the speaker is ready.
    pub(crate) async fn expect_ready(&self) -> Result<()> {
        eventually(SOON, "the speaker is ready", || async {
            self.readiness
                .is_ready()
                .then_some(())
                .context(format!("{:?}", self.readiness.snapshot()))
        })
        .await
    }

    /// Waits until the speaker is not ready for this reason.
    pub(crate) async fn expect_not_ready(&self, words: &str) -> Result<()> {
        eventually(SOON, format!("the speaker is not ready: {words}"), || async {
            let parts = self.readiness.snapshot();
            let is_reason = |(_, state): &(_, Ready)| {
                matches!(state, Ready::Waiting { reason } if reason.contains(words))
            };
            parts.iter().any(is_reason).then_some(()).context(format!("{parts:?}"))
        })
        .await
    }
}

pub(crate) fn address(last: u8) -> IpAddr {
    Ipv4Addr::new(192, 0, 2, last).into()
}
