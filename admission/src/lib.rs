//! Decides reviews. Pure: computes a patch, a denial or warnings from objects and a snapshot of the
//! cluster.
//!
//! The crate does no I/O and reads no clock, and neither does any crate that it depends on. The
//! webhook uses it for reviews, for repairs of objects that admission missed, and for the offline
//! commands.
//!
//! ```text
//! review/      AdmissionReview in and out
//! mutate/      claims and Services: what to write and why
//! placement/   which node
//! snapshot/    the cluster as the decisions see it
//! patch        edits as a JSON Patch
//! verdict/     decisions with their reasons and messages
//! policies/    the same rules as MutatingAdmissionPolicies
//! ```

#![forbid(unsafe_code)]

#[cfg(any(test, feature = "fixtures"))]
#[expect(clippy::unwrap_used, clippy::panic, reason = "only tests use it")]
pub mod fixtures;
mod json;
pub mod mutate;
pub mod patch;
pub mod placement;
pub mod policies;
pub mod review;
pub mod snapshot;
pub mod verdict;
