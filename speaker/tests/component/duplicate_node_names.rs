//! Two machines that have the name of one node.

use crate::rig::{Rig, address};
use anyhow::Result;
use fastrak_api::assignment::heartbeat_name;
use fastrak_api::node::NodeName;
use fastrak_testkit::eventually::eventually;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_speakers_of_a_node_is_silent_while_the_other_answers() -> Result<()> {
    let Some(rig) = Rig::new().await? else { return Ok(()) };
    let first = rig.node("duplicate-a", 1).await?;
    rig.assign(address(209), "duplicate-a", None).await?;
    rig.expect_at(address(209), &first).await?;
    let heartbeat = heartbeat_name(&NodeName::parse("duplicate-a")?);
    let leases = rig.leases();
    eventually(SOON, "it has a heartbeat", || leases.get(&heartbeat)).await?;
    let second = rig.duplicate_node("duplicate-a", 2).await?;
    let reason = format!("another machine, with MAC address {}", first.mac);
    second.expect_not_ready(&reason).await?;
    rig.client.run("ip neighbor flush dev eth0").await?;
    rig.expect_at(address(209), &first).await?;
    drop(first);
    second.expect_ready().await?;
    rig.client.run("ip neighbor flush dev eth0").await?;
    rig.expect_at(address(209), &second).await
}
