//! A real control plane on this machine: etcd, the API server and, when wanted, the controller
//! manager and the scheduler, on free ports, with keys and data of its own.
//!
//! It has no nodes that run anything: `nodes/` adds those. It never reads a kubeconfig that was
//! there before, and nothing of it outlives the process that started it.

mod arguments;
mod credentials;
mod launch;
mod options;
mod ports;
mod shared;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, ensure};
use kube::Client;

pub use self::options::{Component, Options};
pub use self::shared::shared;

pub(crate) use self::credentials::{
    Credentials, Endpoint, KUBERNETES_SERVICE, Proof, kubeconfig_text,
};
pub(crate) use self::options::Place;

use self::arguments::{AUDIT_LOG, Ports};
use crate::assets::Assets;
use crate::environment;
use crate::process::{Invocation, Process};
use crate::state::StateFolder;

/// Two clusters that start at the same moment may both find a port free; the loser tries again.
const ATTEMPTS: usize = 4;

/// A running control plane. Dropping it ends it and removes all it wrote, except that a panicking
/// test keeps its logs and is told where they are.
#[derive(Debug)]
pub struct ControlPlane {
    // First, so that the processes are gone before the folder they write to.
    running: Mutex<BTreeMap<Component, Process>>,
    assets: Assets,
    options: Options,
    ports: Ports,
    credentials: Credentials,
    state: Arc<StateFolder>,
}

impl ControlPlane {
    /// Starts one and waits until it answers.
    pub async fn start(options: Options) -> Result<Self> {
        let started = Self::start_in(Arc::new(StateFolder::create().await?), options).await;
        started.inspect_err(|_| environment::note_failure())
    }

    pub(crate) async fn start_in(state: Arc<StateFolder>, options: Options) -> Result<Self> {
        let assets = Assets::find().await?;
        let credentials = Credentials::create(&state.subfolder("pki")?, &options.place)?;
        let ports = ports::choose(&options.place)?;
        let running = Mutex::default();
        let mut this = Self { running, assets, options, ports, credentials, state };
        for _ in 1..ATTEMPTS {
            match this.launch().await {
                Err(error) if ports::was_taken(&error) => this.forget_launch()?,
                outcome => return outcome.map(|()| this),
            }
        }
        this.launch().await.map(|()| this)
    }

    /// A client with the administrator's rights. It belongs to the runtime that asks for it.
    pub async fn client(&self) -> Result<Client> {
        crate::access::client(&self.admin_kubeconfig_text()?).await
    }

    /// A file with the administrator's kubeconfig.
    #[must_use]
    pub fn kubeconfig_path(&self) -> PathBuf {
        self.credentials.path("admin.kubeconfig")
    }

    /// The URL of the API server.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}:{}", self.options.place.address, self.ports.api)
    }

    /// The certificate of the authority that vouches for the API server.
    #[must_use]
    pub fn authority_pem(&self) -> &str {
        self.credentials.authority_pem()
    }

    /// Runs kubectl as the administrator; what it wrote to standard output.
    pub async fn kubectl(&self, args: &[&str]) -> Result<String> {
        Ok(self.kubectl_command().args(args).run().await?.stdout)
    }

    /// kubectl as the administrator, to which arguments can be added.
    #[must_use]
    pub fn kubectl_command(&self) -> Invocation {
        Invocation::new(self.assets.program("kubectl"))
            .arg(format!("--kubeconfig={}", self.kubeconfig_path().display()))
            .arg(format!("--cache-dir={}", self.state.path().join("kubectl-cache").display()))
    }

    /// Where the processes write their logs.
    #[must_use]
    pub fn logs_dir(&self) -> PathBuf {
        self.state.logs()
    }

    /// What ServiceAccounts have asked for, one JSON object a line; there with
    /// [`Options::audited`].
    #[must_use]
    pub fn audit_log(&self) -> PathBuf {
        self.state.path().join(AUDIT_LOG)
    }

    /// Has the logs kept when it ends, as for a failed test; where they will be.
    pub fn keep_logs(&self) -> PathBuf {
        environment::note_failure();
        self.logs_dir()
    }

    /// A folder for further files that live as long as the control plane.
    pub fn scratch_dir(&self, name: &str) -> Result<PathBuf> {
        self.state.subfolder(Path::new("scratch").join(name))
    }

    /// Kills one of the processes, as a crash or an outage would.
    pub fn stop_component(&self, component: Component) -> Result<()> {
        let process = self.processes().remove(&component);
        ensure!(process.is_some(), "{component} is not running");
        drop(process);
        Ok(())
    }

    /// Starts one that was stopped; for etcd and the API server, waits until the API answers.
    pub async fn start_component(&self, component: Component) -> Result<()> {
        let running = self.processes().contains_key(&component);
        ensure!(!running, "{component} is running");
        self.start_process(component)?;
        match component {
            Component::Etcd | Component::ApiServer => self.await_api().await,
            Component::ControllerManager | Component::Scheduler => Ok(()),
        }
    }

    /// An error with the end of its log when one of the processes has ended by itself.
    pub fn expect_running(&self) -> Result<()> {
        self.processes().values_mut().try_for_each(Process::expect_running)
    }

    pub(crate) fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint { url: self.url(), authority_pem: self.authority_pem().to_owned() }
    }

    pub(crate) fn assets(&self) -> &Assets {
        &self.assets
    }

    pub(crate) fn prefix(&self) -> &[String] {
        &self.options.place.prefix
    }

    fn admin_kubeconfig_text(&self) -> Result<String> {
        std::fs::read_to_string(self.kubeconfig_path()).context("read the admin kubeconfig")
    }

    fn processes(&self) -> MutexGuard<'_, BTreeMap<Component, Process>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
