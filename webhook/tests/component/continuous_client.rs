//! A client that calls the webhook continuously and records every failed call: directly over new
//! connections that verify the published bundle, and through the API server with failure policy
//! Fail. And a proxy in front of several replicas.

use crate::server::{head, review};
use crate::test_cluster::{TestCluster, annotation};
use anyhow::{Context as _, Result, anyhow, bail, ensure};
use fastrak_api::names;
use fastrak_runtime::crypto;
use fastrak_runtime::shutdown::Shutdown;
use fastrak_testkit::objects::service;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Service;
use kube::Api;
use kube::api::PostParams;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

/// The pause between two calls: short enough to notice any gap, and a core stays free.
const PACE: Duration = Duration::from_millis(20);
const TIMEOUT: Duration = Duration::from_secs(10);

/// The successful calls and the failures.
#[derive(Default)]
struct CallLog {
    good: u64,
    failed: Vec<String>,
}

/// A client that calls continuously.
pub(crate) struct ContinuousClient {
    over: Shutdown,
    tasks: Vec<(&'static str, JoinHandle<CallLog>)>,
}

/// The errors of direct calls that do not count as failures.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Excused {
    Nothing,
    /// Interrupted connections, because processes are killed. Errors of certificates count.
    Interruptions,
}

impl ContinuousClient {
    /// Starts calls to these replicas in turn.
    pub(crate) async fn direct(
        cluster: &TestCluster,
        replicas: Vec<SocketAddr>,
        excused: Excused,
    ) -> Result<Self> {
        let over = Shutdown::manual();
        let configurations = Api::all(cluster.client.clone());
        let bundle = published(&configurations).await?;
        let end = over.clone();
        let calling = call_each(configurations, bundle, replicas, excused, end);
        Ok(Self { tasks: vec![("direct", tokio::spawn(calling))], over })
    }

    /// Starts calls through the API server too.
    pub(crate) fn and_through_the_api_server(mut self, cluster: &TestCluster) -> Self {
        let calling = call_through(cluster.api("default"), self.over.clone());
        self.tasks.push(("through the API server", tokio::spawn(calling)));
        self
    }

    /// Stops the calls and returns their number of each kind. Fails if a call failed.
    pub(crate) async fn finish(self) -> Result<Vec<u64>> {
        self.over.request();
        let (mut counts, mut failed) = (Vec::new(), Vec::new());
        for (kind, task) in self.tasks {
            let log = task.await?;
            counts.push(log.good);
            failed.extend(log.failed.into_iter().map(|failure| format!("{kind}: {failure}")));
        }
        ensure!(
            failed.is_empty(),
            "{} calls failed: {:#?}",
            failed.len(),
            &failed[..failed.len().min(5)]
        );
        ensure!(counts.iter().all(|count| *count > 0), "nobody was called: {counts:?}");
        Ok(counts)
    }
}

impl CallLog {
    fn note(&mut self, outcome: Result<()>, excused: Excused) {
        match outcome {
            Ok(()) => self.good += 1,
            Err(error) if excused == Excused::Interruptions && !is_about_trust(&error) => {}
            Err(error) => self.failed.push(format!("{error:#}")),
        }
    }
}

fn is_about_trust(error: &anyhow::Error) -> bool {
    let text = format!("{error:#}").to_lowercase();
    text.contains("certificate") || text.contains("handshakefailure") || text.contains("status")
}

async fn call_each(
    configurations: Api<MutatingWebhookConfiguration>,
    mut bundle: Vec<u8>,
    replicas: Vec<SocketAddr>,
    excused: Excused,
    end: Shutdown,
) -> CallLog {
    let mut log = CallLog::default();
    let mut turns = replicas.iter().cycle();
    while let (Some(()), Some(replica)) = (paced(&end).await, turns.next()) {
        let read = tokio::time::timeout(TIMEOUT, published(&configurations)).await;
        // While the API server is away, it is what API servers knew last.
        bundle = read.ok().and_then(Result::ok).unwrap_or(bundle);
        let outcome = tokio::time::timeout(TIMEOUT, call(*replica, &bundle)).await;
        log.note(outcome.unwrap_or_else(|_| Err(anyhow!("no answer"))), excused);
    }
    log
}

async fn call_through(services: Api<Service>, end: Shutdown) -> CallLog {
    let mut log = CallLog::default();
    let params = PostParams { dry_run: true, ..PostParams::default() };
    while paced(&end).await.is_some() {
        let probe = service("called").load_balancer().port(80).build("default");
        let answer = services.create(&params, &probe).await.context("create");
        let decided = answer.and_then(|made| {
            let decided = annotation(&made.metadata, names::BALANCER_DECISION);
            decided.map(drop).context("stored as it was written")
        });
        log.note(decided, Excused::Nothing);
    }
    log
}

async fn paced(end: &Shutdown) -> Option<()> {
    tokio::time::timeout(PACE, end.requested()).await.err().map(drop)
}

/// Returns the published bundle.
async fn published(configurations: &Api<MutatingWebhookConfiguration>) -> Result<Vec<u8>> {
    let configuration = configurations.get(names::WEBHOOK_CONFIGURATION).await?;
    let mut hooks = configuration.webhooks.unwrap_or_default().into_iter();
    let hook = hooks.next().context("there is a webhook")?;
    Ok(hook.client_config.ca_bundle.unwrap_or_default().0)
}

/// Sends one review over a new connection that trusts only this bundle.
pub(crate) async fn call(replica: SocketAddr, bundle: &[u8]) -> Result<()> {
    let mut roots = RootCertStore::empty();
    let readable = CertificateDer::pem_slice_iter(bundle).filter_map(Result::ok);
    roots.add_parsable_certificates(readable);
    let config = ClientConfig::builder_with_provider(crypto::provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(replica).await.context("connect")?;
    let name = ServerName::try_from("fastrak-webhook.fastrak-system.svc")?;
    let connecting = TlsConnector::from(Arc::new(config)).connect(name, stream);
    let mut connection = connecting.await.context("handshake")?;
    let body = review("PersistentVolumeClaim");
    let head = head("POST /claims", "application/json", body.len());
    connection.write_all(&[head.as_bytes(), &body].concat()).await.context("send")?;
    let answer = crate::server::rest(&mut connection).await?;
    let (status, text) = crate::http::parse(&answer)?;
    ensure!(status == 200 && text.contains("\"allowed\":true"), "status {status}: {text}");
    crate::server::is_sound(&body, text.as_bytes())
}

/// A proxy like a Service: one address that forwards each connection to a replica that accepts it.
pub(crate) struct Balance {
    pub(crate) address: SocketAddr,
    task: JoinHandle<()>,
}

impl Balance {
    pub(crate) async fn start(mut targets: Vec<SocketAddr>) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // The next connection goes to another.
                targets.rotate_left(1);
                tokio::spawn(forward(stream, targets.clone()));
            }
        });
        Ok(Self { address, task })
    }
}

impl Drop for Balance {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn forward(mut from: TcpStream, order: Vec<SocketAddr>) -> Result<()> {
    for target in order {
        if let Ok(mut to) = TcpStream::connect(target).await {
            tokio::io::copy_bidirectional(&mut from, &mut to).await?;
            return Ok(());
        }
    }
    bail!("no replica accepts the connection")
}
