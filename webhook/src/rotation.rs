//! The serving certificate: created or read, published, read back, and only then served.
//!
//! `plan.rs` decides the next step from `state.rs`. `controller.rs` carries it out on the Secret
//! (`secret.rs`, its content is `cert_bundle.rs`), on the webhook configuration (`ca_bundle.rs`)
//! and on the server. `watch.rs` reports changes. With `--tls-dir`, `mounted.rs` serves the
//! certificate of the administrator instead.

mod ca_bundle;
pub mod cert_bundle;
mod controller;
mod error;
pub(crate) mod metrics;
mod mounted;
mod plan;
mod secret;
pub mod state;
mod token_bucket;
mod trust_times;
mod watch;

use crate::webhook_config::plan::Installation;
use ca_bundle::BundleError;
use cert_bundle::CertSpec;
use controller::Rotator;
use error::RotationError;
use fastrak_api::duration::{parse_or_seconds, parse_second_or_more};
use fastrak_runtime::chain::Chain;
use fastrak_runtime::clock::Clock;
use fastrak_runtime::ready::ReadyHandle;
use fastrak_runtime::shutdown::Shutdown;
use fastrak_runtime::tls::Slot;
use kube::{Api, Client};
use metrics::RotationMetrics;
use mounted::Mounted;
use state::Lifetimes;
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use watch::Watched;

/// The default interval at which the Secret is read. Watches report changes and a timer the
/// renewal, but timers stop while a machine is suspended.
const CERTIFICATE_POLL: Duration = Duration::from_secs(10 * 60);
/// The default interval at which files are read. No watch reports their changes.
const FILE_POLL: Duration = Duration::from_secs(30);

/// The flags of certificates.
#[derive(Clone, Debug, clap::Args)]
pub struct RotationArgs {
    /// Directory with a certificate to serve instead (tls.crt, tls.key, optionally ca.crt).
    #[arg(long, env = "FASTRAK_TLS_DIR", value_name = "DIRECTORY")]
    pub tls_dir: Option<PathBuf>,
    /// Lifetime of a CA; it is replaced after two thirds.
    #[arg(long, env = "FASTRAK_CA_LIFETIME", default_value = "365d", value_name = "TIME", value_parser = parse_second_or_more)]
    pub ca_lifetime: Duration,
    /// Lifetime of a certificate; it is replaced after two thirds.
    #[arg(long, env = "FASTRAK_CERTIFICATE_LIFETIME", default_value = "30d", value_name = "TIME", value_parser = parse_second_or_more)]
    pub certificate_lifetime: Duration,
    /// Time for API servers to load a new CA before a certificate issued by it is served.
    #[arg(long, env = "FASTRAK_BUNDLE_SETTLE", default_value = "10s", value_name = "TIME", value_parser = parse_or_seconds)]
    pub bundle_settle: Duration,
    /// Interval at which the certificate is checked if no watch reports a change [default: 10m, and
    /// 30s for files: --tls-dir, --client-ca].
    #[arg(long, env = "FASTRAK_CERTIFICATE_POLL", value_name = "TIME", value_parser = parse_second_or_more)]
    pub certificate_poll: Option<Duration>,
    /// The wall clock by which certificates are created and checked. It has no flag.
    #[arg(skip)]
    pub clock: Clock,
}

/// The source of the certificate.
pub enum Certificates {
    /// The webhook creates it.
    Own(Box<Rotator>),
    /// The administrator mounts it.
    Mounted(Box<Mounted>),
}

/// Where the certificate is served and reported.
pub struct Outputs {
    /// The certificate of the server.
    pub slot: Arc<Slot>,
    /// The metrics.
    pub metrics: RotationMetrics,
    /// Ready once a certificate is served that the API server trusts.
    pub ready: ReadyHandle,
}

impl Outputs {
    /// Reports an error. The replica stays ready if it serves a certificate and the API server does
    /// not respond. Without a webhook configuration it is not ready: no review can arrive.
    fn report(&self, error: &RotationError, serving: bool) {
        let chain = Chain(error).to_string();
        let is_missing = matches!(error, RotationError::Bundle(BundleError::NoConfiguration));
        if is_missing || !serving {
            self.ready.not_ready(chain.clone());
        }
        self.metrics.fail(error.cause());
        tracing::warn!(error = chain, serving, "could not update the certificates");
    }
}

impl RotationArgs {
    /// Returns the interval at which files with certificates are read.
    #[must_use]
    pub fn file_poll(&self) -> Duration {
        self.certificate_poll.unwrap_or(FILE_POLL)
    }

    fn lifetimes(&self) -> Lifetimes {
        let time = |time| time::Duration::try_from(time).unwrap_or(time::Duration::MAX);
        Lifetimes {
            ca: time(self.ca_lifetime),
            leaf: time(self.certificate_lifetime),
            settle: self.bundle_settle,
        }
    }
}

impl Certificates {
    /// Creates the task that the flags select.
    #[must_use]
    pub fn new(
        args: &RotationArgs,
        installation: &Installation,
        client: Client,
        outputs: Outputs,
    ) -> Self {
        let configurations = Api::all(client.clone());
        let (names, clock) = (installation.names.clone(), args.clock.clone());
        match &args.tls_dir {
            Some(directory) => Self::Mounted(Box::new(Mounted {
                directory: directory.clone(),
                configurations,
                names,
                settle: args.bundle_settle,
                poll: args.file_poll(),
                outputs,
                clock,
            })),
            None => Self::Own(Box::new(Rotator {
                watched: Watched::new(client.clone(), &installation.namespace),
                secrets: Api::namespaced(client, &installation.namespace),
                configurations,
                spec: CertSpec { names, lifetimes: args.lifetimes() },
                poll: args.certificate_poll.unwrap_or(CERTIFICATE_POLL),
                outputs,
                clock,
            })),
        }
    }

    /// Runs until shutdown is requested.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), Infallible> {
        match self {
            Self::Own(rotator) => rotator.run(shutdown).await,
            Self::Mounted(mounted) => mounted.run(shutdown).await,
        }
    }
}
