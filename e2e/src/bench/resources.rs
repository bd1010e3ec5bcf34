//! The resources of a process, from the kernel.

use anyhow::{Context, Result};
use std::collections::HashSet;
use std::time::Duration;

/// Returns the resident memory of a process, in MiB.
pub(crate) fn resident_mib(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/status");
    let status = std::fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()).context("no VmRSS line")?;
    Ok(kib.parse::<f64>().context("VmRSS is no number")? / 1024.0)
}

/// Returns the processor time of all threads of a process.
pub(crate) fn cpu_time(pid: u32) -> Result<Duration> {
    let directory = format!("/proc/{pid}/task");
    let tasks = std::fs::read_dir(&directory).with_context(|| format!("read {directory}"))?;
    let mut all = Duration::ZERO;
    for task in tasks {
        let path = task.with_context(|| format!("read {directory}"))?.path().join("schedstat");
        // A thread may have exited meanwhile.
        all +=
            std::fs::read_to_string(path).ok().and_then(|text| on_cpu(&text)).unwrap_or_default();
    }
    Ok(all)
}

/// Returns the processor time of a process including exited threads, in ticks of about 10 ms.
pub(crate) fn whole_cpu_time(pid: u32) -> Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let stat = std::fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    let ticks = ticks(&stat).with_context(|| format!("{path} has no figures"))?;
    Ok(Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64))
}

/// Returns the sum of the fields utime and stime. The second field is a name, which may contain
/// spaces and brackets.
fn ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<u64>().ok();
    Some(next()? + next()?)
}

/// Returns the processor time of this thread.
pub(crate) fn own_cpu_time() -> Result<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").context("read schedstat")?;
    on_cpu(&text).context("schedstat has no figures")
}

/// Returns the number of established TCP connections of a process to a port.
pub(crate) fn connections(pid: u32, port: u16) -> Result<usize> {
    let directory = format!("/proc/{pid}/fd");
    let files = std::fs::read_dir(&directory).with_context(|| format!("read {directory}"))?;
    let sockets: HashSet<String> = files
        .filter_map(|file| std::fs::read_link(file.ok()?.path()).ok())
        .filter_map(|link| inode(link.to_str()?).map(str::to_owned))
        .collect();
    let mut count = 0;
    for table in ["tcp", "tcp6"] {
        let path = format!("/proc/{pid}/net/{table}");
        let text = std::fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
        let established = text.lines().filter_map(|line| established(line, port));
        count += established.filter(|inode| sockets.contains(*inode)).count();
    }
    Ok(count)
}

/// Returns the inode in the name of an open socket, `socket:[123]`.
fn inode(link: &str) -> Option<&str> {
    link.strip_prefix("socket:[")?.strip_suffix(']')
}

/// Returns the inode of a connection to `port` in a line of `/proc/net/tcp`; see proc(5).
fn established(line: &str, port: u16) -> Option<&str> {
    let fields: Vec<_> = line.split_whitespace().collect();
    let remote = fields.get(2)?.rsplit_once(':')?.1;
    let is_it = u16::from_str_radix(remote, 16) == Ok(port) && *fields.get(3)? == "01";
    fields.get(9).filter(|_| is_it).copied()
}

fn on_cpu(schedstat: &str) -> Option<Duration> {
    schedstat.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_on_the_processor_only_grows() {
        let (before, own) = (cpu_time(std::process::id()).unwrap(), own_cpu_time().unwrap());
        let sum = (0..5_000_000_u64).fold(0, |sum, next| std::hint::black_box(sum ^ next));
        assert!(own_cpu_time().unwrap() > own, "{sum}");
        assert!(cpu_time(std::process::id()).unwrap() > before);
        assert!(cpu_time(u32::MAX).is_err());
    }

    #[test]
    fn the_own_connections_are_counted() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let count = || connections(std::process::id(), port).unwrap();
        assert_eq!(count(), 0);
        let _streams = [0; 2].map(|_| std::net::TcpStream::connect(("127.0.0.1", port)).unwrap());
        assert_eq!(count(), 2);
    }

    #[test]
    fn ticks_are_found_behind_any_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 1 2 3 4 250 50 0 0 20 0 3 0 99";
        assert_eq!(ticks(stat), Some(300));
        assert_eq!(ticks("7 (a) S 1"), None);
    }

    #[test]
    fn a_process_can_see_its_own_memory() {
        let mib = resident_mib(std::process::id()).unwrap();
        assert!((0.5..4096.0).contains(&mib), "{mib}");
        assert!(resident_mib(u32::MAX).is_err());
    }
}
