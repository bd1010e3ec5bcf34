//! While the API server is unavailable, holders continue to answer and no node takes an address over.

use crate::rig::Rig;
use anyhow::{Result, ensure};
use fastrak_testkit::{Component, eventually};
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

/// How long the API server is away. A speaker that depended on it would fail within the 1.5 s of a
/// heartbeat.
const AWAY: Duration = Duration::from_secs(20);
/// How long the standby must not take over.
const ALONE: Duration = Duration::from_secs(12);
/// The longest delay between two attempts to reach the API server, twice.
const BACK: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn holders_answer_without_the_api_server_and_no_standby_takes_over() -> Result<()> {
    let Some(rig) = Rig::alone().await? else { return Ok(()) };
    let (first, second) = (rig.node("away-a", 1).await?, rig.node("away-b", 2).await?);
    let address: IpAddr = Ipv4Addr::new(192, 0, 2, 240).into();
    rig.assign(address, "away-a", Some("away-b")).await?;
    rig.expect_at(address, &first).await?;
    // Its heartbeat has begun.
    tokio::time::sleep(Duration::from_millis(1500)).await;

    rig.plane.stop_component(Component::ApiServer)?;
    let since = Instant::now();
    while since.elapsed() < AWAY {
        let answer = rig.answer(address).await?;
        ensure!(answer.as_ref() == Some(&first.mac), "{answer:?} after {:?}", since.elapsed());
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    drop(first);
    let since = Instant::now();
    while since.elapsed() < ALONE {
        let answer = rig.answer(address).await?;
        ensure!(answer.is_none(), "{answer:?} answers without the API server");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    rig.plane.start_component(Component::ApiServer).await?;
    eventually(BACK, "the standby takes over", || async {
        let answer = rig.answer(address).await?;
        ensure!(answer.as_ref() == Some(&second.mac), "{answer:?}");
        Ok(())
    })
    .await
}
