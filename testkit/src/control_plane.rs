//! A control plane on this machine: etcd, the API server, and optionally the controller manager and
//! the scheduler. It uses free ports and its own keys and data, reads no existing kubeconfig, and
//! ends with the process that started it.

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

/// The number of start attempts: of two clusters that choose the same port, one starts again.
const ATTEMPTS: usize = 4;

/// A running control plane. Dropping it stops it and removes its files. The logs of a panicking
/// test are kept, and their path is printed.
#[derive(Debug)]
pub struct ControlPlane {
    // First, so that the processes are gone before the directory they write to.
    running: Mutex<BTreeMap<Component, Process>>,
    assets: Assets,
    options: Options,
    ports: Ports,
    credentials: Credentials,
    state: Arc<StateFolder>,
}

impl ControlPlane {
    /// Starts a control plane and waits until it responds. If a program is missing, the error is
    /// [`Missing`](environment::Missing).
    pub async fn start(options: Options) -> Result<Self> {
        // Before the directory is created, so that a skipped test leaves nothing behind.
        Assets::find().await?;
        let started = Self::start_in(Arc::new(StateFolder::create().await?), options).await;
        started.inspect_err(|_| environment::note_failure())
    }

    pub(crate) async fn start_in(state: Arc<StateFolder>, options: Options) -> Result<Self> {
        let assets = Assets::find().await?;
        let credentials = Credentials::create(&state.subdirectory("pki")?, &options.place)?;
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

    /// Creates a client of the administrator. It must be used on the runtime that creates it.
    pub async fn client(&self) -> Result<Client> {
        crate::access::client(&self.admin_kubeconfig_text()?).await
    }

    /// Returns the path of the administrator's kubeconfig.
    #[must_use]
    pub fn kubeconfig_path(&self) -> PathBuf {
        self.credentials.path("admin.kubeconfig")
    }

    /// Returns the URL of the API server.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}:{}", self.options.place.address, self.ports.api)
    }

    /// Returns the CA certificate of the API server.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        self.credentials.ca_pem()
    }

    /// Runs kubectl as the administrator. Returns its standard output.
    pub async fn kubectl(&self, args: &[&str]) -> Result<String> {
        Ok(self.kubectl_command().args(args).run().await?.stdout)
    }

    /// Returns a kubectl invocation as the administrator, to which arguments can be added.
    #[must_use]
    pub fn kubectl_command(&self) -> Invocation {
        Invocation::new(self.assets.program("kubectl"))
            .arg(format!("--kubeconfig={}", self.kubeconfig_path().display()))
            .arg(format!("--cache-dir={}", self.state.path().join("kubectl-cache").display()))
    }

    /// Returns the directory of the logs.
    #[must_use]
    pub fn logs_dir(&self) -> PathBuf {
        self.state.logs()
    }

    /// Returns the audit log of requests by ServiceAccounts, one JSON object in each line. It
    /// exists with [`Options::audited`].
    #[must_use]
    pub fn audit_log(&self) -> PathBuf {
        self.state.path().join(AUDIT_LOG)
    }

    /// Keeps the logs on drop, as after a failed test. Returns their path.
    pub fn keep_logs(&self) -> PathBuf {
        environment::note_failure();
        self.logs_dir()
    }

    /// Returns a directory for further files, which is removed with the control plane.
    pub fn scratch_dir(&self, name: &str) -> Result<PathBuf> {
        self.state.subdirectory(Path::new("scratch").join(name))
    }

    /// Kills a program, as a crash or an outage would.
    pub fn stop_component(&self, component: Component) -> Result<()> {
        let process = self.processes().remove(&component);
        ensure!(process.is_some(), "{component} is not running");
        drop(process);
        Ok(())
    }

    /// Starts a stopped program. For etcd and the API server, waits until the API responds.
    pub async fn start_component(&self, component: Component) -> Result<()> {
        let running = self.processes().contains_key(&component);
        ensure!(!running, "{component} is running");
        self.start_process(component)?;
        match component {
            Component::Etcd | Component::ApiServer => self.await_api().await,
            Component::ControllerManager | Component::Scheduler => Ok(()),
        }
    }

    /// Fails with the end of the log if a program has exited by itself.
    pub fn expect_running(&self) -> Result<()> {
        self.processes().values_mut().try_for_each(Process::expect_running)
    }

    pub(crate) fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint { url: self.url(), ca_pem: self.ca_pem().to_owned() }
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
