//! The compared servers, all on the same processor: fastrak, a handler that does nothing
//! (`bare-handler`), and the same webhook with controller-runtime (`testbed/baseline`).
//!
//! All run all the time and are measured alternately, so that a change of the processor's speed
//! affects all.

use super::cluster::{BenchCluster, Replica};
use super::connection::{Connection, Target, trusting};
use super::load::Load;
use crate::install::{Binaries, free_port, repository};
use crate::transcript::Transcript;
use anyhow::{Context, Result, ensure};
use fastrak_certs::{CertificateAuthority, LeafRequest, Usage, Validity};
use fastrak_runtime::clock;
use fastrak_testkit::eventually;
use fastrak_testkit::process::{Invocation, Process};
use rustix::thread::sched_getaffinity;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);
/// The timeout of a build from scratch, with a client library for all of Kubernetes.
const BUILD: Duration = Duration::from_secs(900);

/// The processors that the bench uses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Processors {
    /// The server's.
    pub(crate) server: usize,
    /// The load's.
    pub(crate) loader: usize,
}

/// A server under measurement.
#[derive(Debug)]
pub(crate) struct Peer {
    target: Target,
    pid: u32,
    patched: bool,
    /// The process, if the bench has started it.
    _process: Option<Process>,
}

/// All compared servers.
#[derive(Debug)]
pub(crate) struct Peers {
    /// fastrak.
    pub(crate) fastrak: Peer,
    /// The handler that does nothing.
    pub(crate) bare: Peer,
    /// The webhook with controller-runtime.
    pub(crate) framework: Peer,
}

impl Processors {
    /// Chooses two of the usable processors.
    pub(crate) fn choose() -> Result<Self> {
        let usable = sched_getaffinity(None).context("read which processors may be used")?;
        let mut usable = (0..rustix::thread::CpuSet::MAX_CPU).filter(|at| usable.is_set(*at));
        let (server, loader) = (usable.next(), usable.next());
        let loader = loader.context("server and load need a processor each: there is only one")?;
        Ok(Self { server: server.unwrap_or(loader), loader })
    }
}

impl Peer {
    /// Returns a running replica of fastrak.
    pub(crate) async fn fastrak(cluster: &BenchCluster, replica: &Replica) -> Result<Self> {
        let target = cluster.target(replica).await?;
        Ok(Self { target, pid: replica.pid()?, patched: true, _process: None })
    }

    /// Returns the process id.
    #[must_use]
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Returns a load on the server.
    #[must_use]
    pub(crate) fn load(&self, rate: Option<f64>, warm_up: Duration, time: Duration) -> Load {
        let (target, pid, patched) = (self.target.clone(), self.pid, self.patched);
        Load { target, pid, patched, rate, warm_up, time }
    }
}

impl Peers {
    /// Starts the other servers.
    pub(crate) async fn start(
        cluster: &BenchCluster,
        replica: &Replica,
        binaries: &Binaries,
        processor: usize,
    ) -> Result<Self> {
        let directory = cluster.directory("peers")?;
        let bundle = certificate(&directory)?;
        // It watches classes and nodes with fastrak's rights.
        let kubeconfig = format!("-kubeconfig={}", cluster.kubeconfig().await?.display());
        let framework = Invocation::new(baseline().await?).arg(kubeconfig);
        let start = async |name: &str, program: Invocation, patched: bool| {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
            let invocation = program
                .arg(format!("--listen={address}"))
                .arg(format!("--tls-dir={}", directory.display()))
                .through(&["taskset", "-c", &processor.to_string()]);
            let log = cluster.logs().join(name).with_extension("log");
            let process = Process::start(name, &invocation, &log)?;
            let target = Target { address, tls: trusting(&bundle)? };
            eventually(SOON, format!("{name} answers"), || Connection::open(&target)).await?;
            anyhow::Ok(Peer { target, pid: process.pid(), patched, _process: Some(process) })
        };
        Ok(Self {
            fastrak: Peer::fastrak(cluster, replica).await?,
            bare: start("bare-handler", Invocation::new(bare_handler(binaries)?), false).await?,
            framework: start("baseline", framework, true).await?,
        })
    }
}

fn bare_handler(binaries: &Binaries) -> Result<PathBuf> {
    let path = binaries.webhook.with_file_name("bare-handler");
    ensure!(path.is_file(), "{} is missing; run `make bench`", path.display());
    Ok(path)
}

/// Returns the webhook with controller-runtime. Builds it if needed.
pub(crate) async fn baseline() -> Result<PathBuf> {
    let script = Invocation::new(repository().join("testbed/baseline.sh"));
    let found = match script.clone().arg("--find").run().await {
        Ok(found) => found,
        Err(_) => {
            let text = "building the controller-runtime webhook of testbed/baseline, once: minutes";
            Transcript::default().line(text);
            let built = script.timeout(BUILD).run().await;
            built.context("build what fastrak is measured against")?
        }
    };
    Ok(PathBuf::from(found.stdout.trim_end()))
}

/// Returns the invocation of the controller-runtime webhook that handles a review without a
/// network.
pub(crate) fn micro(program: &Path, review: &Path, time: Duration) -> Invocation {
    Invocation::new(program)
        .arg(format!("-micro={}", review.display()))
        .arg(format!("-seconds={}", time.as_secs_f64()))
}

/// Issues a certificate like fastrak's. Returns its CA.
fn certificate(directory: &Path) -> Result<Vec<u8>> {
    let validity = Validity::starting(clock::offset_now(), time::Duration::days(1));
    let ca = CertificateAuthority::generate("bench", validity).context("make a CA")?;
    let request = LeafRequest {
        common_name: "bench".to_owned(),
        organization: None,
        names: vec![Ipv4Addr::LOCALHOST.to_string()],
        usage: Usage::Server,
        validity,
    };
    let pair = ca.issue(&request).context("make a certificate")?;
    for (name, text) in [("tls.crt", &pair.cert_pem), ("tls.key", &pair.key_pem)] {
        std::fs::write(directory.join(name), text).with_context(|| format!("write {name}"))?;
    }
    Ok(ca.cert_pem().as_bytes().to_vec())
}
