//! Looks after the certificate: made or read, published, read back, and only then served.
//!
//! `plan.rs` decides the next step from `state.rs`; `controller.rs` carries it out on the Secret
//! (`secret.rs`, whose content is `material.rs`), on the registration (`ca_bundle.rs`) and on what is
//! served. `watch.rs` says when to look again. Where the operator brings a certificate of their own,
//! `mounted.rs` is there in place of all that. It answers no review and opens no connection but to
//! the API server.

pub mod ca_bundle;
pub mod cert_bundle;
pub mod controller;
pub mod error;
pub mod metrics;
pub mod mounted;
pub mod plan;
pub mod secret;
pub mod seen;
pub mod state;
pub mod token_bucket;
pub mod watch;

use crate::config::Config;
use cert_bundle::CertSpec;
use controller::{Rotation, Rotator};
use fastrak_runtime::ready::ReadyHandle;
use fastrak_runtime::shutdown::Shutdown;
use fastrak_runtime::tls::Slot;
use kube::{Api, Client};
use metrics::RotationMetrics;
use mounted::Mounted;
use state::Lifetimes;
use std::convert::Infallible;
use std::sync::Arc;
use watch::Watched;

/// How a webhook comes by its certificate.
pub enum Certificates {
    /// It makes its own.
    Own(Box<Rotation>),
    /// The operator brings it.
    Mounted(Box<Mounted>),
}

impl Certificates {
    /// As it is configured.
    #[must_use]
    pub fn new(
        config: &Config,
        client: Client,
        slot: Arc<Slot>,
        metrics: RotationMetrics,
        ready: ReadyHandle,
    ) -> Self {
        let configurations = Api::all(client.clone());
        let (clock, names) = (config.clock.clone(), config.tls_names.clone());
        let lifetimes = Lifetimes {
            authority: days(config.ca_lifetime),
            leaf: days(config.certificate_lifetime),
            settle: config.bundle_settle,
        };
        match &config.tls_dir {
            Some(folder) => {
                let (folder, settle) = (folder.clone(), lifetimes.settle);
                Self::Mounted(Box::new(Mounted {
                    folder,
                    configurations,
                    names,
                    settle,
                    poll: config.file_poll,
                    slot,
                    metrics,
                    ready,
                    clock,
                }))
            }
            None => Self::Own(Box::new(Rotation {
                watched: Watched::new(client.clone(), &config.namespace),
                care: Rotator {
                    secrets: Api::namespaced(client, &config.namespace),
                    configurations,
                    recipe: CertSpec { names, lifetimes },
                    poll: config.certificate_poll,
                    slot,
                    metrics,
                    ready,
                    clock,
                },
            })),
        }
    }

    /// Looks after it until shutdown is requested.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), Infallible> {
        match self {
            Self::Own(rotation) => rotation.run(shutdown).await,
            Self::Mounted(mounted) => mounted.run(shutdown).await,
        }
    }
}

fn days(time: std::time::Duration) -> time::Duration {
    time::Duration::try_from(time).unwrap_or(time::Duration::MAX)
}
