//! AdmissionReviews in and out, and the one place that turns a verdict or a failure into an answer.
//! It decides nothing about objects.
//!
//! Every review gets an answer. Where fastrak itself fails, the answer lets the object through as it
//! is, with a warning: a cluster must be able to make claims without fastrak, and what was missed
//! is put right later. What is not a review gets none: it did not come from an API server.
//!
//! The wire types are our own. The API server takes an answer for none when it differs in the
//! least: `uid` is echoed, `apiVersion` and `kind` are exact, `patch` is a base64 string, and
//! `patch` and `patchType` come together or not at all.

mod told;
mod wire;

use self::wire::{
    API_VERSION, GroupVersionKind, Incoming, KIND, Outgoing, PatchFields, Request, Response, Status,
};
use crate::facts::Facts;
use crate::mutate::service::{ServiceAsk, Settings, service};
use crate::mutate::{ClaimAsk, Operation, claim};
use crate::patch::{Edit, Received};
use crate::verdict::{Outcome, Reason, Verdict};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fastrak_api::balancer::ServiceView;
use fastrak_api::claim::Claim;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Service};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The status of a denial: the object is understood, and cannot be so.
const UNPROCESSABLE: u16 = 422;

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
    /// The object would be changed or refused, and goes through as it is: fastrak is in shadow.
    Shadow,
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

/// Answers a review. `facts` are none as long as nothing is known of the cluster.
pub fn answer(
    body: &[u8],
    subject: Subject,
    facts: Option<&Facts>,
    settings: Settings,
) -> Result<Answer, NotAReview> {
    examine(body, subject, facts, settings).map(|(answer, _)| answer)
}

/// The same with the verdict that the answer was made from, for who wants to tell more of it.
pub fn examine(
    body: &[u8],
    subject: Subject,
    facts: Option<&Facts>,
    settings: Settings,
) -> Result<(Answer, Verdict), NotAReview> {
    let request = read(body)?;
    let decide = || decide(&request, subject, facts, settings);
    // A defect in a decision must cost its effect, not the connection that other reviews share.
    let verdict =
        catch_unwind(AssertUnwindSafe(decide)).unwrap_or_else(|_| failed(Reason::Internal, ""));
    // A probe asks whether the webhook is there, and in shadow it is.
    let shadow = settings.shadow && verdict.reason != Reason::Probe;
    let answer = written(&request, &verdict, shadow);
    Ok((answer, verdict))
}

fn read(body: &[u8]) -> Result<Request<'_>, NotAReview> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(NotAReview::Empty);
    }
    let incoming: Incoming<'_> = serde_json::from_slice(body).map_err(|error| {
        if error.is_eof() { NotAReview::Truncated(error) } else { NotAReview::Malformed(error) }
    })?;
    let text = |field: &Option<Cow<'_, str>>| field.as_deref().unwrap_or_default().to_owned();
    let (kind, api_version) = (text(&incoming.kind), text(&incoming.api_version));
    if kind != KIND || api_version != API_VERSION {
        return Err(NotAReview::OtherKind { kind, api_version });
    }
    let request = incoming.request.ok_or(NotAReview::NoRequest)?;
    if request.uid.is_empty() { Err(NotAReview::NoUid) } else { Ok(request) }
}

fn decide(
    request: &Request<'_>,
    subject: Subject,
    facts: Option<&Facts>,
    settings: Settings,
) -> Verdict {
    let operation = match (request.operation.as_str(), request.sub_resource.as_str()) {
        ("CREATE", "") => Operation::Create,
        ("UPDATE", "") => Operation::Update,
        _ => return Verdict::untouched(Reason::Operation).about(request.operation.as_str()),
    };
    let GroupVersionKind { group, version, kind } = &request.kind;
    if (group.as_str(), version.as_str(), kind.as_str()) != ("", "v1", subject.kind()) {
        let about = format!("a {kind:?}, where a {} is expected", subject.kind());
        return failed(Reason::WrongKind, &about);
    }
    let Some(facts) = facts else {
        return failed(Reason::NotReady, "");
    };
    let decided = match subject {
        Subject::Claims => decide_claim(request, operation, facts, settings),
        Subject::Services => decide_service(request, facts, settings),
    };
    decided.unwrap_or_else(|error| failed(Reason::Unreadable, &error.to_string()))
}

fn decide_claim(
    request: &Request<'_>,
    operation: Operation,
    facts: &Facts,
    settings: Settings,
) -> Result<Verdict, serde_json::Error> {
    let view = |raw: &RawValue| {
        let object: PersistentVolumeClaim = serde_json::from_str(raw.get())?;
        let mut view = Claim::read(&object);
        if view.namespace.is_empty() {
            view.namespace.clone_from(&request.namespace);
        }
        Ok::<_, serde_json::Error>(view)
    };
    let object = view(request.object.unwrap_or(RawValue::NULL))?;
    let old = request.old_object.map(view).transpose()?;
    let ask = ClaimAsk { claim: &object, old: old.as_ref(), operation, request: &request.uid };
    let verdict = claim(&ask, facts);
    let before = ask.old.filter(|_| settings.shadow);
    let before = before.map(|old| claim(&ClaimAsk { claim: old, ..ask }, facts));
    Ok(told::unless_before(verdict, before.as_ref()))
}

fn decide_service(
    request: &Request<'_>,
    facts: &Facts,
    settings: Settings,
) -> Result<Verdict, serde_json::Error> {
    let view = |raw: &RawValue| {
        let object: Service = serde_json::from_str(raw.get())?;
        let mut view = ServiceView::read(&object);
        if view.namespace.is_empty() {
            view.namespace.clone_from(&request.namespace);
        }
        Ok::<_, serde_json::Error>(view)
    };
    let object = view(request.object.unwrap_or(RawValue::NULL))?;
    let old = request.old_object.map(view).transpose()?;
    let ask = ServiceAsk { service: &object, old: old.as_ref() };
    let verdict = service(&ask, facts, settings);
    let before = ask.old.filter(|_| settings.shadow);
    let before = before.map(|old| service(&ServiceAsk { service: old, ..ask }, facts, settings));
    Ok(told::unless_before(verdict, before.as_ref()))
}

fn failed(reason: Reason, about: &str) -> Verdict {
    Verdict::untouched(reason).about(about).told()
}

fn written(request: &Request<'_>, verdict: &Verdict, shadow: bool) -> Answer {
    let patch = match &verdict.outcome {
        Outcome::Patched(edits) if !shadow => patch(request, edits),
        Outcome::Patched(_) | Outcome::Untouched | Outcome::Denied(_) => Ok(None),
    };
    let encoded = patch.and_then(|patch| {
        let effect = told::effect(verdict, patch.is_some(), shadow);
        encode(request, verdict, patch, shadow).map(|body| (body, effect))
    });
    match encoded {
        Ok((body, effect)) => Answer { body, effect, reason: verdict.reason },
        Err(error) => {
            tracing::error!(%error, reason = %verdict.reason, "an answer could not be written");
            let verdict = failed(Reason::Internal, "");
            let body = encode(request, &verdict, None, shadow).unwrap_or_default();
            Answer { body, effect: Effect::Failed, reason: Reason::Internal }
        }
    }
}

fn patch(request: &Request<'_>, edits: &[Edit]) -> Result<Option<PatchFields>, serde_json::Error> {
    let raw = request.object.unwrap_or(RawValue::NULL);
    let operations = serde_json::from_str::<Received>(raw.get())?.patch(edits);
    if operations.is_empty() {
        return Ok(None);
    }
    let patch = STANDARD.encode(serde_json::to_vec(&json_patch::Patch(operations))?);
    Ok(Some(PatchFields { patch, patch_type: "JSONPatch" }))
}

fn encode(
    request: &Request<'_>,
    verdict: &Verdict,
    patch: Option<PatchFields>,
    shadow: bool,
) -> Result<Vec<u8>, serde_json::Error> {
    let status = match &verdict.outcome {
        Outcome::Denied(message) if !shadow => {
            Some(Status { code: UNPROCESSABLE, reason: "Invalid", message: message.clone() })
        }
        Outcome::Denied(_) | Outcome::Untouched | Outcome::Patched(_) => None,
    };
    serde_json::to_vec(&Outgoing {
        api_version: API_VERSION,
        kind: KIND,
        response: Response {
            uid: &request.uid,
            allowed: status.is_none(),
            status,
            patch,
            warnings: told::warnings(verdict, shadow),
            audit_annotations: told::audit(verdict, shadow),
        },
    })
}

impl Subject {
    /// The kind of object that is reviewed.
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
