//! Serves the certificate that the administrator mounts. The directory is read at intervals, and a new
//! certificate is served once it is complete, matches its key, and the API server trusts it. There
//! is no Secret. Without `ca.crt` in the directory, `caBundle` is not changed.
//!
//! The files are polled: a mounted Secret is replaced by a symbolic link, of which inotify reports
//! at most the first change.

mod directory;
mod plan;

use super::Outputs;
use super::ca_bundle::{self, Configuration};
use super::cert_bundle::cas;
use super::error::RotationError;
use super::state::{Phase, Published};
use super::trust_times::TrustTimes;
pub(super) use directory::DirectoryError;
use directory::Found;
use fastrak_certs::Bundle;
use fastrak_runtime::clock::Clock;
use fastrak_runtime::shutdown::Shutdown;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use kube::Api;
use plan::{CertVersion, Step, View, plan};
use std::convert::Infallible;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use time::OffsetDateTime;

/// The maximum number of steps at a time. More are needed only if other clients revert them.
const STEPS: usize = 8;

/// The task that serves a mounted certificate.
pub struct Mounted {
    pub directory: PathBuf,
    pub configurations: Api<MutatingWebhookConfiguration>,
    /// The names by which the API server reaches the webhook.
    pub names: Vec<String>,
    /// How long API servers may take to load a new bundle.
    pub settle: Duration,
    pub poll: Duration,
    /// Where the certificate is served and reported.
    pub outputs: Outputs,
    pub clock: Clock,
}

#[derive(Default)]
struct Memory {
    served: Option<Found>,
    trust_times: TrustTimes,
}

impl Mounted {
    /// Runs until shutdown is requested.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), Infallible> {
        let mut memory = Memory::default();
        self.outputs.metrics.show(Phase::Mounted);
        loop {
            let wait = match self.reconcile(&mut memory).await {
                Ok(wait) => wait.map_or(self.poll, |wait| wait.min(self.poll)),
                Err(error) => {
                    self.outputs.report(&error, memory.served.is_some());
                    self.poll
                }
            };
            tokio::select! {
                () = shutdown.requested() => return Ok(()),
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    async fn reconcile(&self, memory: &mut Memory) -> Result<Option<Duration>, RotationError> {
        let found = directory::read(&self.directory, &self.names, self.clock.now()).await;
        let found = match (found.map_err(RotationError::Mounted), memory.served.clone()) {
            (Ok(found), _) => found,
            (Err(error), None) => return Err(error),
            // The certificate that is served needs its CA in `caBundle` all the same.
            (Err(error), Some(served)) => {
                self.outputs.report(&error, true);
                served
            }
        };
        for _ in 0..STEPS {
            let configuration = ca_bundle::read(&self.configurations).await;
            let configuration = configuration.map_err(RotationError::Bundle)?;
            let now = self.clock.now();
            let view = self.view(&configuration, &found, memory, now);
            self.outputs.metrics.bundle_match.set(i64::from(view.trusts_new));
            match plan(&view, self.settle, now) {
                Step::Publish => self.publish(&configuration, &found, now).await?,
                Step::Serve => self.serve(&found, memory)?,
                Step::Rest(wait) => {
                    self.outputs.ready.ready();
                    return Ok(wait);
                }
            }
        }
        Err(RotationError::Contended)
    }

    async fn publish(
        &self,
        configuration: &Configuration,
        found: &Found,
        now: OffsetDateTime,
    ) -> Result<(), RotationError> {
        let bundle = union(&found.cas, &configuration.found(), now);
        let done = configuration.publish(&self.configurations, &bundle).await;
        let published = done.map_err(RotationError::Bundle)?;
        tracing::info!(published, "published the CA bundle");
        Ok(())
    }

    fn view(
        &self,
        configuration: &Configuration,
        found: &Found,
        memory: &mut Memory,
        now: OffsetDateTime,
    ) -> View {
        let trusted = memory.trust_times.update(&configuration.trusted(), Instant::now());
        let trusts = |found: &Found| {
            configuration.texts().all(|text| {
                // Without a bundle, the API server uses the CAs of its operating system.
                text.trim().is_empty() || found.chain.is_trusted(&text, &self.names, now)
            })
        };
        let version = |found: &Found| CertVersion { digest: found.digest, expires: found.expires };
        View {
            found: version(found),
            served: memory.served.as_ref().map(version),
            trusts_new: trusts(found),
            trusts_served: memory.served.as_ref().is_some_and(trusts),
            own: cas(&found.cas).iter().map(|ca| ca.id).collect(),
            published: Published { trusted, ..Published::default() },
        }
    }

    fn serve(&self, found: &Found, memory: &mut Memory) -> Result<(), RotationError> {
        self.outputs.slot.set(&found.cert_pem, &found.key_pem).map_err(RotationError::Serve)?;
        tracing::info!(serial = found.serial, until = %found.expires, "serving the certificate of --tls-dir");
        self.outputs.metrics.certificate_expiry.set(found.expires.unix_timestamp());
        memory.served = Some(found.clone());
        Ok(())
    }
}

/// Returns the CAs of the directory and the published ones that have not expired: other replicas may
/// not have read the new certificate yet.
fn union(own: &Bundle, found: &Bundle, now: OffsetDateTime) -> String {
    let (mut all, mut previous) = (own.clone(), found.clone());
    previous.prune_expired(now);
    for pem in previous.iter().take(plan::MAX_CAS) {
        if let Err(error) = all.add(&pem) {
            tracing::warn!(error = %error, "could not keep a published CA");
        }
    }
    all.to_pem()
}
