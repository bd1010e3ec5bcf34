//! The kubelet's probes are answered even if other clients hold many connections open or the
//! process has no file descriptor left.

use crate::http;
use crate::runs_as_a_program::{PROGRAM, free_port};
use crate::test_cluster::SOON;
use anyhow::{Context as _, Result, ensure};
use fastrak_testkit::eventually;
use fastrak_testkit::process::{Invocation, Process};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

/// Longer than the timeout of a kubelet's probe, which is a second, because the machine may be busy.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// The limit of file descriptors, far below the number of connections.
const DESCRIPTORS: usize = 96;

/// Starts the program without an API server: it is alive and not ready.
fn start(listen: SocketAddr, admin: SocketAddr, folder: &Path) -> Result<Process> {
    let kubeconfig = folder.join("kubeconfig");
    let text = "{apiVersion: v1, kind: Config, current-context: c, \
        contexts: [{name: c, context: {cluster: c, user: u}}], users: [{name: u, user: {}}], \
        clusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}]}";
    std::fs::write(&kubeconfig, text)?;
    let limit = format!("--nofile={DESCRIPTORS}:{DESCRIPTORS}");
    let invocation = Invocation::new(Path::new(PROGRAM))
        .arg(format!("--listen={listen}"))
        .arg(format!("--admin-addr={admin}"))
        .arg(format!("--kubeconfig={}", kubeconfig.display()))
        .through(&["prlimit", &limit]);
    Process::start("fastrak-webhook", &invocation, &folder.join("webhook.log"))
}

/// Opens connections that never send a whole request.
async fn flood(address: SocketAddr, connections: usize) -> Result<Vec<TcpStream>> {
    let mut opened = Vec::with_capacity(connections);
    for count in 0..connections {
        let mut stream = TcpStream::connect(address).await?;
        // Some send nothing, some the start of a request.
        if count % 3 == 0 {
            // It may already be evicted.
            drop(stream.write_all(b"GET /livez HTTP/1.1\r\nX").await);
        }
        opened.push(stream);
    }
    Ok(opened)
}

async fn probes_are_answered(admin: SocketAddr) -> Result<()> {
    for (path, expected) in [("/livez", 200), ("/readyz", 503), ("/metrics", 200)] {
        let asked = tokio::time::timeout(PROBE_TIMEOUT, http::get(admin, path)).await;
        let (status, body) = asked.with_context(|| format!("no answer: {path}"))??;
        ensure!(status == expected, "{path}: {status}: {body}");
    }
    Ok(())
}

#[tokio::test]
async fn probes_are_answered_while_more_connections_are_open_than_file_descriptors() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let listen: SocketAddr = (Ipv4Addr::LOCALHOST, free_port().await?).into();
    let admin: SocketAddr = (Ipv4Addr::LOCALHOST, free_port().await?).into();
    let mut process = start(listen, admin, folder.path())?;
    eventually(SOON, "the program is alive", || probes_are_answered(admin)).await?;
    // As many connections to the other port as there are descriptors: it uses at most half of them.
    let mut held = flood(listen, DESCRIPTORS).await?;
    probes_are_answered(admin).await.context("the other port has all descriptors")?;
    eventually(SOON, "no descriptor is left", || async {
        let _held = (flood(listen, DESCRIPTORS).await?, flood(admin, DESCRIPTORS).await?);
        probes_are_answered(admin).await?;
        ensure!(process.log_tail(1000).contains("could not accept a connection"), "some are left");
        Ok(())
    })
    .await?;
    for count in 0..6 {
        held.extend(flood(admin, 100).await?);
        probes_are_answered(admin).await.with_context(|| format!("flood {count}"))?;
    }
    process.expect_running()
}
