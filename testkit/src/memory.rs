//! The peak memory of a process, the memory limit of a manifest, and labels for objects as large as
//! an API server accepts.

use crate::assets::repository;
use anyhow::{Context as _, Result};
use std::collections::BTreeMap;

/// The longest prefix of a key: four parts of a domain name, each of at most 63 bytes.
const PREFIX: usize = 253;
const VALUE: usize = 63;
/// The size of a label: key, value, and the key again in the managed fields.
const LABEL: usize = 2 * (PREFIX + "/l00000".len()) + VALUE;

/// Returns labels with this total size. With long keys these are a few thousand, which the API
/// server accepts ten times as fast as many short ones.
#[must_use]
pub fn labels(bytes: usize) -> BTreeMap<String, String> {
    let parts = [63, 63, 63, 61].map(|length| "k".repeat(length));
    let (prefix, value) = (parts.join("."), "v".repeat(VALUE));
    let label = |number: usize| (format!("{prefix}/l{number:05}"), value.clone());
    (0..bytes / LABEL).map(label).collect()
}

/// Returns the peak memory of a process in bytes.
pub fn peak(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"));
    let status = status.with_context(|| format!("process {pid} is there"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")).context("it has a peak")?;
    Ok(kib.trim().parse::<u64>()? * 1024)
}

/// Returns the memory limit in a manifest of `deploy/base` in bytes.
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
    fn the_peak_of_a_process_and_the_limit_of_a_manifest_are_read() {
        assert!(peak(std::process::id()).unwrap() > 1 << 20);
        assert_eq!(limit("agent.yaml").unwrap(), 64 << 20);
        let labels = labels(1_200_000);
        let bytes = |(key, value): (&String, &String)| 2 * key.len() + value.len();
        assert!((1_190_000..1_200_000).contains(&labels.iter().map(bytes).sum::<usize>()));
    }
}
