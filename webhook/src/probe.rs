//! Probes whether the API server reaches the webhook, by a dry run that creates a claim. The
//! failure policy is Ignore, so a webhook that is not called would not be noticed otherwise. A
//! failed probe is reported and does not change the readiness: without endpoints, the API server
//! would reach no replica at all.

pub mod cause;
pub mod controller;
pub(crate) mod metrics;
mod plan;
