//! Kubernetes clients. No other module creates one. The environment and the home directory are not
//! searched for a kubeconfig, because a developer's kubeconfig may refer to another cluster.

mod connection;

pub use connection::Pings;

use std::path::PathBuf;
use std::time::Duration;

use kube::client::ClientBuilder;
use kube::config::{InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};

use crate::deadline::Deadline;

const DEFAULT_LIMIT: Duration = Duration::from_secs(30);

/// The flags of the connection to the API server.
#[derive(Debug, Clone, clap::Args)]
pub struct ClientArgs {
    /// Kubeconfig file (default: the ServiceAccount of the pod).
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Timeout of requests to the API server, except watches, in seconds.
    #[arg(long, env = "FASTRAK_KUBE_TIMEOUT", default_value = "30", value_name = "SECONDS", value_parser = seconds)]
    pub kube_timeout: Duration,
}

/// Why a client cannot be created.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// There is neither a kubeconfig nor a ServiceAccount.
    #[error(
        "not in a cluster and no --kubeconfig given: run in a pod with a ServiceAccount, or name a kubeconfig file"
    )]
    NotInCluster(#[source] InClusterError),
    /// The file cannot be read or is not a kubeconfig.
    #[error("could not read {path:?} as a kubeconfig: check --kubeconfig", path = .0.display())]
    Read(PathBuf, #[source] KubeconfigError),
    /// The text is not a kubeconfig.
    #[error("not a kubeconfig")]
    Parse(#[source] KubeconfigError),
    /// The current context of the kubeconfig refers to something that is missing or unusable.
    #[error("the kubeconfig's current context cannot be used")]
    Resolve(#[source] KubeconfigError),
    /// The kubeconfig has a proxy.
    #[error("the kubeconfig names the proxy {0}, which is not supported: remove its proxy-url")]
    Proxy(String),
    /// The configuration cannot be used.
    #[error("could not set up the connection to the API server")]
    Build(#[source] kube::Error),
}

/// Creates the client that `args` configure. Sends no request.
pub async fn connect(args: &ClientArgs) -> Result<Client, ClientError> {
    connect_with(args, Pings::default()).await
}

/// Creates a client that detects a vanished API server by these pings. Sends no request.
pub async fn connect_with(args: &ClientArgs, pings: Pings) -> Result<Client, ClientError> {
    let ClientArgs { kubeconfig, kube_timeout } = args;
    let config = match kubeconfig {
        Some(path) => {
            let read = Kubeconfig::read_from(path);
            resolve(read.map_err(|error| ClientError::Read(path.clone(), error))?).await?
        }
        None => Config::incluster().map_err(ClientError::NotInCluster)?,
    };
    build(config, *kube_timeout, pings)
}

/// Creates a client for the current context of a kubeconfig.
pub async fn from_kubeconfig_text(text: &str) -> Result<Client, ClientError> {
    let kubeconfig = Kubeconfig::from_yaml(text).map_err(ClientError::Parse)?;
    build(resolve(kubeconfig).await?, DEFAULT_LIMIT, Pings::default())
}

async fn resolve(kubeconfig: Kubeconfig) -> Result<Config, ClientError> {
    let clusters = kubeconfig.clusters.iter().filter_map(|named| named.cluster.as_ref());
    let proxy = clusters.filter_map(|cluster| cluster.proxy_url.clone()).next();
    if let Some(proxy) = proxy {
        return Err(ClientError::Proxy(proxy));
    }
    let options = KubeConfigOptions::default();
    Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(ClientError::Resolve)
}

fn build(config: Config, limit: Duration, pings: Pings) -> Result<Client, ClientError> {
    let service = connection::service(&config, pings).map_err(ClientError::Build)?;
    let builder = ClientBuilder::new(service, config.default_namespace);
    Ok(builder.with_layer(&Deadline { limit }).build())
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.strip_suffix('s').unwrap_or(text).parse::<u16>() {
        Ok(seconds) if seconds > 0 => Ok(Duration::from_secs(seconds.into())),
        _ => Err("expected a number of seconds from 1 to 65535".to_owned()),
    }
}

#[cfg(test)]
mod tests;
