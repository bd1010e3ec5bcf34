//! Passes the objects of a request to the mutator of their kind.

use super::read::Objects;
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

    /// Decides about the objects of a request.
    fn decide(objects: &Objects<Self>, context: &Context<'_>) -> Verdict;
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
        Ok(objects) => S::decide(objects, &Context { request, operation, snapshot, settings }),
        Err(error) => failed(Reason::Unreadable, &error.to_string()),
    }
}

impl<'a> Reviewed<'a> for PartialClaim<'a> {
    const SUBJECT: Subject = Subject::Claims;

    fn decide(objects: &Objects<Self>, context: &Context<'_>) -> Verdict {
        let Context { request, operation, snapshot, settings } = *context;
        let view = |object: &Self| {
            let mut view = Claim::of(object);
            context.complete(&mut view.namespace);
            view
        };
        let (object, old) = (view(&objects.object.0), objects.old.as_ref().map(|old| view(&old.0)));
        let uid = &request.uid;
        let now = ClaimRequest { claim: &object, old: old.as_ref(), operation, uid };
        let verdict = claim(&now, snapshot);
        let before = now.old.filter(|_| settings.dry_run);
        let before = before.map(|old| claim(&ClaimRequest { claim: old, ..now }, snapshot));
        response::unless_before(verdict, before.as_ref())
    }
}

impl<'a> Reviewed<'a> for PartialService<'a> {
    const SUBJECT: Subject = Subject::Services;

    fn decide(objects: &Objects<Self>, context: &Context<'_>) -> Verdict {
        let Context { operation, snapshot, settings, .. } = *context;
        let view = |object: &Self| {
            let mut view = ServiceView::of(object);
            context.complete(&mut view.namespace);
            view
        };
        let (object, old) = (view(&objects.object.0), objects.old.as_ref().map(|old| view(&old.0)));
        let now = ServiceRequest { service: &object, old: old.as_ref(), operation };
        let verdict = service(&now, snapshot, settings);
        let before = now.old.filter(|_| settings.dry_run);
        let before =
            before.map(|old| service(&ServiceRequest { service: old, ..now }, snapshot, settings));
        response::unless_before(verdict, before.as_ref())
    }
}

impl Context<'_> {
    /// Fills in the namespace of the request if the object has none.
    fn complete(&self, namespace: &mut String) {
        if namespace.is_empty() {
            namespace.push_str(&self.request.namespace);
        }
    }
}
