//! From a request to its verdict: what is asked, of which kind of object, and who decides about it.
//! The decisions themselves are in `mutate/`.

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

/// The form of an object that is reviewed.
pub(super) trait Shape<'a>: Deserialize<'a> + Into<Received<'a>> {
    /// Which objects these are.
    const SUBJECT: Subject;

    /// What is to be done.
    fn decide(objects: &Objects<Self>, ask: &DecideRequest<'_>) -> Verdict;
}

/// What is asked beside the objects.
pub(super) struct DecideRequest<'a> {
    request: &'a Request<'a>,
    operation: Operation,
    snapshot: &'a Snapshot,
    settings: Settings,
}

/// Decides about the objects of a request, if it is one to decide about.
pub(super) fn decide<'a, S: Shape<'a>>(
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
        let about = format!("a {kind:?}, where a {expected} is expected");
        return failed(Reason::WrongKind, &about);
    }
    let Some(snapshot) = snapshot else {
        return failed(Reason::NotReady, "");
    };
    match objects {
        Ok(objects) => {
            S::decide(objects, &DecideRequest { request, operation, snapshot, settings })
        }
        Err(error) => failed(Reason::Unreadable, &error.to_string()),
    }
}

impl<'a> Shape<'a> for PartialClaim<'a> {
    const SUBJECT: Subject = Subject::Claims;

    fn decide(objects: &Objects<Self>, ask: &DecideRequest<'_>) -> Verdict {
        let DecideRequest { request, operation, snapshot, settings } = *ask;
        let view = |shape: &Self| {
            let mut view = Claim::of(shape);
            ask.complete(&mut view.namespace);
            view
        };
        let (object, old) = (view(&objects.object.0), objects.old.as_ref().map(|old| view(&old.0)));
        let ask =
            ClaimRequest { claim: &object, old: old.as_ref(), operation, request: &request.uid };
        let verdict = claim(&ask, snapshot);
        let before = ask.old.filter(|_| settings.dry_run);
        let before = before.map(|old| claim(&ClaimRequest { claim: old, ..ask }, snapshot));
        response::unless_before(verdict, before.as_ref())
    }
}

impl<'a> Shape<'a> for PartialService<'a> {
    const SUBJECT: Subject = Subject::Services;

    fn decide(objects: &Objects<Self>, ask: &DecideRequest<'_>) -> Verdict {
        let DecideRequest { snapshot, settings, .. } = *ask;
        let view = |shape: &Self| {
            let mut view = ServiceView::of(shape);
            ask.complete(&mut view.namespace);
            view
        };
        let (object, old) = (view(&objects.object.0), objects.old.as_ref().map(|old| view(&old.0)));
        let ask = ServiceRequest { service: &object, old: old.as_ref() };
        let verdict = service(&ask, snapshot, settings);
        let before = ask.old.filter(|_| settings.dry_run);
        let before =
            before.map(|old| service(&ServiceRequest { service: old, ..ask }, snapshot, settings));
        response::unless_before(verdict, before.as_ref())
    }
}

impl DecideRequest<'_> {
    /// The namespace of the request counts where the object has none.
    fn complete(&self, namespace: &mut String) {
        if namespace.is_empty() {
            namespace.push_str(&self.request.namespace);
        }
    }
}
