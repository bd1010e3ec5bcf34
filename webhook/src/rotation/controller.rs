//! Carries out the steps that `plan.rs` decides for certificates of our own.
//!
//! Before each step the webhook configuration is read, then the Secret. If another replica
//! publishes from a newer Secret, it changes the version of the configuration, and a publication
//! from the older Secret fails. A replica may die between two steps: any replica continues from
//! there.
//!
//! Each reconciliation reads the wall clock: timers stop while a machine is suspended.

use super::Outputs;
use super::ca_bundle::{self, Configuration};
use super::cert_bundle::{CertBundle, CertBundleError, CertSpec, cas};
use super::error::RotationError;
use super::metrics::Kind;
use super::plan::{Change, Step, is_usable, plan};
use super::secret;
use super::state::{LeafInfo, Published, Stored, View};
use super::token_bucket::TokenBucket;
use super::trust_times::TrustTimes;
use super::watch::Watched;
use fastrak_certs::Certificate;
use fastrak_runtime::chain::Chain;
use fastrak_runtime::clock::Clock;
use fastrak_runtime::shutdown::Shutdown;
use futures::{FutureExt as _, StreamExt as _};
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use std::convert::Infallible;
use std::pin::pin;
use std::time::{Duration, Instant};
use time::OffsetDateTime;

/// The first delay after a failure. It doubles up to the longest.
const FIRST_DELAY: Duration = Duration::from_millis(100);
const MAX_DELAY: Duration = Duration::from_secs(5);

/// How long changes are collected before a reconciliation. A client that changes the objects all
/// the time causes at most twenty a second.
const DEBOUNCE: Duration = Duration::from_millis(50);

/// The maximum number of steps of a reconciliation. More are needed only if other clients revert
/// them.
const STEPS: usize = 24;

/// The task that rotates the certificates.
pub struct Rotator {
    pub watched: Watched,
    pub secrets: Api<Secret>,
    pub configurations: Api<MutatingWebhookConfiguration>,
    /// The names and lifetimes of new certificates.
    pub spec: CertSpec,
    /// The interval of reconciliations without a change.
    pub poll: Duration,
    /// Where the certificate is served and reported.
    pub outputs: Outputs,
    pub clock: Clock,
}

/// The state between reconciliations. It may be lost at any time.
struct Memory {
    served: Option<LeafInfo>,
    trust_times: TrustTimes,
    /// The bundle that was last read back as published.
    exact: Option<String>,
    repairs: TokenBucket,
}

/// The objects at one time.
struct Observed {
    configuration: Configuration,
    secret: Option<Secret>,
    certs: Option<CertBundle>,
    view: View,
    now: OffsetDateTime,
}

impl Rotator {
    /// Runs until shutdown is requested.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), Infallible> {
        let mut memory = Memory::new(Instant::now());
        let mut changes = pin!(self.watched.changes());
        let mut delay = FIRST_DELAY;
        loop {
            let wait = match self.reconcile(&mut memory).await {
                Ok(wait) => {
                    delay = FIRST_DELAY;
                    wait.map_or(self.poll, |wait| wait.min(self.poll))
                }
                Err(error) => {
                    self.outputs.report(&error, memory.served.is_some());
                    let wait = delay;
                    delay = (delay * 2).min(MAX_DELAY);
                    wait
                }
            };
            tokio::select! {
                () = shutdown.requested() => return Ok(()),
                () = tokio::time::sleep(wait) => {}
                Some(()) = changes.next() => {
                    tokio::time::sleep(DEBOUNCE).await;
                    while changes.next().now_or_never().flatten().is_some() {}
                }
            }
        }
    }

    /// Takes all steps. Returns the time until the next one, if it is known.
    async fn reconcile(&self, memory: &mut Memory) -> Result<Option<Duration>, RotationError> {
        for _ in 0..STEPS {
            let observed = self.observe(memory).await?;
            let step = plan(&observed.view, &self.spec.lifetimes, observed.now);
            match step {
                Step::Rest(wait) => {
                    self.update_readiness(&observed);
                    return Ok(wait);
                }
                Step::Serve => self.serve(observed, memory)?,
                Step::Publish => match self.publish(&observed, memory).await? {
                    None => {}
                    Some(wait) => return Ok(Some(wait)),
                },
                Step::Change(change) => self.change(observed, &change).await?,
            }
        }
        Err(RotationError::Contended)
    }

    /// Reads the webhook configuration, then the Secret. The module documentation explains the
    /// order.
    async fn observe(&self, memory: &mut Memory) -> Result<Observed, RotationError> {
        let configuration =
            ca_bundle::read(&self.configurations).await.map_err(RotationError::Bundle)?;
        let trusted = memory.trust_times.update(&configuration.trusted(), Instant::now());
        let found = cas(&configuration.found());
        let mut published = Published { trusted, found, exact: false };
        let secret = secret::read(&self.secrets).await.map_err(RotationError::Secret)?;
        let (certs, stored) = match secret.as_ref().map(secret::content) {
            None => (None, Stored::Absent),
            Some(Err(error)) => (None, Stored::Unusable(Chain(&error).to_string())),
            Some(Ok(certs)) => {
                let stored = certs.summary(&self.spec.names);
                (Some(certs), Stored::Usable(Box::new(stored)))
            }
        };
        let bundle = certs.as_ref().map(CertBundle::bundle);
        if let Some(bundle) = bundle.filter(|bundle| configuration.has(bundle)) {
            published.exact = true;
            memory.exact = Some(bundle);
        }
        let view = View { published, stored, served: memory.served };
        self.outputs.metrics.bundle_match.set(i64::from(view.published.exact));
        self.outputs.metrics.show(view.phase());
        if let Stored::Usable(stored) = &view.stored {
            let end = stored.current.validity.not_after;
            self.outputs.metrics.ca_expiry.set(end.unix_timestamp());
        }
        Ok(Observed { configuration, secret, certs, view, now: self.clock.now() })
    }

    fn serve(&self, observed: Observed, memory: &mut Memory) -> Result<(), RotationError> {
        let served = observed.certs.map(|certs| certs.served);
        let (Some(Ok(served)), Stored::Usable(stored)) = (served, observed.view.stored) else {
            return Err(RotationError::Make(CertBundleError::Impossible));
        };
        let pem = &served.pem;
        self.outputs.slot.set(&pem.cert_pem, &pem.key_pem).map_err(RotationError::Serve)?;
        let Certificate { serial, validity, .. } = served.leaf.certificate;
        let until = validity.not_after;
        tracing::info!(serial, until = %until, "serving a certificate");
        self.outputs.metrics.certificate_expiry.set(until.unix_timestamp());
        memory.served = stored.leaf.ok();
        Ok(())
    }

    /// Publishes the bundle. If another client changed a published bundle, the repair is
    /// rate-limited. Returns the time to wait if it is limited.
    async fn publish(
        &self,
        observed: &Observed,
        memory: &mut Memory,
    ) -> Result<Option<Duration>, RotationError> {
        let bundle = observed.certs.as_ref().map(CertBundle::bundle);
        let bundle = bundle.ok_or(RotationError::Make(CertBundleError::Impossible))?;
        let is_repair = memory.exact.as_ref() == Some(&bundle);
        if is_repair && let Err(wait) = memory.repairs.take(Instant::now()) {
            tracing::debug!(?wait, "other clients keep changing the CA bundle");
            self.update_readiness(observed);
            return Ok(Some(wait));
        }
        let published = observed.configuration.publish(&self.configurations, &bundle).await;
        let published = published.map_err(RotationError::Bundle)?;
        tracing::info!(published, is_repair, "published the CA bundle");
        Ok(None)
    }

    async fn change(&self, observed: Observed, change: &Change) -> Result<(), RotationError> {
        let Observed { configuration, secret, certs, now, .. } = observed;
        let found = configuration.found();
        let certs = CertBundle::changed(certs, change, &found, &self.spec.at(now));
        let certs = certs.map_err(RotationError::Make)?;
        let written = secret::write(&self.secrets, secret.as_ref(), &certs).await;
        let written = written.map_err(RotationError::Secret)?;
        tracing::info!(?change, written, "changed the certificates");
        if written {
            self.count(change);
        }
        Ok(())
    }

    fn count(&self, change: &Change) {
        let made: &[Kind] = match change {
            Change::Recreate { .. } => &[Kind::Ca, Kind::Leaf],
            Change::Introduce => &[Kind::Ca],
            Change::IssueLeaf(_) | Change::Promote => &[Kind::Leaf],
            Change::Adopt(_) | Change::Confirm | Change::Retire(_) => &[],
        };
        made.iter().for_each(|kind| self.outputs.metrics.issue(*kind));
    }

    fn update_readiness(&self, observed: &Observed) {
        let Observed { view, now, .. } = observed;
        let usable = view.served.filter(|it| is_usable(it, &view.published, *now));
        match usable {
            Some(_) => self.outputs.ready.ready(),
            None => {
                self.outputs.ready.not_ready("the API server does not trust the served certificate")
            }
        }
    }
}

impl Memory {
    fn new(now: Instant) -> Self {
        Self {
            served: None,
            trust_times: TrustTimes::default(),
            exact: None,
            repairs: TokenBucket::new(now),
        }
    }
}
