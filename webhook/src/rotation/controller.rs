//! Carries out, step by step, what `plan.rs` decides for certificates of our own. It decides nothing
//! about them, and makes none but by `material.rs`.
//!
//! Before each step the configuration is read, and then the Secret: whatever a newer Secret has
//! published is then of a version of the configuration that this replica has not read, and its own
//! publication of older things fails. A replica that dies between two steps leaves nothing half
//! done; the next look of any replica takes it from there.
//!
//! Time is the wall clock's, looked at again every turn: a machine that was suspended wakes up
//! with its certificate older than any timer knows.

use super::Outputs;
use super::ca_bundle::{self, BundleError, Registration};
use super::cert_bundle::{CertBundle, CertBundleError, CertSpec, authorities};
use super::error::RotationError;
use super::metrics::Kind;
use super::plan::{Change, Step, is_good, plan};
use super::secret;
use super::seen::Seen;
use super::state::{LeafFact, Published, Stored, View};
use super::token_bucket::TokenBucket;
use super::watch::Watched;
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

/// The pause after a first failure; it doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How long changes are gathered before they are looked at. A writer that never rests costs twenty
/// looks a second at most.
const GATHER: Duration = Duration::from_millis(50);

/// Steps of one turn. No road to the end has more; who needs them is in a fight with others.
const STEPS: usize = 24;

/// The task that looks after the certificate.
pub struct Rotation {
    /// What says that something has changed.
    pub watched: Watched,
    /// What it works with.
    pub rotator: Rotator,
}

/// What the task works with.
pub struct Rotator {
    /// The replicas' Secret.
    pub secrets: Api<Secret>,
    /// The configurations, of which one is ours.
    pub configurations: Api<MutatingWebhookConfiguration>,
    /// What certificates are made from.
    pub spec: CertSpec,
    /// How often everything is looked at again where no watch says that something has changed.
    pub poll: Duration,
    /// Where the certificate is served and reported.
    pub outputs: Outputs,
    /// The wall clock.
    pub clock: Clock,
}

/// What a replica remembers from turn to turn. It may forget all of it at any time.
struct Memory {
    served: Option<LeafFact>,
    seen: Seen,
    /// What the configuration was last seen to have, when that was what it should have.
    exact: Option<String>,
    repairs: TokenBucket,
}

/// One look at everything.
struct Look {
    registration: Registration,
    secret: Option<Secret>,
    material: Option<CertBundle>,
    view: View,
    now: OffsetDateTime,
}

impl Rotation {
    /// Looks after the certificate until shutdown is requested.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), Infallible> {
        let Self { watched, rotator } = self;
        let mut memory = Memory::new(Instant::now());
        let mut changes = pin!(watched.changes());
        let mut pause = FIRST_PAUSE;
        loop {
            let wait = match rotator.turn(&mut memory).await {
                Ok(wait) => {
                    pause = FIRST_PAUSE;
                    wait.map_or(rotator.poll, |wait| wait.min(rotator.poll))
                }
                Err(error) => {
                    rotator.report(&error, memory.served.is_some());
                    let wait = pause;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                    wait
                }
            };
            tokio::select! {
                () = shutdown.requested() => return Ok(()),
                () = tokio::time::sleep(wait) => {}
                Some(()) = changes.next() => {
                    tokio::time::sleep(GATHER).await;
                    while changes.next().now_or_never().flatten().is_some() {}
                }
            }
        }
    }
}

impl Rotator {
    /// Does what there is to do; then how long there is nothing, where that is known.
    async fn turn(&self, memory: &mut Memory) -> Result<Option<Duration>, RotationError> {
        for _ in 0..STEPS {
            let look = self.look(memory).await?;
            let step = plan(&look.view, &self.spec.lifetimes, look.now);
            match step {
                Step::Rest(wait) => {
                    self.tell_ready(&look);
                    return Ok(wait);
                }
                Step::Serve => self.serve(look, memory)?,
                Step::Publish => match self.publish(&look, memory).await? {
                    None => {}
                    Some(wait) => return Ok(Some(wait)),
                },
                Step::Change(change) => self.change(look, &change).await?,
            }
        }
        Err(RotationError::Restless)
    }

    /// The configuration first, the Secret after it: see the head of this file.
    async fn look(&self, memory: &mut Memory) -> Result<Look, RotationError> {
        let registration =
            ca_bundle::read(&self.configurations).await.map_err(RotationError::Bundle)?;
        let trusted = memory.seen.see(&registration.trusted(), Instant::now());
        let found = authorities(&registration.found());
        let mut published = Published { trusted, found, exact: false };
        let secret = secret::read(&self.secrets).await.map_err(RotationError::Secret)?;
        let (material, stored) = match secret.as_ref().map(secret::content) {
            None => (None, Stored::Absent),
            Some(Err(error)) => (None, Stored::Unusable(Chain(&error).to_string())),
            Some(Ok(material)) => {
                let held = material.summary(&self.spec.names);
                (Some(material), Stored::Usable(Box::new(held)))
            }
        };
        let bundle = material.as_ref().map(CertBundle::bundle);
        if let Some(bundle) = bundle.filter(|bundle| registration.has(bundle)) {
            published.exact = true;
            memory.exact = Some(bundle);
        }
        let view = View { published, stored, served: memory.served };
        self.outputs.metrics.bundle_match.set(i64::from(view.published.exact));
        self.outputs.metrics.show(view.phase());
        if let Stored::Usable(held) = &view.stored {
            let end = held.current.validity.not_after;
            self.outputs.metrics.authority_expiry.set(end.unix_timestamp());
        }
        Ok(Look { registration, secret, material, view, now: self.clock.now() })
    }

    fn serve(&self, look: Look, memory: &mut Memory) -> Result<(), RotationError> {
        let served = look.material.map(|material| material.served);
        let (Some(Ok(served)), Stored::Usable(held)) = (served, look.view.stored) else {
            return Err(RotationError::Make(CertBundleError::Impossible));
        };
        let pem = &served.pem;
        self.outputs.slot.set(&pem.cert_pem, &pem.key_pem).map_err(RotationError::Serve)?;
        let until = served.leaf.validity().not_after;
        tracing::info!(serial = served.leaf.serial(), until = %until, "serving a certificate");
        self.outputs.metrics.certificate_expiry.set(until.unix_timestamp());
        memory.served = held.leaf.ok();
        Ok(())
    }

    /// Publishes the bundle. One that was there before and was changed by another hand is repaired
    /// in measure: how long to wait, where the measure is full.
    async fn publish(
        &self,
        look: &Look,
        memory: &mut Memory,
    ) -> Result<Option<Duration>, RotationError> {
        let bundle = look.material.as_ref().map(CertBundle::bundle);
        let bundle = bundle.ok_or(RotationError::Make(CertBundleError::Impossible))?;
        let is_repair = memory.exact.as_ref() == Some(&bundle);
        if is_repair && let Err(wait) = memory.repairs.take(Instant::now()) {
            tracing::debug!(?wait, "others keep changing the bundle");
            self.tell_ready(look);
            return Ok(Some(wait));
        }
        let published = look.registration.publish(&self.configurations, &bundle).await;
        let published = published.map_err(RotationError::Bundle)?;
        tracing::info!(published, is_repair, "published the CA bundle");
        Ok(None)
    }

    async fn change(&self, look: Look, change: &Change) -> Result<(), RotationError> {
        let Look { registration, secret, material, now, .. } = look;
        let found = registration.found();
        let material = CertBundle::changed(material, change, &found, &self.spec.at(now));
        let material = material.map_err(RotationError::Make)?;
        let written = secret::write(&self.secrets, secret.as_ref(), &material).await;
        let written = written.map_err(RotationError::Secret)?;
        tracing::info!(?change, written, "certificates");
        if written {
            self.count(change);
        }
        Ok(())
    }

    fn count(&self, change: &Change) {
        let made: &[Kind] = match change {
            Change::Remake { .. } => &[Kind::Authority, Kind::Leaf],
            Change::Introduce => &[Kind::Authority],
            Change::IssueLeaf(_) | Change::Promote => &[Kind::Leaf],
            Change::Adopt(_) | Change::Confirm | Change::Retire(_) => &[],
        };
        made.iter().for_each(|kind| self.outputs.metrics.issue(*kind));
    }

    fn tell_ready(&self, look: &Look) {
        let good = look.view.served.filter(|it| is_good(it, &look.view.published, look.now));
        match good {
            Some(_) => self.outputs.ready.ready(),
            None => {
                self.outputs.ready.not_ready("no certificate is served that the API server trusts")
            }
        }
    }

    /// An API server that does not answer for a while costs nothing: what is served is still good.
    /// One that has no registration any more sends nobody here, and an operator should see that.
    fn report(&self, error: &RotationError, serving: bool) {
        let chain = Chain(error).to_string();
        let unregistered = matches!(error, RotationError::Bundle(BundleError::NotRegistered));
        if unregistered || !serving {
            self.outputs.ready.not_ready(chain.clone());
        }
        self.outputs.metrics.fail(error.cause());
        tracing::warn!(error = chain, serving, "certificates; trying again");
    }
}

impl Memory {
    fn new(now: Instant) -> Self {
        Self { served: None, seen: Seen::default(), exact: None, repairs: TokenBucket::new(now) }
    }
}
