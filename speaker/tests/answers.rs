//! The announcer on a real segment: hosts in network namespaces, whose kernels are the clients.

use anyhow::{Context, Result, ensure};
use fastrak_speaker::announcer::{Announcer, Conflict};
use fastrak_speaker::frame::Mac;
use fastrak_testkit::eventually::eventually;
use fastrak_testkit::lan::{Host, Lan};
use fastrak_testkit::or_skip;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;

const V4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 200));
const V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x200));
const SOON: Duration = Duration::from_secs(5);

/// A speaker in the network of a host. Dropping it stops it.
struct Speaker {
    mac: Mac,
    stop: Option<oneshot::Sender<()>>,
    conflicts: mpsc::Receiver<Conflict>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Speaker {
    /// Starts to announce both addresses, and waits until they are announced.
    async fn start(host: &Host) -> Result<Self> {
        let (interface, octets) = host.interface().await?;
        let (mac, network) = (Mac(octets), host.network()?);
        let (stop, stopped) = oneshot::channel();
        let (found, conflicts) = mpsc::channel();
        let (ready, is_ready) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            network.enter()?;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let mut announcer = Announcer::open(interface, mac)?;
                for address in [V4, V6] {
                    announcer.add(address)?;
                }
                let _ = ready.send(());
                let answer = async {
                    loop {
                        let _ = found.send(announcer.answer().await?);
                    }
                };
                tokio::select! {
                    result = answer => result,
                    _ = stopped => Ok(()),
                }
            })
        });
        let speaker = Self { mac, stop: Some(stop), conflicts, thread: Some(thread) };
        match is_ready.await {
            Ok(()) => Ok(speaker),
            Err(_) => Err(speaker.stop().err().context("the speaker ended before it was ready")?),
        }
    }

    /// Stops it. Returns the error with which it had ended.
    fn stop(mut self) -> Result<()> {
        drop(self.stop.take());
        let ended = self.thread.take().context("it was stopped")?.join();
        ended.map_err(|_| anyhow::anyhow!("the speaker panicked"))?
    }
}

/// Returns whether hosts can be created, or why not.
async fn lan() -> Result<Lan> {
    ensure!(rustix::process::geteuid().is_root(), "network namespaces require root");
    Lan::create().await
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
    let lan = or_skip!(lan().await, Ok(()));
    let (node, client) = (lan.host(1).await?, lan.host(9).await?);
    let speaker = Speaker::start(&node).await?;
    expect_reachable(&client, &speaker).await?;
    speaker.stop()
}

#[tokio::test]
async fn an_announcement_moves_clients_to_the_new_node() -> Result<()> {
    let lan = or_skip!(lan().await, Ok(()));
    let (first, second) = (lan.host(1).await?, lan.host(2).await?);
    let client = lan.host(9).await?;
    let speaker = Speaker::start(&first).await?;
    expect_reachable(&client, &speaker).await?;
    speaker.stop()?;

    let speaker = Speaker::start(&second).await?;
    // The client asks nobody: the announcement alone has changed its table.
    for address in [V4, V6] {
        eventually(SOON, format!("{address} has moved"), || async {
            client.neighbor(address).await.map_err(drop) == Ok(Some(speaker.mac.to_string()))
        })
        .await?;
    }
    expect_reachable(&client, &speaker).await?;
    speaker.stop()
}

#[tokio::test]
async fn a_stopped_speaker_does_not_answer() -> Result<()> {
    let lan = or_skip!(lan().await, Ok(()));
    let (node, client) = (lan.host(1).await?, lan.host(9).await?);
    let speaker = Speaker::start(&node).await?;
    expect_reachable(&client, &speaker).await?;
    speaker.stop()?;
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
    let lan = or_skip!(lan().await, Ok(()));
    let (node, other) = (lan.host(1).await?, lan.host(2).await?);
    let speaker = Speaker::start(&node).await?;
    other.run(&format!("ip address add {V6}/64 dev eth0")).await?;
    eventually(SOON, "the address is a duplicate", || async {
        let shown = other.run("ip -6 address show dev eth0 dadfailed").await;
        shown.is_ok_and(|shown| shown.contains(&V6.to_string()))
    })
    .await?;
    speaker.stop()
}

#[tokio::test]
async fn another_host_that_uses_an_address_is_a_conflict() -> Result<()> {
    let lan = or_skip!(lan().await, Ok(()));
    let (node, other) = (lan.host(1).await?, lan.host(2).await?);
    let speaker = Speaker::start(&node).await?;
    // Another speaker announces the same addresses.
    let second = Speaker::start(&other).await?;
    for address in [V4, V6] {
        let found = speaker.conflicts.recv_timeout(SOON);
        let expected = Conflict { address, mac: second.mac };
        let found = found.with_context(|| format!("no conflict about {address}"))?;
        // An IPv4 announcement is two packets.
        let found = if found.address == address { found } else { speaker.conflicts.recv()? };
        assert_eq!(found, expected);
    }
    second.stop()?;
    speaker.stop()
}
