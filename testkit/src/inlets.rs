//! A stand-in of the inlets operator, which no registry has. It runs on a real API server and follows
//! the rules that were observed with inlets-operator 0.17.12. Its cloud is in memory.
//!
//! It creates no Secrets and no client Deployments.

mod cloud;
mod controller;
mod crd;
pub mod rules;

pub use self::cloud::Cloud;
pub use self::controller::Operator;
pub use self::crd::install_crd;
pub use self::rules::Scope;
