//! One of several replicas leads, by a Lease in the API server. It starts no work: whoever has
//! work for the leader alone asks its [`Leadership`].
//!
//! Two never lead at once, whatever their clocks say. The leader counts from before it sent its
//! last renewal and gives up after two thirds of the time that a Lease lasts; another takes over
//! only after it has itself seen one and the same record for the whole of that time. What a record
//! says of the time is for people to read. (Somebody who deletes the Lease takes that promise away
//! for as long; what the leader writes has to be conditional all the same.)

mod leadership;
pub mod plan;

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

use self::plan::{Record, Seen, Step};
use crate::chain::Chain;
use crate::clock;
use crate::shutdown::Shutdown;
use crate::superseded::is_superseded;

/// How long the end of a process may wait for the leader's own work, and then for the API server.
const LETTING_GO: Duration = Duration::from_secs(1);

/// A candidate.
#[derive(Debug)]
pub struct Election {
    leases: Api<Lease>,
    name: String,
    identity: String,
    lasts: Duration,
    until: watch::Sender<Option<Instant>>,
}

/// Why a turn came to nothing.
#[derive(Debug, thiserror::Error)]
enum LeaseError {
    #[error("could not read the Lease")]
    Read(#[source] kube::Error),
    #[error("could not make the Lease")]
    Make(#[source] kube::Error),
    #[error("could not write the Lease")]
    Write(#[source] kube::Error),
    #[error("could not put the Lease's content into words")]
    Encode(#[source] serde_json::Error),
    #[error("the API server took too long over the Lease")]
    Slow,
}

/// A name for one run of a process, so that two runs of one `name` are told apart.
#[must_use]
pub fn identity(name: &str) -> String {
    // A hasher is keyed with the system's randomness, which is all that is wanted of it.
    format!("{name}_{:016x}", RandomState::new().build_hasher().finish())
}

impl Election {
    /// A candidate for the Lease of this name. A Lease that is not renewed for as long as it
    /// `lasts` is another's.
    #[must_use]
    pub fn new(
        leases: Api<Lease>,
        name: &str,
        identity: String,
        lasts: Duration,
    ) -> (Self, Leadership) {
        let (until, held) = watch::channel(None);
        let this = Self { leases, name: name.to_owned(), identity, lasts, until };
        (this, Leadership::new(held))
    }

    /// Stands until shutdown is requested; then lets go, so that a successor need not wait.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), Infallible> {
        let mut seen = None;
        let mut failing = false;
        while !shutdown.is_requested() {
            let turn = tokio::time::timeout(plan::gives_up(self.lasts), self.turn(&mut seen));
            let outcome = tokio::select! {
                () = shutdown.requested() => break,
                outcome = turn => outcome.unwrap_or(Err(LeaseError::Slow)),
            };
            // Once: when the API server is away, everybody else's log says so too.
            if let (Err(error), false) = (&outcome, failing) {
                tracing::warn!(error = %Chain(error), lease = self.name, "election; trying again");
            }
            failing = outcome.is_err();
            tokio::select! {
                () = shutdown.requested() => {}
                () = tokio::time::sleep(outcome.unwrap_or(plan::looks(self.lasts))) => {}
            }
        }
        self.let_go().await;
        Ok(())
    }

    /// Looks at the Lease and does what is to be done; how long until the next look.
    async fn turn(&self, seen: &mut Option<Seen>) -> Result<Duration, LeaseError> {
        let found = self.leases.get_opt(&self.name).await.map_err(LeaseError::Read)?;
        // What is counted from begins before the request that earns it.
        let now = Instant::now();
        let record = found.as_ref().map(Record::read);
        *seen = record.map(|record| plan::observe(seen.take(), record, now));
        let written = match plan::plan(seen.as_ref(), &self.identity, self.lasts, now) {
            Step::Wait(pause) => {
                self.has_lost();
                return Ok(pause);
            }
            Step::Make => self.make().await?,
            Step::Take | Step::Renew => match found {
                Some(found) => self.write(&found, Some(&self.identity)).await?,
                None => false,
            },
        };
        if !written {
            return Ok(Duration::ZERO);
        }
        let until = now + plan::gives_up(self.lasts);
        if self.until.send_replace(Some(until)).is_none_or(|held| held <= now) {
            tracing::info!(lease = self.name, identity = self.identity, "leading");
        }
        Ok(plan::renews(self.lasts))
    }

    /// Another has it, whatever we took ourselves for.
    fn has_lost(&self) {
        let led = self.until.send_if_modified(|until| until.take().is_some());
        if led {
            tracing::warn!(lease = self.name, "another leads now");
        }
    }

    /// Makes the Lease; whether nobody else was first.
    async fn make(&self) -> Result<bool, LeaseError> {
        let lease = Lease {
            metadata: ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() },
            spec: Some(self.spec(&LeaseSpec::default(), Some(&self.identity))),
        };
        match self.leases.create(&PostParams::default(), &lease).await {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
            Err(error) => Err(LeaseError::Make(error)),
        }
    }

    /// Writes the Lease in the version that was read; whether nobody else was first.
    async fn write(&self, found: &Lease, holder: Option<&str>) -> Result<bool, LeaseError> {
        let spec = self.spec(&found.spec.clone().unwrap_or_default(), holder);
        let operations = json!([
            {"op": "test", "path": "/metadata/resourceVersion", "value": found.metadata.resource_version},
            {"op": "add", "path": "/spec", "value": spec},
        ]);
        let patch = serde_json::from_value(operations).map_err(LeaseError::Encode)?;
        let patch = Patch::Json::<()>(patch);
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
            // The field has whole seconds, of which there must be one; only people read it.
            lease_duration_seconds: i32::try_from(self.lasts.as_secs().max(1)).ok(),
            acquire_time: if same { found.acquire_time.clone() } else { now.clone() },
            renew_time: now,
            lease_transitions: Some(
                found.lease_transitions.unwrap_or_default().saturating_add(i32::from(!same)),
            ),
            ..found.clone()
        }
    }

    /// Gives the Lease back, once nobody does the leader's work here any more. If that takes too
    /// long, or the API server is away, the Lease is left to run out.
    async fn let_go(&self) {
        let leading = self.until.send_replace(None).is_some_and(|until| until > Instant::now());
        if !leading {
            return;
        }
        if tokio::time::timeout(LETTING_GO, self.until.closed()).await.is_err() {
            tracing::warn!(
                lease = self.name,
                "the leader's work has not ended; leaving the Lease to run out"
            );
            return;
        }
        let given_back = tokio::time::timeout(LETTING_GO, self.give_back());
        match given_back.await.unwrap_or(Err(LeaseError::Slow)) {
            Ok(()) => tracing::info!(lease = self.name, "no longer leading"),
            Err(error) => tracing::warn!(error = %Chain(&error), "leaving the Lease to run out"),
        }
    }

    async fn give_back(&self) -> Result<(), LeaseError> {
        let found = self.leases.get_opt(&self.name).await.map_err(LeaseError::Read)?;
        let mine =
            found.filter(|found| Record::read(found).holder.as_ref() == Some(&self.identity));
        match mine {
            Some(found) => self.write(&found, None).await.map(drop),
            None => Ok(()),
        }
    }
}
