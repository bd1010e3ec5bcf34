//! Measures what speakers cost that have many addresses: memory, processor time, and writes to the
//! API server, which must not grow with the number of Services.

use super::{AREA, setup};
use crate::audit::AuditLog;
use crate::bench::Figure;
use crate::bench::resources::{resident_mib, whole_cpu_time};
use crate::install::Binaries;
use anyhow::{Context, Result, ensure};
use fastrak_api::names;
use fastrak_testkit::lan::{Host, Lan};
use fastrak_testkit::process::{Invocation, Process};
use fastrak_testkit::{ControlPlane, Identity, Options, eventually};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;
use tokio::net::TcpStream;

const FEW: u16 = 10;
const MANY: u16 = 1000;
const ADMIN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 19180);
const SOON: Duration = Duration::from_secs(120);
/// The goal for the memory of a speaker.
const RESIDENT_MIB: f64 = 15.0;
/// The time until the writes about new addresses are done.
const SETTLE: Duration = Duration::from_secs(10);
/// The time in which writes are counted.
const WINDOW: Duration = Duration::from_secs(30);

/// Measures two speakers on one segment, each of which is the standby of the other.
pub(super) async fn measure(binaries: &Binaries) -> Result<Vec<Figure>> {
    let plane = ControlPlane::start(Options::api_only().audited()).await?;
    let client = plane.client().await?;
    setup::install(&plane, &client).await?;
    let lan = Lan::create().await?;
    let mut speakers = Vec::new();
    for (number, name) in [(1, "node-a"), (2, "node-b")] {
        let pod = setup::node_with_speaker(&client, name).await?;
        speakers.push(Speaker::start(&plane, binaries, lan.host(number).await?, &pod).await?);
    }
    let mut webhook = setup::webhook(&plane, &client, binaries).await?;
    setup::create_large_pool(&client).await?;
    let mut figures = Vec::new();
    let mut sums = Vec::new();
    for numbers in [0..FEW, FEW..MANY] {
        let count = numbers.end;
        setup::create_services(&client, "web", numbers, None).await?;
        for speaker in &speakers {
            speaker.expect_addresses(count).await?;
        }
        tokio::time::sleep(SETTLE).await;
        let steady = Steady::measure(&plane, &speakers).await?;
        figures.extend(steady.figures(count));
        sums.push(steady.writes.iter().map(|(_, writes)| writes).sum::<f64>());
    }
    webhook.stop()?;
    let growth = sums.get(1).zip(sums.first()).map_or(f64::NAN, |(many, few)| many / few);
    let name = format!("API writes: {MANY} Services to {FEW}");
    figures.push(Figure::at_most(AREA, &name, growth, "x", 1.1));
    Ok(figures)
}

/// A speaker on a host of the segment.
struct Speaker {
    host: Host,
    process: Process,
}

impl Speaker {
    async fn start(
        plane: &ControlPlane,
        binaries: &Binaries,
        host: Host,
        pod: &Pod,
    ) -> Result<Self> {
        let port = plane.url().rsplit(':').next().and_then(|port| port.parse().ok());
        forward(&host, port.context("the API server's URL has no port")?)?;
        let identity = Identity::of_pod(plane, pod).await?;
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
        let invocation = Invocation::new(&binaries.speaker)
            .args(["--node", node.context("a pod has a node")?, "--interface=eth0"])
            .args([format!("--kubeconfig={}", identity.kubeconfig_path().display())])
            .args([format!("--admin-addr={ADMIN}")])
            .through(&host.prefix());
        let log = plane.logs_dir().join(format!("{}.log", pod.name_any()));
        let process = Process::start(names::SPEAKER, &invocation, &log)?;
        Ok(Self { host, process })
    }

    /// Waits until the speaker answers for this number of addresses or observes them.
    async fn expect_addresses(&self, count: u16) -> Result<()> {
        eventually(SOON, format!("the speaker has {count} addresses"), || async {
            let metrics = self.host.network()?.get(ADMIN, "/metrics").await?;
            let prefix = "fastrak_speaker_addresses{";
            let lines = metrics.lines().filter(|line| line.starts_with(prefix));
            let counts = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u16>().ok());
            let sum: u16 = counts.sum();
            ensure!(sum == count, "{sum}");
            Ok(())
        })
        .await
    }
}

/// Makes the API server reachable from the network of a host, at the same address as on the machine.
fn forward(host: &Host, port: u16) -> Result<()> {
    let listen = move || {
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).context("listen in the network of a host")
    };
    let listener = host.network()?.run(listen)?;
    listener.set_nonblocking(true).context("listen in the network of a host")?;
    let listener = tokio::net::TcpListener::from_std(listener).context("listen")?;
    tokio::spawn(async move {
        while let Ok((mut inside, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut outside = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
                tokio::io::copy_bidirectional(&mut inside, &mut outside).await
            });
        }
    });
    Ok(())
}

/// What fastrak does while nothing changes.
struct Steady {
    /// Writes a minute, of each account.
    writes: [(&'static str, f64); 2],
    /// The mean share of a processor that a speaker uses, in percent.
    processor: f64,
    /// The resident memory of the larger speaker, in MiB.
    resident: f64,
}

impl Steady {
    async fn measure(plane: &ControlPlane, speakers: &[Speaker]) -> Result<Self> {
        let processor = || -> Result<Duration> {
            speakers.iter().map(|speaker| whole_cpu_time(speaker.process.pid())).sum()
        };
        let (log, before) = (AuditLog::from_now(&plane.audit_log())?, processor()?);
        tokio::time::sleep(WINDOW).await;
        let used = processor()?.saturating_sub(before);
        let requests = log.requests()?;
        let writes = [names::SPEAKER, names::WEBHOOK].map(|account| {
            let is_write = |verb: &str| ["create", "update", "patch", "delete"].contains(&verb);
            let all = requests.iter().filter(|one| one.account == account && is_write(&one.verb));
            (account, all.count() as f64 * 60.0 / WINDOW.as_secs_f64())
        });
        let share = used.as_secs_f64() / WINDOW.as_secs_f64() / speakers.len() as f64;
        let resident = speakers.iter().map(|speaker| resident_mib(speaker.process.pid()));
        let resident = resident.collect::<Result<Vec<_>>>()?.into_iter().fold(f64::NAN, f64::max);
        Ok(Self { writes, processor: share * 100.0, resident })
    }

    fn figures(&self, count: u16) -> Vec<Figure> {
        let writes = self.writes.iter().map(|(account, writes)| {
            let name = format!("{account}: API writes a minute, {count} Services");
            Figure::plain(AREA, &name, *writes, "")
        });
        let speaker = |what: &str| format!("{}: {what}, {count} addresses", names::SPEAKER);
        let processor = Figure::plain(AREA, &speaker("processor"), self.processor, "%");
        let resident = speaker("resident");
        let resident = Figure::at_most(AREA, &resident, self.resident, "MiB", RESIDENT_MIB);
        writes.chain([processor, resident]).collect()
    }
}
