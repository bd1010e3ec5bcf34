//! The whole product: its installation on a test bed, the demo and the benches. Shipped programs do
//! not depend on this crate.

#![forbid(unsafe_code)]

pub mod audit;
pub mod bench;
pub mod demo;
pub mod demo_cluster;
pub mod install;
pub mod playground;
pub mod transcript;
