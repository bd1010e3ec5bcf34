//! Leader election with a Lease. Leader-only work uses a [`Leadership`].
//!
//! Two candidates never lead at once, even if their clocks differ. The leader steps down two thirds
//! of the lease duration after it sent its last renewal. Another candidate takes over only after it
//! has observed the same record for the whole lease duration. The times in the record are not
//! compared. (This does not hold while the Lease is deleted, so the writes of a leader must be
//! conditional too.)

mod leadership;
mod plan;

pub use self::leadership::Leadership;

use std::convert::Infallible;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::Api;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use serde_json::json;
use tokio::sync::watch;

use self::plan::{Observed, Record, Step};
use crate::chain::Chain;
use crate::clock;
use crate::shutdown::Shutdown;
use crate::superseded::is_superseded;

/// How long shutdown waits for leader-only work, and then for the release of the Lease.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(1);

/// A candidate of a leader election.
#[derive(Debug)]
pub struct Election {
    leases: Api<Lease>,
    name: String,
    identity: String,
    duration: Duration,
    until: watch::Sender<Option<Instant>>,
}

/// Why an attempt to acquire or renew the Lease failed.
#[derive(Debug, thiserror::Error)]
enum LeaseError {
    #[error("could not read the Lease")]
    Read(#[source] kube::Error),
    #[error("could not create the Lease")]
    Create(#[source] kube::Error),
    #[error("could not write the Lease")]
    Write(#[source] kube::Error),
    #[error("the API server did not respond in time")]
    TimedOut,
}

/// Returns a holder identity that is unique for each run of the process `name`.
#[must_use]
pub fn identity(name: &str) -> String {
    // std keys its hashers at random.
    format!("{name}_{:016x}", RandomState::new().build_hasher().finish())
}

impl Election {
    /// Returns a candidate for the Lease `name`. Another candidate may take a Lease that is not
    /// renewed for `duration`.
    #[must_use]
    pub fn new(
        leases: Api<Lease>,
        name: &str,
        identity: String,
        duration: Duration,
    ) -> (Self, Leadership) {
        let (until, held) = watch::channel(None);
        let this = Self { leases, name: name.to_owned(), identity, duration, until };
        (this, Leadership::new(held))
    }

    /// Runs until shutdown is requested. Then releases the Lease, so that another candidate can
    /// take it at once.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), Infallible> {
        let mut seen = None;
        let mut failing = false;
        while !shutdown.is_requested() {
            let attempt =
                tokio::time::timeout(plan::leads_for(self.duration), self.attempt(&mut seen));
            let outcome = tokio::select! {
                () = shutdown.requested() => break,
                outcome = attempt => outcome.unwrap_or(Err(LeaseError::TimedOut)),
            };
            // Logged once: other tasks also log that the API server is unavailable.
            if let (Err(error), false) = (&outcome, failing) {
                tracing::warn!(error = %Chain(error), lease = self.name, "leader election failed, retrying");
            }
            failing = outcome.is_err();
            tokio::select! {
                () = shutdown.requested() => {}
                () = tokio::time::sleep(outcome.unwrap_or(plan::read_interval(self.duration))) => {}
            }
        }
        self.release_when_idle().await;
        Ok(())
    }

    /// Reads the Lease and acts on it. Returns the delay before the next attempt.
    async fn attempt(&self, seen: &mut Option<Observed>) -> Result<Duration, LeaseError> {
        let found = self.leases.get_opt(&self.name).await.map_err(LeaseError::Read)?;
        // Taken before the renewal is sent: the leadership counts from here.
        let now = Instant::now();
        let record = found.as_ref().map(Record::read);
        *seen = record.map(|record| plan::observe(seen.take(), record, now));
        let written = match plan::plan(seen.as_ref(), &self.identity, self.duration, now) {
            Step::Wait(pause) => {
                self.step_down();
                return Ok(pause);
            }
            Step::Create => self.create().await?,
            Step::Take | Step::Renew => match found {
                Some(found) => self.write(&found, Some(&self.identity)).await?,
                None => false,
            },
        };
        if !written {
            return Ok(Duration::ZERO);
        }
        let until = now + plan::leads_for(self.duration);
        if self.until.send_replace(Some(until)).is_none_or(|held| held <= now) {
            tracing::info!(lease = self.name, identity = self.identity, "started leading");
        }
        Ok(plan::renew_interval(self.duration))
    }

    /// Ends the leadership because another candidate holds the Lease.
    fn step_down(&self) {
        let led = self.until.send_if_modified(|until| until.take().is_some());
        if led {
            tracing::warn!(lease = self.name, "lost the Lease to another candidate");
        }
    }

    /// Creates the Lease. Returns false if it exists already.
    async fn create(&self) -> Result<bool, LeaseError> {
        let lease = Lease {
            metadata: ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() },
            spec: Some(self.spec(&LeaseSpec::default(), Some(&self.identity))),
        };
        match self.leases.create(&PostParams::default(), &lease).await {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
            Err(error) => Err(LeaseError::Create(error)),
        }
    }

    /// Writes the Lease on condition of its version. Returns false if it was changed meanwhile.
    async fn write(&self, found: &Lease, holder: Option<&str>) -> Result<bool, LeaseError> {
        let spec = self.spec(&found.spec.clone().unwrap_or_default(), holder);
        let operations = json!([
            {"op": "test", "path": "/metadata/resourceVersion", "value": found.metadata.resource_version},
            {"op": "add", "path": "/spec", "value": spec},
        ]);
        let patch = serde_json::from_value(operations).map_err(kube::Error::SerdeError);
        let patch = Patch::Json::<()>(patch.map_err(LeaseError::Write)?);
        match self.leases.patch(&self.name, &PatchParams::default(), &patch).await {
            Ok(_) => Ok(true),
            Err(error) if is_superseded(&error) => Ok(false),
            Err(error) => Err(LeaseError::Write(error)),
        }
    }

    fn spec(&self, found: &LeaseSpec, holder: Option<&str>) -> LeaseSpec {
        let now = Some(MicroTime(clock::now()));
        let same = holder.is_some() && found.holder_identity.as_deref() == holder;
        LeaseSpec {
            holder_identity: holder.map(str::to_owned),
            // The API server requires at least one second. Candidates do not read this field.
            lease_duration_seconds: i32::try_from(self.duration.as_secs().max(1)).ok(),
            acquire_time: if same { found.acquire_time.clone() } else { now.clone() },
            renew_time: now,
            lease_transitions: Some(
                found.lease_transitions.unwrap_or_default().saturating_add(i32::from(!same)),
            ),
            ..found.clone()
        }
    }

    /// Releases the Lease after all leader-only work has returned. Lets the Lease expire if that
    /// takes too long or the API server is unavailable.
    async fn release_when_idle(&self) {
        let leading = self.until.send_replace(None).is_some_and(|until| until > Instant::now());
        if !leading {
            return;
        }
        if tokio::time::timeout(RELEASE_TIMEOUT, self.until.closed()).await.is_err() {
            tracing::warn!(
                lease = self.name,
                "leader-only work did not end in time, letting the Lease expire"
            );
            return;
        }
        let released = tokio::time::timeout(RELEASE_TIMEOUT, self.release());
        match released.await.unwrap_or(Err(LeaseError::TimedOut)) {
            Ok(()) => tracing::info!(lease = self.name, "released the Lease"),
            Err(error) => tracing::warn!(
                error = %Chain(&error), lease = self.name,
                "could not release the Lease, letting it expire"
            ),
        }
    }

    async fn release(&self) -> Result<(), LeaseError> {
        let found = self.leases.get_opt(&self.name).await.map_err(LeaseError::Read)?;
        let mine =
            found.filter(|found| Record::read(found).holder.as_ref() == Some(&self.identity));
        match mine {
            Some(found) => self.write(&found, None).await.map(drop),
            None => Ok(()),
        }
    }
}
