//! What a process costs, as the kernel counts it.

use anyhow::{Context, Result};

/// Resident memory of a process, in MiB.
pub(crate) fn resident_mib(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/status");
    let status = std::fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()).context("no VmRSS line")?;
    Ok(kib.parse::<f64>().context("VmRSS is no number")? / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_can_see_its_own_memory() {
        let mib = resident_mib(std::process::id()).unwrap();
        assert!((0.5..4096.0).contains(&mib), "{mib}");
        assert!(resident_mib(u32::MAX).is_err());
    }
}
