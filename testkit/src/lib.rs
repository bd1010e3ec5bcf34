//! Kubernetes clusters, builders, waits and identities for tests. Shipped programs do not depend on
//! this crate.

pub mod admission;
pub mod assets;
pub mod claims;
pub mod control_plane;
pub mod disk;
pub mod environment;
pub mod eventually;
pub mod fake_nodes;
pub mod fixtures;
pub mod identity;
pub mod image;
pub mod inlets;
pub mod lan;
pub mod memory;
pub mod namespace;
pub mod nodes;
pub mod objects;
pub mod process;
pub mod uml;
pub mod webhook_configuration;

mod access;
mod state;

pub use claims::bound_claim;
pub use control_plane::{Component, ControlPlane, Options, shared};
pub use disk::Disk;
pub use eventually::eventually;
pub use fake_nodes::{fake_node, fake_node_from};
pub use identity::{Identity, apply_manifests, service_account_client};
pub use image::Image;
pub use namespace::with_namespace;
pub use nodes::{Cluster, ClusterOptions, Node, NodeProgram};
