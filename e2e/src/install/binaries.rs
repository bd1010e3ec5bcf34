//! The two programs as they ship, which `make binaries` builds.

use super::repository;
use anyhow::{Result, ensure};
use std::path::PathBuf;

/// The paths of the two programs.
#[derive(Clone, Debug)]
pub struct Binaries {
    /// The webhook.
    pub webhook: PathBuf,
    /// The agent.
    pub agent: PathBuf,
}

impl Binaries {
    /// Returns the programs that `make binaries` has built.
    pub fn built() -> Result<Self> {
        let directory = repository().join("target/static");
        let found = Self {
            webhook: directory.join("fastrak-webhook"),
            agent: directory.join("fastrak-agent"),
        };
        for path in [&found.webhook, &found.agent] {
            ensure!(path.is_file(), "{} is missing; run `make binaries`", path.display());
        }
        Ok(found)
    }
}
