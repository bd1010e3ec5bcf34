//! Warnings about requests of a claim that fastrak cannot serve. They appear when the claim is
//! created, before a pod waits for it; the agent refuses the claim in the same words.

use super::{ClaimRequest, Operation};
use fastrak_api::claim::{Claim, Unservable};
use fastrak_api::class::Class;

/// Returns the warnings about the claim. An update is warned only of what it changes.
#[must_use]
pub fn remarks(request: &ClaimRequest<'_>, class: &Class) -> Vec<String> {
    if request.operation == Operation::Repair {
        return Vec::new();
    }
    let before = request.old.map(|old| (old.class_name(), unservable(old)));
    let now = unservable(request.claim);
    let same_class = |old: &Option<&str>| *old == Some(class.name.as_str());
    let is_new = before.as_ref().is_none_or(|(old, was)| !same_class(old) || *was != now);
    let unread = before.as_ref().is_none_or(|(old, _)| !same_class(old));
    let claim = now.filter(|_| is_new).map(|why| why.to_string());
    let params = class.params().err().filter(|_| unread).map(|why| why.to_string());
    claim.into_iter().chain(params).collect()
}

/// Returns why the claim cannot be served. A populator may still take it up; if none does, the
/// agent reports it.
fn unservable(claim: &Claim) -> Option<Unservable> {
    claim.check().err().filter(|why| !matches!(why, Unservable::NoPopulator { .. }))
}
