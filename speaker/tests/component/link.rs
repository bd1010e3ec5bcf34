//! Interfaces that go down, come back, change their MAC address or do not exist yet.

use crate::rig::{Rig, address};
use crate::segment::{announcer, becomes_up};
use anyhow::{Context, Result, ensure};
use fastrak_api::assignment::State;
use fastrak_speaker::announcer::Announcer;
use fastrak_speaker::interface;
use fastrak_testkit::lan::Lan;
use fastrak_testkit::or_skip;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_without_a_cable_is_replaced_and_stays_silent_when_the_cable_is_back() -> Result<()>
{
    let Some(rig) = Rig::new().await? else { return Ok(()) };
    let (first, second) = (rig.node("unplugged-a", 1).await?, rig.node("unplugged-b", 2).await?);
    rig.assign(address(205), "unplugged-a", Some("unplugged-b")).await?;
    rig.expect_at(address(205), &first).await?;
    rig.lan.plug(&first.host, false).await?;
    // It still reaches the API server, and must write no heartbeat.
    first.expect_not_ready("interface eth0 is down or has no carrier").await?;
    rig.expect_at(address(205), &second).await?;
    rig.expect(address(205), "unplugged-b", State::Accepted).await?;

    rig.lan.plug(&first.host, true).await?;
    first.expect_ready().await?;
    rig.client.run("ip neighbor flush dev eth0").await?;
    rig.expect_at(address(205), &second).await?;
    rig.expect(address(205), "unplugged-b", State::Accepted).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_a_standby_answers_again_when_its_cable_is_back() -> Result<()> {
    let Some(rig) = Rig::new().await? else { return Ok(()) };
    let node = rig.node("alone-a", 1).await?;
    rig.assign(address(206), "alone-a", None).await?;
    rig.expect_at(address(206), &node).await?;
    rig.lan.plug(&node.host, false).await?;
    node.expect_not_ready("no carrier").await?;
    rig.lan.plug(&node.host, true).await?;
    node.expect_ready().await?;
    rig.client.run("ip neighbor flush dev eth0").await?;
    rig.expect_at(address(206), &node).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_mac_address_is_announced() -> Result<()> {
    let Some(rig) = Rig::new().await? else { return Ok(()) };
    let node = rig.node("changes-a", 1).await?;
    rig.assign(address(207), "changes-a", None).await?;
    rig.expect_at(address(207), &node).await?;
    let mac = "02:00:00:00:02:07";
    node.host.run(&format!("ip link set eth0 address {mac}")).await?;
    rig.expect_at_mac(address(207), mac).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_speaker_waits_for_an_interface_that_does_not_exist_yet() -> Result<()> {
    let Some(rig) = Rig::new().await? else { return Ok(()) };
    let node = rig.node_on("waits-a", 1, "late0").await?;
    rig.assign(address(208), "waits-a", None).await?;
    node.expect_not_ready("there is no interface late0").await?;
    for line in ["set eth0 down", "set eth0 name late0", "set late0 up"] {
        node.host.run(&format!("ip link {line}")).await?;
    }
    node.expect_ready().await?;
    rig.expect_at(address(208), &node).await
}

#[tokio::test]
async fn every_change_of_the_interface_is_noticed() -> Result<()> {
    let lan = or_skip!(Lan::create().await, Ok(()));
    let host = lan.host(1).await?;
    let (mut announcer, mac) = announcer(&host).await?;
    for (line, expected) in [
        ("ip link set eth0 down", interface::State::Down),
        ("ip link set eth0 name other0", interface::State::Missing),
    ] {
        host.run(line).await?;
        let noticed = tokio::time::timeout(SOON, becomes(&mut announcer, expected)).await;
        noticed.with_context(|| format!("{expected:?}"))??;
    }
    for line in ["ip link set other0 name eth0", "ip link set eth0 up"] {
        host.run(line).await?;
    }
    ensure!(becomes_up(&mut announcer).await? == mac, "another MAC address");
    Ok(())
}

/// Waits until the interface of an announcer is in this state.
async fn becomes(announcer: &mut Announcer, expected: interface::State) -> Result<()> {
    while announcer.state() != expected {
        announcer.changed().await?;
        announcer.refresh()?;
    }
    Ok(())
}
