//! The Kubernetes programs. A build takes a quarter of an hour, so tests do not build them: the
//! script that finds them does.

use std::path::{Path, PathBuf};

use anyhow::Result;
use tokio::sync::OnceCell;

use crate::environment::Missing;
use crate::process::Invocation;

/// The directory with etcd, the control plane, kubectl, kubelet and kube-proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assets {
    directory: PathBuf,
}

impl Assets {
    /// Finds the programs. The error says what is missing and what to run.
    pub async fn find() -> Result<Self> {
        static FOUND: OnceCell<Assets> = OnceCell::const_new();
        FOUND.get_or_try_init(Self::ask).await.cloned()
    }

    /// Returns the path of a program.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Returns the directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    async fn ask() -> Result<Self> {
        let script = repository().join("testbed/assets.sh");
        let found = Invocation::new(&script).arg("--find").run().await;
        let missing = |error| {
            Missing::new(format!(
                "no Kubernetes programs; testbed/assets.sh builds them: {error:#}"
            ))
        };
        Ok(Self { directory: PathBuf::from(found.map_err(missing)?.stdout.trim_end()) })
    }
}

/// Returns the source tree of this build.
#[must_use]
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
