//! Ports for a control plane.
//!
//! It reserves nothing: between the look and the start another process may take a port, which is
//! why the start is repeated when that is what went wrong.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context, Result, ensure};

use super::arguments::Ports;
use super::options::Place;

/// Fixed ports where nobody else is, free ones on the machine itself.
pub(super) fn choose(place: &Place) -> Result<Ports> {
    if !place.is_loopback() {
        return Ok(Ports { etcd: 2379, etcd_peer: 2380, api: 6443 });
    }
    // All are held until all are known, or the kernel might name one of them twice.
    let held = [listen()?, listen()?, listen()?];
    let port = |at: usize| -> Result<u16> {
        let listener = held.get(at).context("as many listeners as ports")?;
        Ok(listener.local_addr().context("ask a listener for its port")?.port())
    };
    let ports = Ports { etcd: port(0)?, etcd_peer: port(1)?, api: port(2)? };
    ensure!(ports.etcd != ports.api, "the kernel gave one port twice");
    Ok(ports)
}

/// Whether a start failed because somebody was quicker to take a port.
pub(super) fn was_taken(error: &anyhow::Error) -> bool {
    format!("{error:#}").contains("address already in use")
}

fn listen() -> Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("find a free port")
}
