//! The common parts of a long-running process in a Kubernetes cluster: logging, clock, client,
//! watches, events, leader election, health and metrics endpoints, graceful shutdown.
//!
//! The crate contains no object, name or label of a particular product.

pub mod admin;
pub mod backoff;
pub mod chain;
pub mod client;
pub mod clock;
pub mod connections;
pub mod crypto;
mod deadline;
mod descriptors;
pub mod events;
pub mod http1;
pub mod lease;
pub mod listener;
pub mod log;
pub mod not_found;
pub mod read_timeouts;
pub mod ready;
pub mod reflector;
pub mod retry;
pub mod shutdown;
pub mod superseded;
pub mod supervise;
pub mod termination;
pub mod timer;
pub mod tls;
pub mod watch;
pub mod work_queue;
