//! Volumes on the disks of a node: directories in pools, their records, their quotas and the trash.
//!
//! The crate has no Kubernetes client. The caller says which volumes exist and which are wanted;
//! every answer comes from the disk. All system calls go through `host`, where a test can fail each
//! of them.
//!
//! ```text
//! volumes/  creates, resizes, trashes and restores volumes   (see `volumes::Store`)
//! pools/    decides whether a directory is a pool, and of which cluster and node
//! host/     system calls
//! ```

pub mod host;
pub mod pools;
pub mod volumes;
