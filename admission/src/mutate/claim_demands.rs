//! What a claim of one of fastrak's classes asks for in vain. A warning says so when the claim is made,
//! and not when a pod has been waiting for a while; the agent refuses it in the same words.

use super::{ClaimRequest, Operation};
use fastrak_api::claim::{Claim, Unservable};
use fastrak_api::class::Class;

/// Returns the warnings about the claim. An update is warned only of what it brings.
#[must_use]
pub fn remarks(ask: &ClaimRequest<'_>, class: &Class) -> Vec<String> {
    if ask.operation == Operation::Repair {
        return Vec::new();
    }
    let before = ask.old.map(|old| (old.class_name(), unservable(old)));
    let now = unservable(ask.claim);
    let same_class = |old: &Option<&str>| *old == Some(class.name.as_str());
    let is_new = before.as_ref().is_none_or(|(old, was)| !same_class(old) || *was != now);
    let unread = before.as_ref().is_none_or(|(old, _)| !same_class(old));
    let claim = now.filter(|_| is_new).map(|why| why.to_string());
    let params = class.params().err().filter(|_| unread).map(|why| why.to_string());
    claim.into_iter().chain(params).collect()
}

/// What is wrong with the claim. A populator may still take it up; if none does, the agent says so.
fn unservable(claim: &Claim) -> Option<Unservable> {
    claim.check().err().filter(|why| !matches!(why, Unservable::NoPopulator { .. }))
}
