//! The certificate of the metrics port, reloaded from a directory when its content changes. If
//! loading fails, the previous certificate is still presented.
//!
//! The directory is polled, because the kubelet updates a mounted Secret by replacing a symbolic
//! link, and inotify reports at most the first replacement.

use crate::chain::Chain;
use crate::ready::Remark;
use crate::tls::Slot;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The keys of a `kubernetes.io/tls` Secret.
const CERT: &str = "tls.crt";
const KEY: &str = "tls.key";
/// The poll interval. A poll is two small reads, and the kubelet takes about a minute to update a
/// mounted Secret.
const POLL: Duration = Duration::from_secs(5);

/// A directory whose certificate is loaded into a slot.
#[derive(Debug)]
pub(super) struct CertificateDirectory {
    pub(super) path: PathBuf,
    pub(super) slot: Arc<Slot>,
    /// The remark about the directory in `/readyz`.
    pub(super) remark: Remark,
}

/// The certificate and the key in the directory, or why they cannot be read.
type Content = Result<[String; 2], String>;

impl CertificateDirectory {
    /// Reloads the certificate on change. Never returns.
    pub(super) async fn run(self) -> Infallible {
        let mut last = None;
        loop {
            let content = read(&self.path).await;
            if last.as_ref() != Some(&content) {
                self.load(&content);
                last = Some(content);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    fn load(&self, content: &Content) {
        let loaded = content.clone().and_then(|[cert_pem, key_pem]| {
            self.slot.set(&cert_pem, &key_pem).map_err(|error| Chain(&error).to_string())
        });
        match loaded {
            Ok(()) => {
                self.remark.clear();
                tracing::info!(directory = %self.path.display(), "loaded the certificate of /metrics");
            }
            Err(reason) => {
                let kept = self.slot.is_set();
                tracing::warn!(
                    error = reason, kept, directory = %self.path.display(),
                    "could not load the certificate of /metrics"
                );
                self.remark.set(format!("could not load {}: {reason}", self.path.display()));
            }
        }
    }
}

async fn read(directory: &Path) -> Content {
    let read = async |file| {
        let path = directory.join(file);
        let text = tokio::fs::read_to_string(&path).await;
        text.map_err(|error| format!("could not read {}: {error}", path.display()))
    };
    Ok([read(CERT).await?, read(KEY).await?])
}
