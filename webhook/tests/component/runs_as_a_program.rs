//! The program as a process: it becomes ready, stops in order, and reports why it cannot start.

use crate::http;
use crate::test_cluster::{SOON, TestCluster};
use anyhow::{Result, ensure};
use fastrak_testkit::process::{Invocation, Process};
use fastrak_testkit::{Options, eventually, or_skip};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_fastrak-webhook");

/// The webhook as a process.
pub(crate) struct Program {
    pub(crate) process: Process,
    pub(crate) admin: SocketAddr,
}

impl Program {
    pub(crate) async fn start(cluster: &TestCluster, flags: &[&str]) -> Result<Self> {
        let admin: SocketAddr = (Ipv4Addr::LOCALHOST, free_port().await?).into();
        let invocation = Invocation::new(Path::new(PROGRAM))
            .arg("--listen=127.0.0.1:0")
            .arg(format!("--admin-addr={admin}"))
            .arg(format!("--kubeconfig={}", cluster.kubeconfig()))
            .args(flags);
        let log = cluster.plane.logs_dir().join("fastrak-webhook.log");
        let process = Process::start("fastrak-webhook", &invocation, &log)?;
        Ok(Self { process, admin })
    }

    pub(crate) async fn metrics(&self) -> Result<String> {
        Ok(http::get(self.admin, "/metrics").await?.1)
    }
}

#[tokio::test]
async fn it_becomes_ready_and_stops_in_order() -> Result<()> {
    let cluster = or_skip!(TestCluster::start(Options::api_only()).await, Ok(()));
    let Program { mut process, admin } = Program::start(&cluster, &["--drain=0.1"]).await?;
    eventually(SOON, "the program is ready", || async {
        let (status, body) = http::get(admin, "/readyz").await?;
        ensure!(status == 200, "{status}: {body}");
        Ok(())
    })
    .await?;
    let status = process.terminate(SOON)?;
    let log = process.log_tail(20);
    ensure!(status.success(), "{status}: {log}");
    ensure!(!log.contains("did not stop in time"), "a task ignores the shutdown: {log}");
    Ok(())
}

#[tokio::test]
async fn it_reports_why_it_cannot_start() -> Result<()> {
    for (args, says) in [
        (&["--kubeconfig=/nowhere/at-all"][..], "check --kubeconfig"),
        (&[][..], "not in a cluster and no --kubeconfig given"),
        (&["--balancer=metallb"][..], "invalid value 'metallb'"),
        (&["--balancer=node-ip"][..], "required arguments were not provided:\n  --addresses"),
        (&["--certificate-poll=0"][..], "write a duration of at least 1s"),
    ] {
        let command = Invocation::new(Path::new(PROGRAM)).args(args).arg("--listen=127.0.0.1:0");
        let Err(error) = command.run().await else { anyhow::bail!("{args:?} started") };
        ensure!(format!("{error:#}").contains(says), "{error:#}");
    }
    Ok(())
}

/// Returns a free port. The program does not report the port that it chose itself.
pub(crate) async fn free_port() -> Result<u16> {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    Ok(listener.local_addr()?.port())
}
