//! What any long-running process in a cluster needs around its own work: a log,
//! a clock, a client, health and metrics over HTTP, an orderly end.
//!
//! It knows nothing of the product that it furnishes and could be lifted into
//! another one: no object, name or label of ours appears here.

pub mod admin;
pub mod backoff;
pub mod chain;
pub mod client;
pub mod clock;
pub mod connections;
pub mod crypto;
mod deadline;
pub mod descriptors;
pub mod http1;
pub mod lease;
pub mod listener;
pub mod log;
pub mod not_found;
pub mod read_timeouts;
pub mod ready;
pub mod shutdown;
pub mod superseded;
pub mod supervise;
pub mod termination;
pub mod tls;
pub mod watch;
