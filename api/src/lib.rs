//! The vocabulary that fastrak's parts share with each other and with a cluster: names, and typed
//! views of the objects they read.
//!
//! Pure: no I/O, no clock, no client. A view never fails as a whole: each of its readers says
//! what is wrong with the one value it reads, so that a caller can still answer about the rest.

#![forbid(unsafe_code)]

pub mod address_range;
pub mod assignment;
pub mod balancer;
pub mod capacity;
pub mod claim;
pub mod claim_ref;
pub mod class;
pub mod duration;
pub mod names;
pub mod node;
pub mod object;
pub mod pool;
pub mod reason;
pub mod selector;
pub mod size;
pub mod volume;
