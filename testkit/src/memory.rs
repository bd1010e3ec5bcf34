//! How much memory a program has taken at most, how much its manifest allows, and objects that are as
//! large as an API server takes.

use crate::assets::repository;
use anyhow::{Context as _, Result};
use std::collections::BTreeMap;

/// Labels of so many bytes, in values as long as values may be.
#[must_use]
pub fn labels(bytes: usize) -> BTreeMap<String, String> {
    let value = "v".repeat(63);
    let label = |number: usize| (format!("l{number:05}"), value.clone());
    (0..bytes / 69).map(label).collect()
}

/// The most memory, in bytes, that a process has had at one time.
pub fn peak(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"));
    let status = status.with_context(|| format!("process {pid} is there"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")).context("it has a peak")?;
    Ok(kib.trim().parse::<u64>()? * 1024)
}

/// The memory, in bytes, that a manifest of `deploy/base` allows its program.
pub fn limit(manifest: &str) -> Result<u64> {
    let path = repository().join("deploy/base").join(manifest);
    let text = std::fs::read_to_string(&path).context(path.display().to_string())?;
    let limits = text.lines().find_map(|line| line.trim().strip_prefix("limits: { memory: "));
    let mib = limits.and_then(|rest| rest.strip_suffix("Mi }")).context("a limit in Mi")?;
    Ok(mib.parse::<u64>()? << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_had_memory_and_a_manifest_says_how_much() {
        assert!(peak(std::process::id()).unwrap() > 1 << 20);
        assert_eq!(limit("agent.yaml").unwrap(), 64 << 20);
        assert!((1_190_000..1_200_000).contains(&(labels(1_200_000).len() * 69)));
    }
}
