//! The CA file of client certificates, read again when it changes. If it cannot be read, the
//! previous CA stays trusted.

use super::clients::{ClientAuth, Clients};
use super::metrics::ServeMetrics;
use fastrak_runtime::chain::Chain;
use fastrak_runtime::shutdown::Shutdown;
use fastrak_runtime::tls::TlsError;
use std::convert::Infallible;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The flags of client certificates.
#[derive(Clone, Debug, clap::Args)]
pub struct ClientAuthArgs {
    /// How client certificates are used.
    #[arg(long, env = "FASTRAK_CLIENT_AUTH", value_enum, default_value = "off")]
    pub client_auth: ClientAuth,
    /// File with the CA certificates of clients (PEM), reloaded on change.
    #[arg(long, env = "FASTRAK_CLIENT_CA", value_name = "FILE", required_if_eq_any = [("client_auth", "observe"), ("client_auth", "require")])]
    pub client_ca: Option<PathBuf>,
    /// Accepted common name of a client certificate; may be repeated [default: any certificate
    /// issued by --client-ca].
    #[arg(long = "client-name", value_name = "NAME")]
    pub client_names: Vec<String>,
}

/// The CA file and the verifier that uses it.
#[derive(Debug)]
pub struct ClientCa {
    path: PathBuf,
    poll: Duration,
    last: Vec<u8>,
    clients: Arc<Clients>,
}

/// Why client certificates cannot be verified.
#[derive(Debug, thiserror::Error)]
pub enum ClientCaError {
    /// There is no CA file.
    #[error("--client-auth needs --client-ca")]
    NoFile,
    /// The CA file cannot be read.
    #[error("could not read --client-ca {0}")]
    Read(PathBuf, #[source] io::Error),
    /// The content of the CA file is invalid.
    #[error("the CA certificates of --client-ca {0} are invalid")]
    Use(PathBuf, #[source] TlsError),
}

impl ClientCa {
    /// Reads the file for the first time. Returns `None` if client certificates are not requested.
    pub async fn load(
        args: &ClientAuthArgs,
        poll: Duration,
        metrics: &ServeMetrics,
    ) -> Result<Option<Self>, ClientCaError> {
        let ClientAuthArgs { client_auth, client_ca, client_names } = args.clone();
        let is_required = match client_auth {
            ClientAuth::Off => return Ok(None),
            ClientAuth::Observe => false,
            ClientAuth::Require => true,
        };
        let path = client_ca.ok_or(ClientCaError::NoFile)?;
        let last = tokio::fs::read(&path)
            .await
            .map_err(|error| ClientCaError::Read(path.clone(), error))?;
        let clients = Clients::new(is_required, client_names, &last, metrics.clone())
            .map_err(|error| ClientCaError::Use(path.clone(), error))?;
        Ok(Some(Self { path, poll, last, clients: Arc::new(clients) }))
    }

    /// Returns the verifier.
    #[must_use]
    pub fn clients(&self) -> Arc<Clients> {
        Arc::clone(&self.clients)
    }

    /// Reads the file at intervals until shutdown is requested.
    pub async fn run(mut self, shutdown: Shutdown) -> Result<(), Infallible> {
        loop {
            tokio::select! {
                () = shutdown.requested() => return Ok(()),
                () = tokio::time::sleep(self.poll) => self.reload().await,
            }
        }
    }

    async fn reload(&mut self) {
        let path = &self.path;
        let found = match tokio::fs::read(path).await {
            Ok(found) if found == self.last => return,
            Ok(found) => found,
            Err(source) => {
                let error = ClientCaError::Read(path.clone(), source);
                return tracing::warn!(error = %Chain(&error), "keeping the previous client CA");
            }
        };
        match self.clients.trust(&found) {
            Ok(()) => tracing::info!(path = %path.display(), "reloaded the client CA"),
            Err(source) => {
                let error = ClientCaError::Use(path.clone(), source);
                tracing::warn!(error = %Chain(&error), "keeping the previous client CA");
            }
        }
        // An invalid file is reported once.
        self.last = found;
    }
}
