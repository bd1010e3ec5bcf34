//! Segments of hosts, and announcers on them.

use anyhow::{Context, Result, anyhow, ensure};
use fastrak_speaker::announcer::Announcer;
use fastrak_speaker::frame::Mac;
use fastrak_speaker::host::link::Sockets;
use fastrak_testkit::lan::{Host, Lan};
use tokio::task::JoinHandle;

/// A task that ends when this is dropped.
pub(crate) struct AbortOnDrop(pub(crate) JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Creates a segment, or says why none can be created here.
pub(crate) async fn lan() -> Result<Lan> {
    ensure!(rustix::process::geteuid().is_root(), "network namespaces require root");
    Lan::create().await
}

/// Returns an announcer on the interface of a host, and its MAC address.
pub(crate) async fn announcer(host: &Host) -> Result<(Announcer, Mac)> {
    let (interface, octets) = host.interface().await?;
    let network = host.network()?;
    // A thread of its own: it stays in the host's network, and so do the sockets.
    let thread = std::thread::spawn(move || {
        network.enter()?;
        Sockets::open(interface).context("open the sockets")
    });
    let sockets = thread.join().map_err(|_| anyhow!("the thread panicked"))??;
    Ok((Announcer::new(sockets, Mac(octets))?, Mac(octets)))
}
