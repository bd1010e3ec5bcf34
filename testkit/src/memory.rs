//! How much memory a program has taken at most, how much its manifest allows, and objects that are as
//! large as an API server takes.

use crate::assets::repository;
use anyhow::{Context as _, Result};
use std::collections::BTreeMap;

/// The longest prefix of a key: four parts of a domain name, each of at most 63 bytes.
const PREFIX: usize = 253;
const VALUE: usize = 63;
/// What a label takes of its object: key, value, and the key again in the managed fields.
const LABEL: usize = 2 * (PREFIX + "/l00000".len()) + VALUE;

/// Labels with which an object has so many bytes more. Long keys make it a matter of a few thousand
/// labels, which the API server takes ten times as fast as short ones.
#[must_use]
pub fn labels(bytes: usize) -> BTreeMap<String, String> {
    let parts = [63, 63, 63, 61].map(|length| "k".repeat(length));
    let (prefix, value) = (parts.join("."), "v".repeat(VALUE));
    let label = |number: usize| (format!("{prefix}/l{number:05}"), value.clone());
    (0..bytes / LABEL).map(label).collect()
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
    fn the_peak_of_a_process_and_the_limit_of_a_manifest_are_read() {
        assert!(peak(std::process::id()).unwrap() > 1 << 20);
        assert_eq!(limit("agent.yaml").unwrap(), 64 << 20);
        let labels = labels(1_200_000);
        let bytes = |(key, value): (&String, &String)| 2 * key.len() + value.len();
        assert!((1_190_000..1_200_000).contains(&labels.iter().map(bytes).sum::<usize>()));
    }
}
