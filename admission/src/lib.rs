//! Decides reviews. Pure: objects and a snapshot of the cluster go in, a patch, a denial or warnings
//! come out.
//!
//! The crate serves nothing, watches nothing and reads no clock, and depends on no crate that could. The webhook answers reviews with it, its repair controller decides with it about objects that
//! no review changed, and its offline commands explain it.
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
