//! The only place where a Kubernetes client is made. It never looks for a
//! kubeconfig: a developer's own, lying in the environment or the home folder,
//! points at a cluster that nobody meant.

use std::path::{Path, PathBuf};
use std::time::Duration;

use kube::client::ClientBuilder;
use kube::config::{InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};

use crate::deadline::Deadline;

const CONNECT: Duration = Duration::from_secs(5);

/// The socket may be silent this long. The server ends a watch after at most 290 s
/// (`watch` asks for that and gives up 5 s later), so this never cuts a healthy
/// one; it catches a peer that vanished under a stream nobody else times.
const SILENCE: Duration = Duration::from_secs(330);

const DEFAULT_LIMIT: Duration = Duration::from_secs(30);

/// How to reach the API server.
#[derive(Debug, Clone, clap::Args)]
pub struct ClientArgs {
    /// Kubeconfig file to use. Without it, the pod's own ServiceAccount.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// How long the API server may take over any request but a watch, in seconds.
    #[arg(long, env = "FASTRAK_KUBE_TIMEOUT", default_value = "30", value_name = "SECONDS", value_parser = seconds)]
    pub kube_timeout: Duration,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Neither a file nor a pod's own credentials.
    #[error(
        "not in a cluster and no --kubeconfig given: run in a pod with a ServiceAccount, or name a kubeconfig file"
    )]
    NotInCluster(#[source] InClusterError),
    /// The file cannot be read or is not a kubeconfig.
    #[error("could not read {path:?} as a kubeconfig: check --kubeconfig", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the reader said.
        #[source]
        source: KubeconfigError,
    },
    /// The text is not a kubeconfig.
    #[error("not a kubeconfig")]
    Parse(#[source] KubeconfigError),
    /// What the kubeconfig names is missing or unusable.
    #[error("the kubeconfig's current context cannot be used")]
    Resolve(#[source] KubeconfigError),
    /// A client cannot be built from a configuration that was read.
    #[error("could not set up the connection to the API server")]
    Build(#[source] kube::Error),
}

/// A client as `args` say. Nothing is sent yet.
pub async fn connect(args: &ClientArgs) -> Result<Client, ClientError> {
    let ClientArgs { kubeconfig, kube_timeout } = args;
    let config = match kubeconfig {
        Some(path) => resolve(read(path)?).await?,
        None => Config::incluster().map_err(ClientError::NotInCluster)?,
    };
    build(config, *kube_timeout)
}

/// A client for the current context of a kubeconfig's text.
pub async fn from_kubeconfig_text(text: &str) -> Result<Client, ClientError> {
    let kubeconfig = Kubeconfig::from_yaml(text).map_err(ClientError::Parse)?;
    build(resolve(kubeconfig).await?, DEFAULT_LIMIT)
}

fn read(path: &Path) -> Result<Kubeconfig, ClientError> {
    let wrong = |source| ClientError::Read { path: path.to_owned(), source };
    Kubeconfig::read_from(path).map_err(wrong)
}

async fn resolve(kubeconfig: Kubeconfig) -> Result<Config, ClientError> {
    let named_proxy = kubeconfig
        .clusters
        .iter()
        .filter_map(|named| named.cluster.as_ref())
        .any(|cluster| cluster.proxy_url.is_some());
    let options = KubeConfigOptions::default();
    let mut config =
        Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(ClientError::Resolve)?;
    if !named_proxy {
        // kube falls back on HTTPS_PROXY, which a build machine has for other reasons.
        config.proxy_url = None;
    }
    Ok(config)
}

fn build(mut config: Config, limit: Duration) -> Result<Client, ClientError> {
    config.connect_timeout = Some(CONNECT);
    config.read_timeout = Some(SILENCE);
    // Without this, the time that a pooled connection lay idle counts as silence.
    config.reset_reader_on_write = true;
    let builder = ClientBuilder::try_from(config).map_err(ClientError::Build)?;
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
