//! Clients of a test bed's API server, each from a kubeconfig that the test bed wrote.
//!
//! The client itself is made by the same code as in the shipped programs.

use anyhow::{Context, Result};
use kube::Client;

/// A client from the text of a kubeconfig.
pub(crate) async fn client(kubeconfig: &str) -> Result<Client> {
    fastrak_runtime::client::from_kubeconfig_text(kubeconfig).await.context("make a client")
}
