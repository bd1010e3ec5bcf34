//! Remarks on what a mode does not do for a Service that it serves.

use super::ServiceRequest;
use crate::verdict::{Reason, Verdict};
use fastrak_api::balancer::{Decision, Mode, ServiceView, Unsupported};
use fastrak_api::names;

/// Adds a remark on each thing that the mode does not do for the Service, if the request changes
/// it.
pub(super) fn remarked(request: &ServiceRequest<'_>, mode: Mode, verdict: Verdict) -> Verdict {
    let before = request.old.filter(|old| old.decision() == Some(Decision::Served(mode)));
    let if_new = |lacks: &dyn Fn(&ServiceView) -> Option<String>| {
        lacks(request.service).filter(|text| before.and_then(lacks).as_ref() != Some(text))
    };
    let remarks = [
        if_new(&|service| service.unsupported(mode).and_then(|what| words(mode, what))),
        if_new(&|service| locality(mode, service)),
    ];
    remarks.into_iter().flatten().fold(verdict, Verdict::remark)
}

/// Adds a remark if inlets serves the Service by default and is not installed, if the request
/// changes that. A user who names inlets on the Service knows, and the operator may be installed
/// later.
pub(super) fn remarked_absence(request: &ServiceRequest<'_>, verdict: Verdict) -> Verdict {
    let is_served =
        |service: &ServiceView| service.decision() == Some(Decision::Served(Mode::Inlets));
    let is_old = is_served(request.service) || request.old.is_some_and(is_served);
    if verdict.reason != Reason::Inlets || request.service.choice.is_some() || is_old {
        return verdict;
    }
    verdict.remark(format!(
        "no inlets-operator (0.17 or later) is installed; install it or write {}: none",
        names::BALANCER
    ))
}

/// Describes what a mode does not do for a Service although it still serves it.
fn words(mode: Mode, what: Unsupported) -> Option<String> {
    match what {
        Unsupported::SourceRanges => None,
        Unsupported::RequestedAddress => {
            let ignores = what.of_mode(mode);
            Some(format!("{ignores}; the Service keeps the tunnel's address"))
        }
        Unsupported::Protocol(..) | Unsupported::ReservedPort(_) => {
            Some(format!("{mode} cannot carry all of it: {what}"))
        }
    }
}

fn locality(mode: Mode, service: &ServiceView) -> Option<String> {
    let text = "externalTrafficPolicy: Local has no effect: the tunnel hides clients' addresses";
    (service.is_local && !mode.row().carries.client_addresses).then(|| text.to_owned())
}
