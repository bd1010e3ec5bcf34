//! Repairs objects that admission missed: the webhook was down, or a node or a class was added
//! later. The decision is always the webhook's own. Only the leader repairs: of two replicas, one
//! would always fail.

pub mod bound;
pub mod controller;
mod kind;
pub mod metrics;
mod object;
pub mod plan;
mod queue;
pub mod report;
mod restore;
