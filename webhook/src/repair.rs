//! Mends what the webhook did not see when it was made or changed: it was down, or a node or a class
//! came only later. Delayed, never lost. It never decides otherwise than the webhook would, and it is
//! the leader's work alone: of two that repair, one would always come too late.

pub mod bound;
pub mod controller;
mod kind;
pub mod metrics;
mod object;
pub mod plan;
mod queue;
pub mod report;
mod restorations;
mod restore;
