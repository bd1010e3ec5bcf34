//! Speakers of several nodes, a client, and a real API server.

use crate::segment::{AbortOnDrop, announcer, lan};
use anyhow::Result;
use fastrak_api::assignment::{Assignment, State, lease_name};
use fastrak_api::names;
use fastrak_api::node::NodeName;
use fastrak_runtime::shutdown::Shutdown;
use fastrak_testkit::eventually::eventually;
use fastrak_testkit::lan::{Host, Lan};
use fastrak_testkit::{ControlPlane, Options, or_skip, shared};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(10);

/// A node with a speaker. Dropping it stops the speaker without any clean-up, as a power cut does.
struct Node {
    host: Host,
    mac: String,
    shutdown: Shutdown,
    _task: AbortOnDrop,
}

struct Rig {
    lan: Lan,
    client: Host,
    api: Client,
}

impl Rig {
    async fn new() -> Result<Option<Self>> {
        let lan = or_skip!(lan().await, Ok(None));
        let plane: &ControlPlane = or_skip!(shared(Options::api_only()).await, Ok(None));
        let api = plane.client().await?;
        let namespace = json!({ "metadata": { "name": names::ADDRESS_NAMESPACE } });
        let namespace: Namespace = serde_json::from_value(namespace)?;
        let patch = Patch::Apply(serde_json::to_value(&namespace)?);
        let namespaces = Api::<Namespace>::all(api.clone());
        namespaces.patch(names::ADDRESS_NAMESPACE, &PatchParams::apply("test"), &patch).await?;
        let client = lan.host(99).await?;
        Ok(Some(Self { lan, client, api }))
    }

    async fn node(&self, name: &str, number: u8) -> Result<Node> {
        let host = self.lan.host(number).await?;
        let (announcer, mac) = announcer(&host).await?;
        let shutdown = Shutdown::manual();
        let running = fastrak_speaker::run::run(
            NodeName::parse(name)?,
            self.api.clone(),
            announcer,
            shutdown.clone(),
        );
        let task = tokio::spawn(async move { drop(running.await) });
        Ok(Node { host, mac: mac.to_string(), shutdown, _task: AbortOnDrop(task) })
    }

    fn leases(&self) -> Api<Lease> {
        Api::namespaced(self.api.clone(), names::ADDRESS_NAMESPACE)
    }

    async fn assign(&self, address: IpAddr, holder: &str, standby: &str) -> Result<()> {
        let lease: Lease = serde_json::from_value(json!({
            "metadata": {
                "name": lease_name(address),
                "labels": { names::ADDRESS: names::ADDRESS_ENABLED },
                "annotations": { names::STANDBY: standby, names::ADDRESS_STATE: "proposed" },
            },
            "spec": { "holderIdentity": holder },
        }))?;
        self.leases().create(&PostParams::default(), &lease).await?;
        Ok(())
    }

    async fn expect(&self, address: IpAddr, holder: &str, state: State) -> Result<()> {
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

    /// Waits until the client reaches `address` at a node.
    async fn expect_at(&self, address: IpAddr, node: &Node) -> Result<()> {
        eventually(SOON, format!("{address} is at {}", node.mac), || async {
            self.client.send_to(address).await.is_ok()
                && self.client.neighbor(address).await.map_err(drop) == Ok(Some(node.mac.clone()))
        })
        .await
        .map(drop)
    }
}

fn address(last: u8) -> IpAddr {
    Ipv4Addr::new(192, 0, 2, last).into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_free_address_is_accepted_and_answered() -> Result<()> {
    let Some(rig) = Rig::new().await? else { return Ok(()) };
    let node = rig.node("accepts-a", 1).await?;
    rig.assign(address(201), "accepts-a", "accepts-b").await?;
    rig.expect(address(201), "accepts-a", State::Accepted).await?;
    rig.expect_at(address(201), &node).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_in_use_is_refused_with_the_mac_address_of_its_user() -> Result<()> {
    let Some(rig) = Rig::new().await? else { return Ok(()) };
    let _node = rig.node("refuses-a", 1).await?;
    let user = rig.lan.host(202).await?;
    rig.assign(address(202), "refuses-a", "refuses-b").await?;
    rig.expect(address(202), "refuses-a", State::Refused).await?;
    let lease = rig.leases().get(&lease_name(address(202))).await?;
    let (_, octets) = user.interface().await?;
    let expected = fastrak_speaker::frame::Mac(octets).to_string();
    assert_eq!(lease.metadata.annotations.unwrap_or_default()[names::ADDRESS_CONFLICT], expected);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_standby_takes_over_from_a_node_that_is_gone() -> Result<()> {
    let Some(rig) = Rig::new().await? else { return Ok(()) };
    let (first, second) = (rig.node("dies-a", 1).await?, rig.node("dies-b", 2).await?);
    rig.assign(address(203), "dies-a", "dies-b").await?;
    rig.expect_at(address(203), &first).await?;
    // Its heartbeat has begun.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    drop(first);
    rig.expect_at(address(203), &second).await?;
    rig.expect(address(203), "dies-b", State::Accepted).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_node_hands_its_addresses_over() -> Result<()> {
    let Some(rig) = Rig::new().await? else { return Ok(()) };
    let (first, second) = (rig.node("stops-a", 1).await?, rig.node("stops-b", 2).await?);
    rig.assign(address(204), "stops-a", "stops-b").await?;
    rig.expect_at(address(204), &first).await?;
    first.shutdown.request();
    rig.expect_at(address(204), &second).await?;
    rig.expect(address(204), "stops-b", State::Accepted).await?;
    drop(first.host);
    Ok(())
}
