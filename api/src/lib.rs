//! The names and types that fastrak's crates share with each other and with a cluster.
//!
//! Pure: no I/O, no clock, no client. Reading an object never fails as a whole: each accessor
//! reports the error of the one value that it parses, so a caller can still use the rest.

#![forbid(unsafe_code)]

pub mod address_pool;
pub mod address_range;
pub mod assignment;
pub mod balancer;
pub mod capacity;
pub mod claim;
pub mod claim_ref;
pub mod class;
pub mod duration;
pub mod frontend;
pub mod names;
pub mod node;
pub mod object;
pub mod pool;
pub mod reason;
pub mod selector;
pub mod size;
pub mod text_enum;
pub mod tunnel;
pub mod volume;
