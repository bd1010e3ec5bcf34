//! Ports of a control plane. They are not reserved: another process may take one before the start,
//! which is then repeated.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context, Result, ensure};

use super::arguments::Ports;
use super::options::Place;

/// Returns fixed ports in a namespace of the cluster's own, and free ports on the machine itself.
pub(super) fn choose(place: &Place) -> Result<Ports> {
    if !place.is_loopback() {
        return Ok(Ports { etcd: 2379, etcd_peer: 2380, api: 6443 });
    }
    // All listeners are open at once, so that the kernel does not choose a port twice.
    let held = [listen()?, listen()?, listen()?];
    let port = |at: usize| -> Result<u16> {
        let listener = held.get(at).context("as many listeners as ports")?;
        Ok(listener.local_addr().context("ask a listener for its port")?.port())
    };
    let ports = Ports { etcd: port(0)?, etcd_peer: port(1)?, api: port(2)? };
    ensure!(ports.etcd != ports.api, "the kernel gave one port twice");
    Ok(ports)
}

/// Returns whether a start failed because another process took a port.
pub(super) fn was_taken(error: &anyhow::Error) -> bool {
    format!("{error:#}").contains("address already in use")
}

fn listen() -> Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("find a free port")
}
