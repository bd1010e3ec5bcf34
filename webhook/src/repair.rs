//! Repairs objects that admission missed: the webhook was down, or a node or a class was added
//! later. The decision is always the webhook's own. Only the leader repairs: of two replicas, one
//! would always fail.

pub(crate) mod bound;
pub(crate) mod controller;
mod kind;
pub(crate) mod metrics;
mod object;
pub(crate) mod plan;
mod queue;
pub(crate) mod report;
mod restore;
