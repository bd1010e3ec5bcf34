//! The two programs as they ship: static, optimised, stripped.
//!
//! It does not build them: `make binaries` does, for the demo, the tests and the images alike.

use super::repository;
use anyhow::{Result, ensure};
use std::path::PathBuf;

/// Where the two programs are.
#[derive(Clone, Debug)]
pub struct Binaries {
    /// The webhook.
    pub webhook: PathBuf,
    /// The agent.
    pub agent: PathBuf,
}

impl Binaries {
    /// The programs that `make binaries` has built.
    pub fn built() -> Result<Self> {
        let folder = repository().join("target/static");
        let found =
            Self { webhook: folder.join("fastrak-webhook"), agent: folder.join("fastrak-agent") };
        for path in [&found.webhook, &found.agent] {
            ensure!(path.is_file(), "{} is missing; run `make binaries`", path.display());
        }
        Ok(found)
    }
}
