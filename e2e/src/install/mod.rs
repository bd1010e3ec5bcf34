//! Puts fastrak on a test bed, from `deploy/` as it ships.
//!
//! As pods where there are real nodes ([`pods`]), else as processes of this machine that are given the
//! same ServiceAccounts ([`Processes`]). Neither knows what is done with it then.

pub mod binaries;
pub mod pods;
pub mod policies;
mod processes;

pub use self::binaries::Binaries;
pub use self::processes::Processes;
pub(crate) use self::processes::{Program, free_port};
pub use self::processes::{register_by_url, remove_workloads};

use std::path::{Path, PathBuf};

/// The kustomize base that everyone installs.
#[must_use]
pub fn base() -> PathBuf {
    repository().join("deploy/base")
}

/// The root of the repository.
#[must_use]
pub fn repository() -> &'static Path {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest)
}
