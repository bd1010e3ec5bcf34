//! Passes the objects of a request to the mutator of their kind.

use super::read::{Boxed, Objects};
use super::{Request, Subject, failed, response};
use crate::mutate::service::{ServiceRequest, Settings, service};
use crate::mutate::{ClaimRequest, Operation, claim};
use crate::patch::Received;
use crate::snapshot::Snapshot;
use crate::verdict::{Reason, Verdict};
use fastrak_api::balancer::{PartialService, ServiceView};
use fastrak_api::claim::{Claim, PartialClaim};
use serde::Deserialize;

/// An object that is reviewed.
pub(super) trait Reviewed<'a>: Deserialize<'a> + Into<Received<'a>> {
    /// The kind of object.
    const SUBJECT: Subject;

    /// What decisions read of it.
    type View;

    /// Reads it, in the namespace of the request if it names none.
    fn view(&self, namespace: &str) -> Self::View;

    /// Decides about an object, and the one before an update.
    fn decide(object: &Self::View, old: Option<&Self::View>, context: &Context<'_>) -> Verdict;
}

/// The request without its objects, with the state that decisions read.
pub(super) struct Context<'a> {
    request: &'a Request<'a>,
    operation: Operation,
    snapshot: &'a Snapshot,
    settings: Settings,
}

/// Decides about the objects of a request, if it is one to decide about.
pub(super) fn decide<'a, S: Reviewed<'a>>(
    request: &Request<'_>,
    objects: Result<&Objects<S>, &serde_json::Error>,
    snapshot: Option<&Snapshot>,
    settings: Settings,
) -> Verdict {
    let operation = match (request.operation.as_str(), request.sub_resource.as_str()) {
        ("CREATE", "") => Operation::Create,
        ("UPDATE", "") => Operation::Update,
        (other, _) => return Verdict::untouched(Reason::Operation).about(other),
    };
    let (of, expected) = (&request.kind, S::SUBJECT.kind());
    let kind = of.kind.as_str();
    if (of.group.as_str(), of.version.as_str(), kind) != ("", "v1", expected) {
        let about = format!("a {kind:?} instead of a {expected}");
        return failed(Reason::WrongKind, &about);
    }
    let Some(snapshot) = snapshot else {
        return failed(Reason::NotReady, "");
    };
    match objects {
        Ok(objects) => decided(objects, &Context { request, operation, snapshot, settings }),
        Err(error) => failed(Reason::Unreadable, &error.to_string()),
    }
}

fn decided<'a, S: Reviewed<'a>>(objects: &Objects<S>, context: &Context<'_>) -> Verdict {
    let view = |object: &Boxed<S>| object.0.view(&context.request.namespace);
    let (object, old) = (view(&objects.object), objects.old.as_ref().map(view));
    let verdict = S::decide(&object, old.as_ref(), context);
    let before = old.as_ref().filter(|_| context.settings.dry_run);
    let before = before.map(|old| S::decide(old, Some(old), context));
    response::unless_before(verdict, before.as_ref())
}

impl<'a> Reviewed<'a> for PartialClaim<'a> {
    const SUBJECT: Subject = Subject::Claims;
    type View = Claim;

    fn view(&self, namespace: &str) -> Claim {
        let view = Claim::of(self);
        Claim { namespace: or_default(view.namespace, namespace), ..view }
    }

    fn decide(object: &Claim, old: Option<&Claim>, context: &Context<'_>) -> Verdict {
        let Context { request, operation, snapshot, .. } = *context;
        claim(&ClaimRequest { claim: object, old, operation, uid: &request.uid }, snapshot)
    }
}

impl<'a> Reviewed<'a> for PartialService<'a> {
    const SUBJECT: Subject = Subject::Services;
    type View = ServiceView;

    fn view(&self, namespace: &str) -> ServiceView {
        let mut view = ServiceView::of(self);
        view.namespace = or_default(view.namespace, namespace);
        view
    }

    fn decide(object: &ServiceView, old: Option<&ServiceView>, context: &Context<'_>) -> Verdict {
        let Context { operation, snapshot, settings, .. } = *context;
        service(&ServiceRequest { service: object, old, operation }, snapshot, settings)
    }
}

fn or_default(text: String, default: &str) -> String {
    if text.is_empty() { default.to_owned() } else { text }
}
