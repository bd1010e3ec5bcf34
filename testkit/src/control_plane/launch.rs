//! Starts the programs of a control plane in order and waits until they are ready.

use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Api;
use serde_json::json;

use super::arguments::{AUDIT_POLICY, Setting};
use super::{Component, ControlPlane, ports};
use crate::eventually::eventually;
use crate::process::{Invocation, Process};

/// The start timeout, which exceeds the longest start seen on a loaded machine with two cores.
const READY: Duration = Duration::from_secs(90);

impl ControlPlane {
    pub(super) async fn launch(&mut self) -> Result<()> {
        self.write_kubeconfigs()?;
        self.write_audit_policy()?;
        self.start_process(Component::Etcd)?;
        self.start_process(Component::ApiServer)?;
        self.await_api().await?;
        for &component in self.options.components() {
            if !self.processes().contains_key(&component) {
                self.start_process(component)?;
            }
        }
        self.await_controllers().await
    }

    pub(super) fn forget_launch(&mut self) -> Result<()> {
        self.processes().clear();
        let data = self.state.path().join("etcd");
        if data.exists() {
            std::fs::remove_dir_all(&data).context("remove the data of a failed start")?;
        }
        self.ports = ports::choose(&self.options.place)?;
        Ok(())
    }

    fn write_kubeconfigs(&self) -> Result<()> {
        let endpoint = self.endpoint();
        let admin = self.credentials.administrator()?;
        self.credentials.write_kubeconfig("admin", &endpoint, admin)?;
        for component in [Component::ControllerManager, Component::Scheduler] {
            let name = component.program();
            let user = format!("system:{name}");
            let pair = self.credentials.client(&user, &user)?;
            self.credentials.write_kubeconfig(name, &endpoint, pair)?;
        }
        Ok(())
    }

    fn write_audit_policy(&self) -> Result<()> {
        let policy = json!({
            "apiVersion": "audit.k8s.io/v1",
            "kind": "Policy",
            "omitStages": ["RequestReceived"],
            "rules": [{ "level": "Metadata", "userGroups": ["system:serviceaccounts"] }],
        });
        let path = self.state.path().join(AUDIT_POLICY);
        std::fs::write(path, policy.to_string()).context("write the audit policy")
    }

    pub(super) fn start_process(&self, component: Component) -> Result<()> {
        let setting = Setting {
            options: &self.options,
            credentials: &self.credentials,
            ports: self.ports,
            data: self.state.path(),
        };
        let name = component.program();
        let invocation = Invocation::new(self.assets.program(name))
            .args(setting.arguments(component))
            .through(self.prefix());
        let log = self.state.logs().join(format!("{name}.log"));
        let process = Process::start(name, &invocation, &log)?;
        self.processes().insert(component, process);
        Ok(())
    }

    pub(super) async fn await_api(&self) -> Result<()> {
        let client = self.client().await?;
        eventually(READY, "the API server is ready", || async {
            if let Err(ended) = self.expect_running() {
                return Ok(Err(ended));
            }
            let request = http::Request::get("/readyz").body(Vec::new());
            client.request_text(request.context("make a request")?).await?;
            anyhow::Ok(Ok(()))
        })
        .await?
    }

    // Every pod needs the default service account, which a controller creates first.
    async fn await_controllers(&self) -> Result<()> {
        if !self.options.components().contains(&Component::ControllerManager) {
            return Ok(());
        }
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client().await?, "default");
        eventually(READY, "the controllers work", || async {
            if let Err(ended) = self.expect_running() {
                return Ok(Err(ended));
            }
            accounts.get("default").await?;
            anyhow::Ok(Ok(()))
        })
        .await?
    }
}
