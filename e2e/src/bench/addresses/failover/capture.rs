//! A capture of ARP on the nodes' bridge. It also asks for the address all the time, and so receives
//! the answers of every node that would answer a client.

use anyhow::{Context, Result, bail};
use fastrak_speaker::announcer::Announcer;
use fastrak_speaker::frame::Mac;
use fastrak_speaker::host::link::Sockets;
use fastrak_speaker::interface::InterfaceName;
use fastrak_testkit::Cluster;
use fastrak_testkit::nodes::BRIDGE;
use std::net::IpAddr;
use std::time::Duration;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;

/// The time between two questions.
const INTERVAL: Duration = Duration::from_millis(50);

/// How long the capture waits for a packet that should come.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A running capture. Dropping it stops it.
#[derive(Debug)]
pub(super) struct Capture(UnboundedReceiver<Mac>);

impl Capture {
    /// Starts to capture the announcements of `address` and the answers for it.
    pub(super) fn start(cluster: &Cluster, address: IpAddr) -> Result<Self> {
        let (network, name) = (cluster.network()?, InterfaceName::parse(BRIDGE)?);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.context("start a capture")?;
        let (found, seen) = unbounded_channel();
        // If it fails, the channel is closed.
        network.spawn(move || runtime.block_on(capture(name, address, found)));
        Ok(Self(seen))
    }

    /// Waits for the next packet, and forgets all before. Returns its station.
    pub(super) async fn next(&mut self) -> Result<Mac> {
        self.take()?;
        let next = timeout(TIMEOUT, self.0.recv()).await.context("nobody answers")?;
        next.context("the capture has stopped")
    }

    /// Returns the stations of all packets since the last call, in their order.
    pub(super) fn take(&mut self) -> Result<Vec<Mac>> {
        let mut all = Vec::new();
        loop {
            match self.0.try_recv() {
                Ok(mac) => all.push(mac),
                Err(TryRecvError::Empty) => return Ok(all),
                Err(TryRecvError::Disconnected) => bail!("the capture has stopped"),
            }
        }
    }
}

async fn capture(name: InterfaceName, address: IpAddr, found: UnboundedSender<Mac>) -> Result<()> {
    let mut announcer = Announcer::new(Sockets::open()?, name)?;
    announcer.refresh()?;
    announcer.observe(address);
    let mut ticks = tokio::time::interval(INTERVAL);
    loop {
        let response = tokio::select! {
            response = announcer.next() => response?,
            _ = ticks.tick() => {
                announcer.probe(address)?;
                None
            }
        };
        let seen = response.map(|response| announcer.respond(response)).transpose()?.flatten();
        if seen.is_some_and(|(sighting, _)| found.send(sighting.mac).is_err()) {
            return Ok(());
        }
    }
}

/// Returns how often the former holder was seen after the first packet of another station, which is
/// the announcement of the new holder. `None` if there was no other station.
pub(super) fn answers_after_takeover(seen: &[Mac], former: Mac) -> Option<usize> {
    let announced = seen.iter().position(|mac| *mac != former)?;
    Some(seen.iter().skip(announced).filter(|mac| **mac == former).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMER: Mac = Mac([2, 0, 0, 0, 0, 1]);
    const NEW: Mac = Mac([2, 0, 0, 0, 0, 2]);

    #[test]
    fn only_answers_of_the_former_holder_after_the_takeover_count() {
        assert_eq!(answers_after_takeover(&[FORMER, FORMER, NEW, NEW], FORMER), Some(0));
        assert_eq!(answers_after_takeover(&[FORMER, NEW, FORMER, NEW, FORMER], FORMER), Some(2));
        assert_eq!(answers_after_takeover(&[FORMER, FORMER], FORMER), None);
    }
}
