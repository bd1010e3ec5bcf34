//! The whole product: what installs it on a test bed, the play behind `make demo`, and the benches.
//!
//! What ships never depends on it. The tests beside it prove what the parts promise together.

#![forbid(unsafe_code)]

pub mod audit;
pub mod bench;
pub mod demo;
pub mod demo_cluster;
pub mod install;
pub mod playground;
pub mod transcript;
