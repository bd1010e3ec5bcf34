//! Reads AdmissionReviews and turns verdicts and failures into answers.
//!
//! Every review gets an answer. If fastrak itself fails, the answer allows the object unchanged
//! with a warning: a cluster must be able to create claims without fastrak, and repairs decide
//! later. A body that is not a review gets no answer: it did not come from an API server.
//!
//! The wire types are fastrak's own. The API server accepts only an exact answer: it echoes `uid`,
//! has the right `apiVersion` and `kind`, a base64 string as `patch`, and `patchType` with every
//! patch.

mod decide;
mod read;
mod response;
mod wire;

use self::decide::{Reviewed, decide};
use self::read::{read, read_without_objects};
use self::wire::{API_VERSION, KIND, Response, Status};
use crate::mutate::service::Settings;
use crate::patch::{Received, Settled};
use crate::snapshot::Snapshot;
use crate::verdict::{Outcome, Reason, Verdict};
use fastrak_api::balancer::PartialService;
use fastrak_api::claim::PartialClaim;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The status code of a denial.
const UNPROCESSABLE: u16 = 422;
/// The size of most patches before they are encoded. The allocator's cache holds up to 1032 bytes.
const PATCH_BYTES: usize = 1000;

fastrak_api::text_enum! {
    /// The kind of objects that are reviewed at a path, as a label of metrics.
    pub enum Subject {
        /// PersistentVolumeClaims.
        Claims = "persistentvolumeclaims",
        /// Services.
        Services = "services",
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The body of the response.
    pub body: Vec<u8>,
    /// Its effect.
    pub effect: Effect,
    /// Its reason.
    pub reason: Reason,
}

fastrak_api::text_enum! {
    /// The effect of an answer, as a label of metrics.
    pub enum Effect {
        /// The object is allowed unchanged.
        Untouched = "untouched",
        /// The object is changed.
        Patched = "patched",
        /// The object is refused.
        Denied = "denied",
        /// The object would be changed or refused without `--dry-run`, and is allowed unchanged.
        DryRun = "dry_run",
        /// fastrak failed, and the object is allowed unchanged.
        Failed = "failed",
        /// The body is not a review, and has no answer.
        Rejected = "rejected",
    }
}

/// Why a body is not a review.
#[derive(Debug, thiserror::Error)]
pub enum NotAReview {
    /// The body is empty.
    #[error("the body is empty; an AdmissionReview is expected")]
    Empty,
    /// The body is truncated.
    #[error("the body is truncated: {0}")]
    Truncated(serde_json::Error),
    /// The body is not JSON, or not a review.
    #[error("the body is not an AdmissionReview: {0}")]
    Malformed(serde_json::Error),
    /// The body is another object.
    #[error("the body is a {kind:?} of {api_version:?}; a {KIND:?} of {API_VERSION:?} is expected")]
    OtherKind {
        /// Its kind.
        kind: String,
        /// Its version.
        api_version: String,
    },
    /// The review has no request.
    #[error("the AdmissionReview has no request")]
    NoRequest,
    /// The request has no uid, so it cannot be answered.
    #[error("the AdmissionReview's request has no uid")]
    NoUid,
}

/// Answers a review. There is no snapshot until the cluster has been listed.
pub fn answer(
    body: &[u8],
    subject: Subject,
    snapshot: Option<&Snapshot>,
    settings: Settings,
) -> Result<Answer, NotAReview> {
    examine(body, subject, snapshot, settings).map(|(answer, _)| answer)
}

/// Answers a review and returns the verdict too.
pub fn examine(
    body: &[u8],
    subject: Subject,
    snapshot: Option<&Snapshot>,
    settings: Settings,
) -> Result<(Answer, Verdict), NotAReview> {
    match subject {
        Subject::Claims => examined::<PartialClaim<'_>>(body, snapshot, settings),
        Subject::Services => examined::<PartialService<'_>>(body, snapshot, settings),
    }
}

/// Answers a review without reading its object, if no time is left.
pub fn shed(body: &[u8]) -> Result<Answer, NotAReview> {
    let request = read_without_objects(body)?;
    Ok(written(&request, &failed(Reason::Overloaded, ""), None, false))
}

/// A request without its objects.
type Request<'a> = wire::Request<'a, ()>;

fn examined<'a, S: Reviewed<'a>>(
    body: &'a [u8],
    snapshot: Option<&Snapshot>,
    settings: Settings,
) -> Result<(Answer, Verdict), NotAReview> {
    let (request, objects) = read::<S>(body)?;
    let decide = || decide(&request, objects.as_ref(), snapshot, settings);
    // A panic in a decision must not close the connection that other reviews share.
    let verdict =
        catch_unwind(AssertUnwindSafe(decide)).unwrap_or_else(|_| failed(Reason::Internal, ""));
    // A probe is answered in dry-run mode too.
    let dry_run = settings.dry_run && verdict.reason != Reason::Probe;
    let received = objects.ok().map(|objects| objects.object.0.into());
    let answer = written(&request, &verdict, received.as_ref(), dry_run);
    Ok((answer, verdict))
}

fn failed(reason: Reason, about: &str) -> Verdict {
    Verdict::untouched(reason).about(about).with_warning()
}

fn written(
    request: &Request<'_>,
    verdict: &Verdict,
    received: Option<&Received<'_>>,
    dry_run: bool,
) -> Answer {
    let edits = match &verdict.outcome {
        Outcome::Patched(edits) => Settled::of(edits),
        Outcome::Untouched | Outcome::Denied(_) => Settled::default(),
    };
    let patch = received.filter(|_| !dry_run && !edits.is_empty()).and_then(|received| {
        let mut text = Vec::with_capacity(PATCH_BYTES);
        received.write(&edits, &mut text).then_some(text)
    });
    let refused = match &verdict.outcome {
        Outcome::Denied(message) if !dry_run => {
            Some(Status { code: UNPROCESSABLE, reason: "Invalid", message })
        }
        Outcome::Denied(_) | Outcome::Untouched | Outcome::Patched(_) => None,
    };
    let effect = response::effect(verdict, patch.is_some(), dry_run);
    let answer = Response {
        uid: &request.uid,
        refused,
        patch,
        warnings: response::warnings(verdict, dry_run),
        audit: response::audit(verdict, &edits, dry_run),
    };
    Answer { body: answer.write(), effect, reason: verdict.reason }
}

impl Subject {
    /// Returns the kind of object.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Claims => "PersistentVolumeClaim",
            Self::Services => "Service",
        }
    }
}

#[cfg(test)]
mod tests;
