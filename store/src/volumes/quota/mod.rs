//! The numbers by which the kernel limits volumes: projects on XFS and ext4, quota groups on btrfs.
//!
//! The system calls are in `host/quota`.

pub(crate) mod groups;
mod numbering;
pub mod projects;
