//! Looks after the certificate: made or read, published, read back, and only then served. The
//! decisions are in `plan.rs`.
//!
//! A leaf is never served before the API server was seen to trust its authority. In one turn the
//! configuration is read before the Secret, and changed only in the version that was read: a
//! replica that looks at an older Secret can then never take back what a newer one has published.
//!
//! Time is the wall clock's, looked at again every turn: a machine that was suspended wakes up
//! with its certificate older than any timer knows.

pub mod ca_bundle;
pub mod material;
pub mod plan;
pub mod secret;

use crate::metrics::Metrics;
use crate::serve::tls::{Slot, TlsError};
use ca_bundle::BundleError;
use fastrak_runtime::chain::Chain;
use fastrak_runtime::clock;
use fastrak_runtime::ready::ReadyHandle;
use fastrak_runtime::shutdown::Shutdown;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use material::MaterialError;
use secret::SecretError;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

/// The pause after a first failure; it doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The task that looks after the certificate.
pub struct Rotation {
    /// The replicas' Secret.
    pub secrets: Api<Secret>,
    /// The configurations, of which one is ours.
    pub configurations: Api<MutatingWebhookConfiguration>,
    /// The names by which the API server reaches us.
    pub names: Vec<String>,
    /// How often everything is looked at again.
    pub poll: Duration,
    /// What is served.
    pub slot: Arc<Slot>,
    /// What is measured.
    pub metrics: Arc<Metrics>,
    /// Ready once a certificate is served that the API server trusts.
    pub ready: ReadyHandle,
}

/// Why a turn came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    /// Nothing can be published.
    #[error("the API server does not trust this webhook")]
    Bundle(#[source] BundleError),
    /// There are no certificates.
    #[error("there is no certificate")]
    Secret(#[source] SecretError),
    /// What was stored cannot be served.
    #[error("the certificate cannot be served")]
    Serve(#[source] TlsError),
    /// The leaf cannot be read. The plan has seen to that, so it is a defect of ours.
    #[error("the certificate was lost")]
    Leaf(#[source] MaterialError),
}

impl Rotation {
    /// The task, for a webhook in this namespace.
    #[must_use]
    pub fn api(
        client: Client,
        namespace: &str,
    ) -> (Api<Secret>, Api<MutatingWebhookConfiguration>) {
        (Api::namespaced(client.clone(), namespace), Api::all(client))
    }

    /// Looks after the certificate until shutdown is requested.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), Infallible> {
        let mut served = None;
        let mut pause = FIRST_PAUSE;
        loop {
            let wait = match self.turn(&mut served).await {
                Ok(()) => {
                    self.ready.ready();
                    pause = FIRST_PAUSE;
                    self.poll
                }
                Err(error) => {
                    self.report(&error, served.is_some());
                    let wait = pause;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    wait
                }
            };
            tokio::select! {
                () = shutdown.requested() => return Ok(()),
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// An API server that does not answer for a while costs nothing: what is served is still good.
    /// One that has no registration any more sends nobody here, and an operator should see that.
    fn report(&self, error: &RotationError, serving: bool) {
        let chain = Chain(error).to_string();
        let unregistered = matches!(error, RotationError::Bundle(BundleError::NotRegistered));
        if unregistered || !serving {
            self.ready.not_ready(chain.clone());
        }
        tracing::warn!(error = chain, serving, "certificates; trying again");
    }

    /// Brings everything up to date once. `served` is the serial of what is served.
    async fn turn(&self, served: &mut Option<String>) -> Result<(), RotationError> {
        let registration =
            ca_bundle::read(&self.configurations).await.map_err(RotationError::Bundle)?;
        let now = clock::offset_now();
        let material = secret::ensure(&self.secrets, &self.names, now).await;
        let material = material.map_err(RotationError::Secret)?;
        let bundle = material.bundle.to_pem();
        if !registration.has(&bundle) {
            self.publish(&registration, &bundle).await.map_err(RotationError::Bundle)?;
        }
        let leaf = material.served.map_err(RotationError::Leaf)?;
        if served.as_deref() != Some(leaf.leaf.serial()) {
            let pem = &leaf.pem;
            self.slot.set(&pem.cert_pem, &pem.key_pem).map_err(RotationError::Serve)?;
            let until = leaf.leaf.validity().not_after;
            tracing::info!(serial = leaf.leaf.serial(), until = %until, "serving a certificate");
            self.metrics.certificate_expiry.set(until.unix_timestamp());
            *served = Some(leaf.leaf.serial().to_owned());
        }
        Ok(())
    }

    async fn publish(
        &self,
        registration: &ca_bundle::Registration,
        bundle: &str,
    ) -> Result<(), BundleError> {
        registration.publish(&self.configurations, bundle).await?;
        let read_back = ca_bundle::read(&self.configurations).await?;
        if read_back.has(bundle) { Ok(()) } else { Err(BundleError::Lost) }
    }
}
