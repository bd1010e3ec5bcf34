//! fastrak as processes of this machine, for a control plane without real nodes. The manifests and
//! the rights are those that ship; only the webhook's address differs, because no Service is
//! routed.

use super::{Binaries, base, policies};
use anyhow::{Context, Result, ensure};
use fastrak_api::names;
use fastrak_testkit::process::{Invocation, Process};
use fastrak_testkit::webhook_configuration::set_urls;
use fastrak_testkit::{ControlPlane, Identity, apply_manifests, eventually};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment};
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::api::{Api, DeleteParams, ListParams};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The timeout until a program is ready on a busy machine.
const READY: Duration = Duration::from_secs(60);
/// The timeout until a program has stopped.
const GRACE: Duration = Duration::from_secs(20);

/// The webhook and one agent for each node.
#[derive(Debug)]
pub struct Processes {
    webhook: Program,
    agents: Vec<(String, Program)>,
    root: PathBuf,
}

/// A program that can be restarted.
#[derive(Debug)]
pub(crate) struct Program {
    name: String,
    invocation: Invocation,
    admin: SocketAddr,
    log: PathBuf,
    running: Option<Process>,
}

impl Processes {
    /// Applies the manifests, starts the webhook and an agent for each node, and waits until all
    /// are ready.
    pub async fn install(
        plane: &ControlPlane,
        binaries: &Binaries,
        nodes: &[&str],
    ) -> Result<Self> {
        apply_manifests(plane, &base()).await?;
        let client = plane.client().await?;
        remove_workloads(&client).await?;
        let (port, root) = (free_port()?, plane.scratch_dir("pools")?);
        set_urls(&client, (Ipv4Addr::LOCALHOST, port).into()).await?;
        let webhook = Program::webhook(plane, &binaries.webhook, port).await?;
        let mut agents = Vec::new();
        let pools: Vec<_> = nodes.iter().map(|node| root.join(node)).collect();
        policies::allow_pools(plane, &pools.iter().map(PathBuf::as_path).collect::<Vec<_>>())
            .await?;
        for node in nodes {
            let agent = Program::agent(plane, &binaries.agent, node, &root.join(node)).await?;
            agents.push(((*node).to_owned(), agent));
        }
        let mut this = Self { webhook, agents, root };
        this.webhook.start().await?;
        for (_, agent) in &mut this.agents {
            agent.start().await?;
        }
        Ok(this)
    }

    /// Returns the pool of a node.
    #[must_use]
    pub fn pool(&self, node: &str) -> PathBuf {
        self.root.join(node)
    }

    /// Returns the webhook's process id.
    pub fn webhook_pid(&self) -> Result<u32> {
        self.webhook.pid()
    }

    /// Returns the process id of the agent with this index.
    pub fn agent_pid(&self, at: usize) -> Result<u32> {
        self.agents.get(at).context("no such agent")?.1.pid()
    }

    /// Fails with the end of the log if a program has exited by itself.
    pub fn expect_running(&mut self) -> Result<()> {
        let agents = self.agents.iter_mut().map(|(_, agent)| agent);
        let mut all = agents.chain([&mut self.webhook]).filter_map(|one| one.running.as_mut());
        all.try_for_each(Process::expect_running)
    }

    /// Returns the mean of an agent's histogram of seconds, in milliseconds.
    pub fn agent_mean_ms(&self, at: usize, metric: &str) -> Result<f64> {
        let (_, agent) = self.agents.get(at).context("no such agent")?;
        let text = ask(agent.admin, "/metrics").context("read the agent's metrics")?;
        let value = |suffix: &str| {
            let name = format!("{metric}_{suffix} ");
            let line = text.lines().find_map(|line| line.strip_prefix(&name));
            line.and_then(|value| value.trim().parse::<f64>().ok()).context("no such metric")
        };
        Ok(value("sum")? / value("count")? * 1e3)
    }

    /// Restarts the webhook as a rollout does. Returns the time from its start until it is ready.
    pub async fn restart_webhook(&mut self) -> Result<Duration> {
        self.webhook.stop()?;
        self.webhook.start().await
    }

    /// Restarts an agent. Returns the time from its start until it is ready.
    pub async fn restart_agent(&mut self, at: usize) -> Result<Duration> {
        let (_, agent) = self.agents.get_mut(at).context("no such agent")?;
        agent.stop()?;
        agent.start().await
    }

    /// Stops the webhook.
    pub fn stop_webhook(&mut self) -> Result<()> {
        self.webhook.stop()
    }

    /// Starts the webhook. Returns the time until it is ready.
    pub async fn start_webhook(&mut self) -> Result<Duration> {
        self.webhook.start().await
    }
}

impl Program {
    async fn webhook(plane: &ControlPlane, program: &Path, port: u16) -> Result<Self> {
        let listen = format!("--listen=127.0.0.1:{port}");
        let args = [listen.as_str(), "--tls-name=127.0.0.1", "--drain=0s"];
        let identity = Identity::of(plane, names::NAMESPACE, names::WEBHOOK).await?;
        Ok(Self::of(plane, names::WEBHOOK, program, &identity)?.with(&args))
    }

    async fn agent(plane: &ControlPlane, program: &Path, node: &str, pool: &Path) -> Result<Self> {
        std::fs::create_dir_all(pool).with_context(|| format!("make {}", pool.display()))?;
        let identity = Identity::on_node(plane, names::NAMESPACE, names::AGENT, node).await?;
        policies::allowed(&identity, node, pool).await?;
        // The test must not depend on how full the machine's disk is.
        let pool = format!("--pool=default={},reserve=0%", pool.display());
        let args = ["--node", node, pool.as_str()];
        let name = format!("{}-{node}", names::AGENT);
        Ok(Self::of(plane, &name, program, &identity)?.with(&args))
    }

    pub(crate) fn of(
        plane: &ControlPlane,
        name: &str,
        program: &Path,
        identity: &Identity,
    ) -> Result<Self> {
        let admin = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let invocation = Invocation::new(program)
            .arg(format!("--kubeconfig={}", identity.kubeconfig_path().display()))
            .arg(format!("--admin-addr={admin}"));
        let log = plane.logs_dir().join(format!("{name}.log"));
        Ok(Self { name: name.to_owned(), invocation, admin, log, running: None })
    }

    pub(crate) fn with(mut self, args: &[&str]) -> Self {
        self.invocation = self.invocation.args(args);
        self
    }

    /// Prepends a program that starts this one.
    pub(crate) fn through(mut self, prefix: &[&str]) -> Self {
        self.invocation = self.invocation.through(prefix);
        self
    }

    /// Returns the address of its admin port.
    pub(crate) fn admin(&self) -> SocketAddr {
        self.admin
    }

    pub(crate) fn pid(&self) -> Result<u32> {
        Ok(self.running.as_ref().with_context(|| format!("{} is not running", self.name))?.pid())
    }

    pub(crate) async fn start(&mut self) -> Result<Duration> {
        let started = Instant::now();
        let mut process = Process::start(&self.name, &self.invocation, &self.log)?;
        while !ask(self.admin, "/readyz").is_ok_and(|answer| answer.starts_with("HTTP/1.1 200")) {
            process.expect_running()?;
            ensure!(
                started.elapsed() < READY,
                "{} is not ready: {}",
                self.name,
                process.log_tail(15)
            );
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        self.running = Some(process);
        Ok(started.elapsed())
    }

    pub(crate) fn stop(&mut self) -> Result<()> {
        let Some(mut process) = self.running.take() else { return Ok(()) };
        let status = process.terminate(GRACE)?;
        ensure!(status.success(), "{} ended with {status}: {}", self.name, process.log_tail(15));
        Ok(())
    }
}

/// Removes the workloads and their pods. No kubelet runs or deletes pods here, and a pod of an
/// agent that is never Ready would count as an agent that is down.
pub async fn remove_workloads(client: &Client) -> Result<()> {
    let params = DeleteParams::background();
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), names::NAMESPACE);
    deployments.delete(names::WEBHOOK, &params).await.context("delete the Deployment")?;
    let sets: Api<DaemonSet> = Api::namespaced(client.clone(), names::NAMESPACE);
    sets.delete(names::AGENT, &params).await.context("delete the DaemonSet")?;
    let pods: Api<Pod> = Api::namespaced(client.clone(), names::NAMESPACE);
    let (at_once, all) = (DeleteParams::default().grace_period(0), ListParams::default());
    eventually(READY, "the pods are gone", || async {
        pods.delete_collection(&at_once, &all).await.context("delete pods")?;
        let left = pods.list_metadata(&all).await?.items.len();
        ensure!(left == 0, "{left} are left");
        let sets = sets.list_metadata(&all).await?.items.len();
        ensure!(sets == 0, "the DaemonSet is there");
        Ok(())
    })
    .await
}

pub(crate) fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("look for a free port")?;
    Ok(listener.local_addr().context("look for a free port")?.port())
}

/// Sends a GET over a new connection. A client library would take longer than the measured times.
fn ask(admin: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&admin, Duration::from_millis(200))?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
