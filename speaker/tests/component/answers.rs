//! The announcer on a real segment: hosts in network namespaces, whose kernels are the clients.

use crate::segment::{AbortOnDrop, announcer};
use anyhow::{Context, Result};
use fastrak_speaker::announcer::Announcer;
use fastrak_speaker::frame::Mac;
use fastrak_speaker::responder::{Response, Sighting};
use fastrak_testkit::eventually::eventually;
use fastrak_testkit::lan::{Host, Lan};
use fastrak_testkit::or_skip;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

const V4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 200));
const V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x200));
const SOON: Duration = Duration::from_secs(5);

/// An announcer of both addresses. Dropping it stops it.
struct Speaker {
    mac: Mac,
    sightings: UnboundedReceiver<Sighting>,
    task: AbortOnDrop,
}

impl Speaker {
    async fn start(host: &Host) -> Result<Self> {
        let (mut announcer, mac) = announcer(host).await?;
        for address in [V4, V6] {
            announcer.answer(address)?;
        }
        let (found, sightings) = mpsc::unbounded_channel();
        let task = tokio::spawn(report(announcer, found));
        Ok(Self { mac, sightings, task: AbortOnDrop(task) })
    }

    /// Stops it and waits until it has stopped.
    async fn stop(mut self) {
        self.task.0.abort();
        let _cancelled = (&mut self.task.0).await;
    }
}

/// Answers, and reports sightings, until the link fails or the receiver is dropped.
async fn report(mut announcer: Announcer, found: UnboundedSender<Sighting>) {
    while let Ok(response) = announcer.next().await {
        let seen = response.map(|response| announcer.respond(response)).transpose();
        let Ok(seen) = seen else { return };
        if seen.flatten().is_some_and(|(sighting, _)| found.send(sighting).is_err()) {
            return;
        }
    }
}

/// Waits until the client has the speaker's MAC address for both addresses.
async fn expect_reachable(client: &Host, speaker: &Speaker) -> Result<()> {
    for address in [V4, V6] {
        let expected = Ok(Some(speaker.mac.to_string()));
        eventually(SOON, format!("{address} is at {}", speaker.mac), || async {
            client.send_to(address).await.is_ok()
                && client.neighbor(address).await.map_err(drop) == expected
        })
        .await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_client_resolves_both_addresses_to_the_speakers_node() -> Result<()> {
    let lan = or_skip!(Lan::create().await, Ok(()));
    let (node, client) = (lan.host(1).await?, lan.host(9).await?);
    let speaker = Speaker::start(&node).await?;
    expect_reachable(&client, &speaker).await?;
    speaker.stop().await;
    Ok(())
}

#[tokio::test]
async fn an_announcement_moves_clients_to_the_new_node() -> Result<()> {
    let lan = or_skip!(Lan::create().await, Ok(()));
    let (first, second) = (lan.host(1).await?, lan.host(2).await?);
    let client = lan.host(9).await?;
    let speaker = Speaker::start(&first).await?;
    expect_reachable(&client, &speaker).await?;
    speaker.stop().await;

    let speaker = Speaker::start(&second).await?;
    // The client asks nobody: the announcement alone has changed its table.
    for address in [V4, V6] {
        eventually(SOON, format!("{address} has moved"), || async {
            client.neighbor(address).await.map_err(drop) == Ok(Some(speaker.mac.to_string()))
        })
        .await?;
    }
    expect_reachable(&client, &speaker).await?;
    speaker.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_stopped_speaker_does_not_answer() -> Result<()> {
    let lan = or_skip!(Lan::create().await, Ok(()));
    let (node, client) = (lan.host(1).await?, lan.host(9).await?);
    let speaker = Speaker::start(&node).await?;
    expect_reachable(&client, &speaker).await?;
    speaker.stop().await;
    client.run("ip neighbor flush dev eth0").await?;
    for address in [V4, V6] {
        client.send_to(address).await?;
        // The kernel asks three times, a second apart.
        eventually(SOON, format!("{address} cannot be resolved"), || async {
            let shown = client.run(&format!("ip neighbor show to {address} dev eth0")).await;
            shown.is_ok_and(|shown| shown.contains("FAILED"))
        })
        .await?;
        assert_eq!(client.neighbor(address).await?, None, "{address}");
    }
    Ok(())
}

#[tokio::test]
async fn duplicate_address_detection_of_another_host_finds_the_address_in_use() -> Result<()> {
    let lan = or_skip!(Lan::create().await, Ok(()));
    let (node, other) = (lan.host(1).await?, lan.host(2).await?);
    let speaker = Speaker::start(&node).await?;
    other.run(&format!("ip address add {V6}/64 dev eth0")).await?;
    eventually(SOON, "the address is a duplicate", || async {
        let shown = other.run("ip -6 address show dev eth0 dadfailed").await;
        shown.is_ok_and(|shown| shown.contains(&V6.to_string()))
    })
    .await?;
    speaker.stop().await;
    Ok(())
}

#[tokio::test]
async fn another_host_that_uses_an_address_is_reported() -> Result<()> {
    let lan = or_skip!(Lan::create().await, Ok(()));
    let (node, other) = (lan.host(1).await?, lan.host(2).await?);
    let mut speaker = Speaker::start(&node).await?;
    // Another speaker announces the same addresses.
    let second = Speaker::start(&other).await?;
    let expected = [V4, V6].map(|address| Sighting { address, mac: second.mac });
    let seen = tokio::time::timeout(SOON, sees(&mut speaker, expected.to_vec())).await;
    seen.context("the other host is not seen with both addresses")?;
    second.stop().await;
    speaker.stop().await;
    Ok(())
}

/// Returns the number of advertisements that a host has received.
async fn advertisements(host: &Host) -> Result<u64> {
    let counters = host.run("cat /proc/net/snmp6").await?;
    let counter =
        counters.lines().find_map(|line| line.strip_prefix("Icmp6InNeighborAdvertisements"));
    Ok(counter.context("there is no such counter")?.trim().parse()?)
}

/// Returns the response to the next packet that needs one.
async fn response(announcer: &Announcer) -> Result<Response> {
    loop {
        if let Some(response) = announcer.next().await? {
            return Ok(response);
        }
    }
}

#[tokio::test]
async fn only_the_standby_receives_the_answers_that_it_asks_for() -> Result<()> {
    let lan = or_skip!(Lan::create().await, Ok(()));
    let (node, other) = (lan.host(1).await?, lan.host(2).await?);
    let client = lan.host(9).await?;
    let speaker = Speaker::start(&node).await?;
    let (mut standby, _) = announcer(&other).await?;
    eventually(SOON, "the standby has a link-local address", || async {
        let shown = other.run("ip -6 address show dev eth0 scope link -tentative").await;
        shown.is_ok_and(|shown| shown.contains("fe80::"))
    })
    .await?;
    standby.observe(V6);
    let before = advertisements(&client).await?;
    for _ in 0..5 {
        standby.ask(V6)?;
        let seen = tokio::time::timeout(SOON, response(&standby)).await.context("no answer")??;
        assert_eq!(seen, Response::Report(Sighting { address: V6, mac: speaker.mac }));
    }
    assert_eq!(advertisements(&client).await?, before);
    standby.probe(V6)?;
    eventually(SOON, "all hosts receive the answer to a probe", || async {
        advertisements(&client).await.is_ok_and(|now| now > before)
    })
    .await?;
    speaker.stop().await;
    Ok(())
}

/// Waits until a speaker has reported these sightings. The packets of two protocols are read in any
/// order.
async fn sees(speaker: &mut Speaker, mut expected: Vec<Sighting>) {
    while !expected.is_empty() {
        let Some(seen) = speaker.sightings.recv().await else {
            return std::future::pending().await;
        };
        expected.retain(|sighting| *sighting != seen);
    }
}
