//! The admission webhook: it sets fields of claims and Services that are created or updated.
//!
//! `serve/` (TLS, HTTP) passes a review to the crate `fastrak-admission`, which decides by the
//! latest snapshot of the cluster. A review writes nothing and waits for nothing but memory.
//! `snapshot/` watches the cluster, `rotation/` rotates the certificate, and `webhook_config/`
//! watches the webhook configuration. The leader (`lead`) repairs objects that admission missed
//! (`repair/`), gives Services addresses (`allocation/`), deletes Tunnels that the inlets operator
//! leaves behind (`tunnels/`), and probes whether the API server reaches the webhook (`probe/`).
//! `command/` holds the offline commands.

#![forbid(unsafe_code)]

pub mod allocation;
pub mod command;
pub mod config;
mod event;
pub mod lead;
mod live;
pub mod metrics;
pub mod probe;
mod repair;
pub mod rotation;
pub mod run;
pub mod serve;
mod snapshot;
mod tunnels;
mod webhook_config;
