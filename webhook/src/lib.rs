//! The admission webhook: it completes claims and Services on their way into the cluster.
//!
//! The road of a request: `serve/` (TLS, HTTP) → `review` (the wire format, and the one place
//! that turns a decision or a failure into an answer) → `mutate/` (pure decisions over `facts`) →
//! `patch`, and `json` at both ends. On that road nothing is written and nothing is awaited but memory. Beside it,
//! `rotation/` looks after the certificate, `facts/feed` after what is known of the cluster, and
//! `registration/` after what we are shown; of all replicas one (`lead`) mends what was missed
//! (`repair/`) and asks whether the API server reaches us (`probe/`).
//! `command/` answers at a terminal in place of an API server. It provisions nothing and talks to no
//! node.

#![forbid(unsafe_code)]

pub mod command;
pub mod config;
mod event;
pub mod facts;
#[cfg(test)]
mod fixtures;
pub mod lead;
pub mod metrics;
pub mod mutate;
pub mod patch;
pub mod place;
pub mod probe;
pub mod registration;
pub mod render;
pub mod repair;
pub mod review;
pub mod rotation;
pub mod run;
pub mod serve;
pub mod verdict;
