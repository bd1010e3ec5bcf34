//! Clients of a test bed's API server, created by the same code as in the shipped programs.

use anyhow::{Context, Result};
use kube::Client;

/// Creates a client from a kubeconfig.
pub(crate) async fn client(kubeconfig: &str) -> Result<Client> {
    fastrak_runtime::client::from_kubeconfig_text(kubeconfig).await.context("make a client")
}
