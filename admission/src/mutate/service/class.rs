//! The class of a Service: Kubernetes lets it be set only when the Service is created or becomes a
//! LoadBalancer.

use super::ServiceRequest;
use crate::mutate::Operation;
use crate::verdict::Verdict;
use fastrak_api::balancer::{Choice, Mode};

/// Returns whether the request can set the class.
pub(super) fn is_open(request: &ServiceRequest<'_>) -> bool {
    let is_mutable = match (request.operation, request.old) {
        (Operation::Create, _) => true,
        (Operation::Update, old) => old.is_some_and(|old| !old.is_load_balancer),
        (Operation::Repair, _) => false,
    };
    is_mutable && request.service.class.is_none()
}

/// Returns the mode that stays, if the Service cannot get the class of its choice, or cannot lose the
/// class of an earlier one.
pub(super) fn fixed(
    request: &ServiceRequest<'_>,
    choice: Choice<'_>,
    recorded: Option<Mode>,
) -> Option<Mode> {
    let class = request.service.class.as_deref();
    if choice.mode != Mode::Class {
        return recorded.filter(|mode| *mode == Mode::Class && class.is_some());
    }
    let is_set = class.is_some() && (choice.class.is_none() || choice.class == class);
    let can_be_set = choice.class.is_some() && is_open(request);
    (!is_set && !can_be_set).then(|| recorded.unwrap_or(Mode::None))
}

/// Adds the remark to a skip if the Service chooses a class that it cannot get.
pub(super) fn remarked_if_closed(
    request: &ServiceRequest<'_>,
    choice: Option<Choice<'_>>,
    verdict: Verdict,
) -> Verdict {
    let is_closed = request.service.class.is_none() && !is_open(request);
    match choice.filter(|choice| is_closed && choice.mode == Mode::Class) {
        Some(_) => remarked(request, verdict),
        None => verdict,
    }
}

/// Adds a remark that the choice has no effect, if the request has changed it.
pub(super) fn remarked(request: &ServiceRequest<'_>, verdict: Verdict) -> Verdict {
    let service = request.service;
    if request.old.is_some_and(|old| old.choice == service.choice) {
        return verdict;
    }
    verdict.remark("spec.loadBalancerClass is immutable; to change it, create the Service again")
}
