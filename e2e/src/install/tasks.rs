//! Both programs as tasks of this process, each with its ServiceAccount, for tests that change
//! their configuration or stop them.

use anyhow::{Context, Result};
use clap::Parser as _;
use fastrak_agent::config as agent;
use fastrak_runtime::shutdown::Shutdown;
use fastrak_testkit::Identity;
use fastrak_testkit::fixtures::webhook_args;
use fastrak_webhook::config as webhook;
use fastrak_webhook::run::Webhook;
use std::net::SocketAddr;
use std::path::Path;
use tokio::task::JoinHandle;

/// A running program.
#[derive(Debug)]
pub struct Task {
    shutdown: Shutdown,
    task: JoinHandle<Result<()>>,
    addresses: Option<Addresses>,
}

/// The addresses of a webhook.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// The address of the review port.
    pub reviews: SocketAddr,
    /// The address of the admin port.
    pub admin: SocketAddr,
}

impl Task {
    /// Starts the agent of a node with one pool, which may hold 1Gi.
    pub fn agent(identity: &Identity, node: &str, pool: &Path, flags: &[&str]) -> Result<Self> {
        let args = [
            "fastrak-agent".to_owned(),
            format!("--node={node}"),
            format!("--pool=default={},reserve=0%,size=1Gi", pool.display()),
            format!("--kubeconfig={}", identity.kubeconfig_path().display()),
            "--admin-addr=127.0.0.1:0".to_owned(),
        ];
        let args = args.into_iter().chain(flags.iter().map(|&flag| flag.to_owned()));
        let config = agent::Config::try_from(agent::Args::try_parse_from(args)?)?;
        let shutdown = Shutdown::manual();
        let run = fastrak_agent::run(config, shutdown.clone());
        Ok(Self { shutdown, task: tokio::spawn(async { Ok(run.await?) }), addresses: None })
    }

    /// Starts the webhook. The API server does not call it before its URLs are set.
    pub async fn webhook(config: webhook::Args) -> Result<Self> {
        let webhook = Webhook::bind(config).await?;
        let addresses = Addresses { reviews: webhook.address(), admin: webhook.admin_address() };
        let shutdown = Shutdown::manual();
        let run = webhook.run(shutdown.clone());
        let task = tokio::spawn(async { Ok(run.await?) });
        Ok(Self { shutdown, task, addresses: Some(addresses) })
    }

    /// Returns the addresses of the webhook.
    pub fn addresses(&self) -> Result<Addresses> {
        self.addresses.context("an agent has no addresses that are known")
    }

    /// Stops the program and waits until it has stopped.
    pub async fn stop(self) -> Result<()> {
        self.shutdown.request();
        self.task.await?
    }
}

/// Returns the configuration of a webhook on free ports of the loopback address.
pub fn webhook_config(identity: &Identity, flags: &[&str]) -> Result<webhook::Args> {
    Ok(webhook::Args::try_parse_from(webhook_args(identity, flags))?)
}
