//! The admission webhook: it completes claims and Services on their way into the cluster.
//!
//! A request passes `serve/` (TLS, HTTP) and is answered by the crate `fastrak-admission` from the
//! latest snapshot of the cluster; nothing is written on the way, and nothing but memory is awaited.
//! Beside it, `snapshot/` watches the cluster, `rotation/` rotates the certificate and
//! `webhook_config/` watches the webhook configuration. One replica (`lead`) repairs what was missed (`repair/`) and
//! checks whether the API server reaches the webhook (`probe/`). `command/` decides offline, at a
//! terminal. The webhook provisions nothing and talks to no node.

#![forbid(unsafe_code)]

pub mod command;
pub mod config;
mod duration;
mod event;
pub mod lead;
pub mod metrics;
pub mod probe;
pub mod repair;
pub mod rotation;
pub mod run;
pub mod serve;
pub mod snapshot;
pub mod webhook_config;
