//! The file that says which authorities' clients may ask, read again when it has changed. What cannot be
//! read changes nothing: the last that could be read goes on to hold.

use super::clients::{ClientAuth, Clients};
use crate::metrics::Metrics;
use fastrak_runtime::chain::Chain;
use fastrak_runtime::shutdown::Shutdown;
use fastrak_runtime::tls::TlsError;
use std::convert::Infallible;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What is to be made of clients, as it is configured.
#[derive(Clone, Debug)]
pub struct ClientPolicy {
    /// What is made of their certificates.
    pub auth: ClientAuth,
    /// The file with the authorities. It is there unless nobody is looked at.
    pub authorities: Option<PathBuf>,
    /// The common names that may ask; all where there are none.
    pub names: Vec<String>,
}

/// The file, and those who go by it.
#[derive(Debug)]
pub struct ClientCa {
    path: PathBuf,
    poll: Duration,
    last: Vec<u8>,
    clients: Arc<Clients>,
}

/// Why clients cannot be distinguished.
#[derive(Debug, thiserror::Error)]
pub enum ClientCaError {
    /// There is no file.
    #[error("client certificates are to be looked at, and no file says by which authorities")]
    NoFile,
    /// The file cannot be read.
    #[error("could not read the clients' authorities from {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file is not what it should be.
    #[error("the clients' authorities in {path} cannot be used")]
    Use {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: TlsError,
    },
}

impl ClientCa {
    /// Reads the file for the first time; none where nobody is looked at.
    pub async fn load(
        policy: &ClientPolicy,
        poll: Duration,
        metrics: &Arc<Metrics>,
    ) -> Result<Option<Self>, ClientCaError> {
        let ClientPolicy { auth, authorities, names } = policy.clone();
        let is_required = match auth {
            ClientAuth::Off => return Ok(None),
            ClientAuth::Observe => false,
            ClientAuth::Require => true,
        };
        let path = authorities.ok_or(ClientCaError::NoFile)?;
        let last = tokio::fs::read(&path)
            .await
            .map_err(|source| ClientCaError::Read { path: path.clone(), source })?;
        let clients = Clients::new(is_required, names, &last, Arc::clone(metrics))
            .map_err(|source| ClientCaError::Use { path: path.clone(), source })?;
        Ok(Some(Self { path, poll, last, clients: Arc::new(clients) }))
    }

    /// Those who go by it.
    #[must_use]
    pub fn clients(&self) -> Arc<Clients> {
        Arc::clone(&self.clients)
    }

    /// Looks at the file until shutdown is requested.
    pub async fn run(mut self, shutdown: Shutdown) -> Result<(), Infallible> {
        loop {
            tokio::select! {
                () = shutdown.requested() => return Ok(()),
                () = tokio::time::sleep(self.poll) => self.look().await,
            }
        }
    }

    async fn look(&mut self) {
        let path = &self.path;
        let found = match tokio::fs::read(path).await {
            Ok(found) if found == self.last => return,
            Ok(found) => found,
            Err(source) => {
                let error = ClientCaError::Read { path: path.clone(), source };
                return tracing::warn!(error = %Chain(&error), "those before go on to hold");
            }
        };
        match self.clients.trust(&found) {
            Ok(()) => tracing::info!(path = %path.display(), "other clients are trusted now"),
            Err(source) => {
                let error = ClientCaError::Use { path: path.clone(), source };
                tracing::warn!(error = %Chain(&error), "those before go on to hold");
            }
        }
        // An unusable file is reported once.
        self.last = found;
    }
}
