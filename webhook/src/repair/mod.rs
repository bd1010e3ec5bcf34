//! Mends claims that the webhook did not see when they were made: it was down, or a node or a class
//! came only later. Delayed, never lost. It never decides otherwise than the webhook would.

pub mod controller;
pub mod plan;
mod queue;
