//! A certificate that the operator brings, in a folder: it is read again and again, and served once
//! it fits and the API server trusts it. No Secret is read or written here, nothing is made, and
//! `caBundle` is left alone where the folder says nothing of an authority.
//!
//! The content is compared, not the file watched: of a mounted Secret, which is swapped by a link,
//! inotify reports the first change at most.

mod folder;
pub mod plan;

use super::Outputs;
use super::ca_bundle::{self, BundleError, Registration};
use super::cert_bundle::authorities;
use super::metrics::Cause;
use super::seen::Seen;
use super::state::{Phase, Published};
use fastrak_certs::Bundle;
use fastrak_runtime::chain::Chain;
use fastrak_runtime::clock::Clock;
use fastrak_runtime::shutdown::Shutdown;
use fastrak_runtime::tls::TlsError;
use folder::{FolderError, Found};
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use kube::Api;
use plan::{Shown, Step, View, plan};
use std::convert::Infallible;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use time::OffsetDateTime;

/// Steps of one turn; who needs more is in a fight with others.
const STEPS: usize = 8;

/// The task that looks after a certificate of the operator's.
pub struct Mounted {
    /// Where it is.
    pub folder: PathBuf,
    /// The configurations, of which one is ours.
    pub configurations: Api<MutatingWebhookConfiguration>,
    /// The names by which the API server reaches us.
    pub names: Vec<String>,
    /// How long API servers may take to learn of a new bundle.
    pub settle: Duration,
    /// How often everything is looked at again.
    pub poll: Duration,
    /// Where the certificate is served and reported.
    pub outputs: Outputs,
    /// The wall clock.
    pub clock: Clock,
}

/// Why a turn came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum MountedError {
    /// What is in the folder cannot be used. What was there before is served on.
    #[error("the certificate in --tls-dir cannot be used")]
    Folder(#[source] FolderError),
    /// Nothing can be published or read back.
    #[error("the API server does not trust this webhook")]
    Bundle(#[source] BundleError),
    /// The pair cannot be served.
    #[error("the certificate in --tls-dir cannot be served")]
    Serve(#[source] TlsError),
    /// There is no end to what is to be done.
    #[error("others keep changing the registration")]
    Restless,
}

#[derive(Default)]
struct Memory {
    served: Option<Found>,
    seen: Seen,
}

impl Mounted {
    /// Looks after the certificate until shutdown is requested.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), Infallible> {
        let mut memory = Memory::default();
        self.outputs.metrics.show(Phase::Mounted);
        loop {
            let wait = match self.turn(&mut memory).await {
                Ok(wait) => wait.map_or(self.poll, |wait| wait.min(self.poll)),
                Err(error) => {
                    self.report(&error, memory.served.is_some());
                    self.poll
                }
            };
            tokio::select! {
                () = shutdown.requested() => return Ok(()),
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    async fn turn(&self, memory: &mut Memory) -> Result<Option<Duration>, MountedError> {
        let found = folder::read(&self.folder, &self.names, self.clock.now()).await;
        let found = match (found.map_err(MountedError::Folder), memory.served.clone()) {
            (Ok(found), _) => found,
            (Err(error), None) => return Err(error),
            // What cannot be used is told, and what is served is looked after all the same.
            (Err(error), Some(served)) => {
                self.report(&error, true);
                served
            }
        };
        for _ in 0..STEPS {
            let registration = ca_bundle::read(&self.configurations).await;
            let registration = registration.map_err(MountedError::Bundle)?;
            let now = self.clock.now();
            let view = self.view(&registration, &found, memory, now);
            self.outputs.metrics.bundle_match.set(i64::from(view.trusts_new));
            match plan(&view, self.settle, now) {
                Step::Publish => self.publish(&registration, &found, now).await?,
                Step::Serve => self.serve(&found, memory)?,
                Step::Rest(wait) => {
                    self.outputs.ready.ready();
                    return Ok(wait);
                }
            }
        }
        Err(MountedError::Restless)
    }

    async fn publish(
        &self,
        registration: &Registration,
        found: &Found,
        now: OffsetDateTime,
    ) -> Result<(), MountedError> {
        let bundle = union(&found.authorities, &registration.found(), now);
        let done = registration.publish(&self.configurations, &bundle).await;
        let published = done.map_err(MountedError::Bundle)?;
        tracing::info!(published, "published the CA bundle");
        Ok(())
    }

    fn view(
        &self,
        registration: &Registration,
        found: &Found,
        memory: &mut Memory,
        now: OffsetDateTime,
    ) -> View {
        let trusted = memory.seen.see(&registration.trusted(), Instant::now());
        let trusts = |found: &Found| {
            registration.texts().all(|text| {
                // With no bundle at all, the API server trusts whom its machine trusts.
                text.trim().is_empty() || found.chain.is_trusted(&text, &self.names, now)
            })
        };
        let shown = |found: &Found| Shown { digest: found.digest, ends: found.ends };
        View {
            found: shown(found),
            served: memory.served.as_ref().map(shown),
            trusts_new: trusts(found),
            trusts_served: memory.served.as_ref().is_some_and(trusts),
            own: authorities(&found.authorities).iter().map(|authority| authority.id).collect(),
            published: Published { trusted, ..Published::default() },
        }
    }

    fn serve(&self, found: &Found, memory: &mut Memory) -> Result<(), MountedError> {
        self.outputs.slot.set(&found.cert_pem, &found.key_pem).map_err(MountedError::Serve)?;
        tracing::info!(serial = found.serial, until = %found.ends, "serving the certificate of --tls-dir");
        self.outputs.metrics.certificate_expiry.set(found.ends.unix_timestamp());
        memory.served = Some(found.clone());
        Ok(())
    }

    fn report(&self, error: &MountedError, serving: bool) {
        let chain = Chain(error).to_string();
        let unregistered = matches!(error, MountedError::Bundle(BundleError::NotRegistered));
        if unregistered || !serving {
            self.outputs.ready.not_ready(chain.clone());
        }
        self.outputs.metrics.fail(match error {
            MountedError::Folder(_) => Cause::Mounted,
            MountedError::Bundle(BundleError::NotRegistered) => Cause::Unregistered,
            MountedError::Bundle(BundleError::Read(_)) => Cause::ReadRegistration,
            MountedError::Bundle(BundleError::Publish(_)) => Cause::Publish,
            MountedError::Serve(_) => Cause::Serve,
            MountedError::Restless => Cause::Contention,
        });
        tracing::warn!(error = chain, serving, "certificates; trying again");
    }
}

/// The operator's authorities, and those trusted before that have not expired: other replicas may
/// not have seen the new certificate yet.
fn union(own: &Bundle, found: &Bundle, now: OffsetDateTime) -> String {
    let (mut all, mut before) = (own.clone(), found.clone());
    before.prune_expired(now);
    for pem in before.iter().take(plan::MOST) {
        // It was read from a bundle, so it can be added to one.
        if let Err(error) = all.add(&pem) {
            tracing::warn!(error = %error, "an authority was lost");
        }
    }
    all.to_pem()
}
