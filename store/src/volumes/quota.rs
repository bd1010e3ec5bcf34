//! The numbers by which the kernel limits volumes: project IDs on XFS and ext4, quota groups on
//! btrfs.
//!
//! The system calls are in `host/quota`.

pub(crate) mod groups;
mod numbering;
pub mod projects;
