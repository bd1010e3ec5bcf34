//! What follows from it that inlets cannot do all that a Service asks for, or is not installed.

use super::ServiceRequest;
use crate::verdict::{Reason, Verdict};
use fastrak_api::balancer::{BeyondInlets, Decision, ServiceView};
use fastrak_api::names;

/// Why a Service gets no tunnel.
pub(super) const fn reason(beyond: BeyondInlets) -> Reason {
    match beyond {
        BeyondInlets::SourceRanges => Reason::SourceRanges,
        BeyondInlets::RequestedAddress => Reason::RequestedAddress,
        BeyondInlets::Port(..) => Reason::BeyondInlets,
    }
}

/// Returns whether a tunnel that is in use stays. One that carries the other ports, or that has
/// another address than is asked for, serves its clients as before. One that lets in those whom the
/// Service is to keep out goes: another address can be obtained, and what was read by a stranger
/// cannot be taken back.
pub(super) const fn spares_a_tunnel(beyond: BeyondInlets) -> bool {
    match beyond {
        BeyondInlets::SourceRanges => false,
        BeyondInlets::RequestedAddress | BeyondInlets::Port(..) => true,
    }
}

/// The verdict with a remark on each thing that a tunnel does not do for the Service, if the request has
/// news of it.
pub(super) fn remarked(ask: &ServiceRequest<'_>, verdict: Verdict) -> Verdict {
    if verdict.reason != Reason::Inlets {
        return verdict;
    }
    let before = ask.old.filter(|old| old.decision() == Some(Decision::Inlets));
    let is_news = |lacks: &dyn Fn(&ServiceView) -> Option<String>| {
        lacks(ask.service).filter(|text| before.and_then(lacks).as_ref() != Some(text))
    };
    let remarks = [is_news(&beyond), is_news(&locality)];
    remarks.into_iter().flatten().fold(verdict, Verdict::remark)
}

/// The verdict with a remark if inlets serves the Service by default and is not installed, if the request
/// has news of it. Who asks for inlets on the Service knows, and the operator may come later.
pub(super) fn remarked_absence(ask: &ServiceRequest<'_>, verdict: Verdict) -> Verdict {
    let is_served = |service: &ServiceView| service.decision() == Some(Decision::Inlets);
    let is_old = is_served(ask.service) || ask.old.is_some_and(is_served);
    if verdict.reason != Reason::Inlets || ask.service.choice.is_some() || is_old {
        return verdict;
    }
    verdict.remark(format!(
        "no inlets-operator (0.17 or later) is installed; install it or write {}: none",
        names::BALANCER
    ))
}

fn beyond(service: &ServiceView) -> Option<String> {
    match service.beyond_inlets? {
        BeyondInlets::SourceRanges => None,
        BeyondInlets::RequestedAddress => Some(
            "inlets ignores spec.loadBalancerIP; the Service keeps the tunnel's address".into(),
        ),
        port @ BeyondInlets::Port(..) => Some(format!("inlets cannot carry all of it: {port}")),
    }
}

fn locality(service: &ServiceView) -> Option<String> {
    let text = "externalTrafficPolicy: Local has no effect: the tunnel hides clients' addresses";
    service.is_local.then(|| text.to_owned())
}
