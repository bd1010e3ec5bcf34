//! Installs fastrak on a test bed, from `deploy/` as it ships.
//!
//! As pods on real nodes ([`pods`]), or with the same ServiceAccounts as processes of this machine
//! ([`Processes`]) or as tasks of this process ([`Task`]).

pub mod binaries;
pub mod pods;
pub mod policies;
mod processes;
mod tasks;

pub use self::binaries::Binaries;
pub use self::processes::Processes;
pub use self::processes::remove_workloads;
pub(crate) use self::processes::{Program, free_port};
pub use self::tasks::{Task, webhook_config};

use anyhow::{Context as _, Result};
use fastrak_testkit::ControlPlane;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Returns the directory of the kustomize base.
#[must_use]
pub fn base() -> PathBuf {
    repository().join("deploy/base")
}

/// Writes an overlay of the base with components of `deploy/`. Returns its directory.
pub fn overlay(plane: &ControlPlane, components: &[&str]) -> Result<PathBuf> {
    overlay_with(plane, components, &json!({}))
}

/// Writes an overlay with further fields of a kustomization.
pub fn overlay_with(plane: &ControlPlane, components: &[&str], more: &Value) -> Result<PathBuf> {
    let directory = plane.scratch_dir(&format!("overlay-{}", components.join("-")))?;
    // kustomize takes relative paths alone.
    let depth = directory.canonicalize().context("find the overlay")?.components().count() - 1;
    let deploy = repository().join("deploy").canonicalize().context("find deploy/")?;
    let deploy =
        format!("{}{}", "../".repeat(depth), deploy.display().to_string().trim_start_matches('/'));
    let mut kustomization = json!({
        "resources": [format!("{deploy}/base")],
        "components": components.iter().map(|name| format!("{deploy}/{name}")).collect::<Vec<_>>(),
    });
    json_patch::merge(&mut kustomization, more);
    let path = directory.join("kustomization.yaml");
    std::fs::write(path, kustomization.to_string()).context("write the overlay")?;
    Ok(directory)
}

/// Returns the root of the repository.
#[must_use]
pub fn repository() -> &'static Path {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest)
}
