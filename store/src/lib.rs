//! Volumes on the disks of a node: directories in pools, their records, their limits and the trash.
//!
//! The crate knows no API server. Callers say which volumes exist and which are wanted; every answer
//! comes from the disk. Everything goes through `host`, whose calls a test can fail one by one.
//!
//! ```text
//! volumes/  what a volume is: create, grow, trash, restore     (see `volumes::Store`)
//! pools/    which directory is a pool, and whose
//! host/     system calls
//! ```

pub mod host;
pub mod pools;
pub mod volumes;
