//! Speakers of several nodes, a client, and a real API server.

use crate::rig::{Rig, address};
use anyhow::Result;
use fastrak_api::assignment::{State, lease_name};
use fastrak_api::names;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_free_address_is_accepted_and_answered() -> Result<()> {
    let Some(rig) = Rig::new().await? else { return Ok(()) };
    let node = rig.node("accepts-a", 1).await?;
    rig.assign(address(201), "accepts-a", Some("accepts-b")).await?;
    rig.expect(address(201), "accepts-a", State::Accepted).await?;
    rig.expect_at(address(201), &node).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_in_use_is_refused_with_the_mac_address_of_its_user() -> Result<()> {
    let Some(rig) = Rig::new().await? else { return Ok(()) };
    let _node = rig.node("refuses-a", 1).await?;
    let user = rig.lan.host(202).await?;
    rig.assign(address(202), "refuses-a", Some("refuses-b")).await?;
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
    rig.assign(address(203), "dies-a", Some("dies-b")).await?;
    rig.expect_at(address(203), &first).await?;
    // Its heartbeat has begun.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    drop(first);
    rig.expect_at(address(203), &second).await?;
    rig.expect(address(203), "dies-b", State::Accepted).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ipv6_address_is_taken_over_too() -> Result<()> {
    let Some(rig) = Rig::new().await? else { return Ok(()) };
    let (first, second) = (rig.node("six-a", 1).await?, rig.node("six-b", 2).await?);
    let address = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x203));
    rig.assign(address, "six-a", Some("six-b")).await?;
    rig.expect_at(address, &first).await?;
    drop(first);
    rig.expect_at(address, &second).await?;
    rig.expect(address, "six-b", State::Accepted).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_node_hands_its_addresses_over() -> Result<()> {
    let Some(rig) = Rig::new().await? else { return Ok(()) };
    let (first, second) = (rig.node("stops-a", 1).await?, rig.node("stops-b", 2).await?);
    rig.assign(address(204), "stops-a", Some("stops-b")).await?;
    rig.expect_at(address(204), &first).await?;
    first.shutdown.request();
    rig.expect_at(address(204), &second).await?;
    rig.expect(address(204), "stops-b", State::Accepted).await?;
    drop(first.host);
    Ok(())
}
