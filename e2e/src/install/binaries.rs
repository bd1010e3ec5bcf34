//! The programs as they ship, which `make binaries` builds.

use super::repository;
use anyhow::{Result, ensure};
use fastrak_api::names;
use std::path::PathBuf;

/// The paths of the programs.
#[derive(Clone, Debug)]
pub struct Binaries {
    /// The webhook.
    pub webhook: PathBuf,
    /// The agent.
    pub agent: PathBuf,
    /// The speaker.
    pub speaker: PathBuf,
}

impl Binaries {
    /// Returns the programs that `make binaries` has built.
    pub fn built() -> Result<Self> {
        let directory = repository().join("target/static");
        let found = Self {
            webhook: directory.join(names::WEBHOOK),
            agent: directory.join(names::AGENT),
            speaker: directory.join(names::SPEAKER),
        };
        for path in [&found.webhook, &found.agent, &found.speaker] {
            ensure!(path.is_file(), "{} is missing; run `make binaries`", path.display());
        }
        Ok(found)
    }
}
