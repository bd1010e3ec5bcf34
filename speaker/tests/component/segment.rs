//! Segments of hosts, and announcers on them.

use anyhow::{Context, Result};
use fastrak_speaker::announcer::Announcer;
use fastrak_speaker::frame::Mac;
use fastrak_speaker::host::link::Sockets;
use fastrak_speaker::interface::{InterfaceName, State};
use fastrak_testkit::lan::Host;
use std::time::Duration;
use tokio::task::JoinHandle;

/// The interface of every host.
pub(crate) const INTERFACE: &str = "eth0";
const SOON: Duration = Duration::from_secs(5);

/// A task that ends when this is dropped.
pub(crate) struct AbortOnDrop(pub(crate) JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Returns the sockets of a speaker in the network of a host.
pub(crate) fn sockets(host: &Host) -> Result<Sockets> {
    host.network()?.run(|| Sockets::open().context("open the sockets"))
}

/// Returns an announcer on the interface of a host, and its MAC address.
pub(crate) async fn announcer(host: &Host) -> Result<(Announcer, Mac)> {
    let mut announcer = Announcer::new(sockets(host)?, InterfaceName::parse(INTERFACE)?)?;
    let mac = becomes_up(&mut announcer).await?;
    Ok((announcer, mac))
}

/// Waits until the interface of an announcer is up. Returns its MAC address.
pub(crate) async fn becomes_up(announcer: &mut Announcer) -> Result<Mac> {
    let waiting = async {
        loop {
            announcer.refresh()?;
            if let State::Up { mac, .. } = announcer.state() {
                return anyhow::Ok(mac);
            }
            announcer.changed().await?;
        }
    };
    tokio::time::timeout(SOON, waiting).await.context("the interface is not up")?
}
