//! AdmissionReviews in and out, and the one place that turns a verdict or a failure into an answer.
//! It decides nothing about objects.
//!
//! Every review gets an answer. Where fastrak itself fails, the answer lets the object through as it
//! is, with a warning: a cluster must be able to make claims without fastrak, and what was missed
//! is repaired later. What is not a review gets none: it did not come from an API server.
//!
//! The wire types are our own. The API server takes an answer for none when it differs in the
//! least: `uid` is echoed, `apiVersion` and `kind` are exact, `patch` is a base64 string, and
//! `patch` and `patchType` come together or not at all.

mod decide;
mod read;
mod response;
mod wire;

use self::decide::{Shape, decide};
use self::read::{read, read_without_objects};
use self::wire::{API_VERSION, KIND, Response, Status};
use crate::mutate::service::Settings;
use crate::patch::{Received, Settled};
use crate::snapshot::Snapshot;
use crate::verdict::{Outcome, Reason, Verdict};
use fastrak_api::balancer::PartialService;
use fastrak_api::claim::PartialClaim;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The status of a denial: the object is understood, and cannot be so.
const UNPROCESSABLE: u16 = 422;
/// The size of most patches before they are encoded. The allocator's cache holds up to 1032 bytes.
const PATCH_BYTES: usize = 1000;

/// What is reviewed at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// PersistentVolumeClaims.
    Claims,
    /// Services.
    Services,
}

/// An answer, with what it says.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The body of the response.
    pub body: Vec<u8>,
    /// What it comes to.
    pub effect: Effect,
    /// Why.
    pub reason: Reason,
}

/// What an answer comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// The object goes through as it is.
    Untouched,
    /// The object is changed.
    Patched,
    /// The object is refused.
    Denied,
    /// The object would be changed or refused, and goes through as it is: it runs with `--dry-run`.
    DryRun,
    /// fastrak failed, and the object goes through as it is.
    Failed,
    /// What was sent is no review, and has no answer.
    Rejected,
}

/// Why what was sent is no review.
#[derive(Debug, thiserror::Error)]
pub enum NotAReview {
    /// Nothing was sent.
    #[error("the body is empty; an AdmissionReview is expected")]
    Empty,
    /// It breaks off.
    #[error("the body breaks off: {0}")]
    Truncated(serde_json::Error),
    /// It is not JSON, or not of a review's form.
    #[error("the body is not an AdmissionReview: {0}")]
    Malformed(serde_json::Error),
    /// It is another object.
    #[error("the body is a {kind:?} of {api_version:?}; a {KIND:?} of {API_VERSION:?} is expected")]
    OtherKind {
        /// What it says that it is.
        kind: String,
        /// What version it says.
        api_version: String,
    },
    /// It asks nothing.
    #[error("the AdmissionReview has no request")]
    NoRequest,
    /// It cannot be answered.
    #[error("the AdmissionReview's request has no uid")]
    NoUid,
}

/// Answers a review. `snapshot` are none as long as nothing is known of the cluster.
pub fn answer(
    body: &[u8],
    subject: Subject,
    snapshot: Option<&Snapshot>,
    settings: Settings,
) -> Result<Answer, NotAReview> {
    examine(body, subject, snapshot, settings).map(|(answer, _)| answer)
}

/// The same with the verdict that the answer was made from, for who wants to tell more of it.
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

/// Answers a review without looking at its object, for which there is no time left.
pub fn shed(body: &[u8]) -> Result<Answer, NotAReview> {
    let request = read_without_objects(body)?;
    Ok(written(&request, &failed(Reason::Overloaded, ""), None, false))
}

/// A request without its objects.
type Request<'a> = wire::Request<'a, ()>;

fn examined<'a, S: Shape<'a>>(
    body: &'a [u8],
    snapshot: Option<&Snapshot>,
    settings: Settings,
) -> Result<(Answer, Verdict), NotAReview> {
    let (request, objects) = read::<S>(body)?;
    let decide = || decide(&request, objects.as_ref(), snapshot, settings);
    // A defect in a decision must cost its effect, not the connection that other reviews share.
    let verdict =
        catch_unwind(AssertUnwindSafe(decide)).unwrap_or_else(|_| failed(Reason::Internal, ""));
    // A probe asks whether the webhook is there, and in dry-run mode it is.
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
    /// The label that metrics show.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Claims => "persistentvolumeclaims",
            Self::Services => "services",
        }
    }

    /// The kind of object that is reviewed.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Claims => "PersistentVolumeClaim",
            Self::Services => "Service",
        }
    }
}

impl Effect {
    /// The label that metrics show.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Untouched => "untouched",
            Self::Patched => "patched",
            Self::Denied => "denied",
            Self::DryRun => "dry_run",
            Self::Failed => "failed",
            Self::Rejected => "rejected",
        }
    }
}

#[cfg(test)]
mod tests;
