//! Giving a claim a volume that was there before, in place of a new one: decided in `plan.rs`, done in
//! `controller.rs`.
//!
//! A claim that wishes so never gets an empty volume: it waits, and an event says why.

pub mod controller;
pub mod import;
pub mod plan;
pub mod publish;
pub mod refusal;
mod report;
