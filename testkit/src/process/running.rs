//! A running process. It is not restarted after it has exited.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::{Invocation, duplicate, poll};

/// A running process. Dropping it kills it, and it dies with the process that started it.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a process that appends its output to the file `log`.
    pub fn start(name: &str, invocation: &Invocation, log: &Path) -> Result<Self> {
        let open = || OpenOptions::new().create(true).append(true).open(log);
        let file = open().with_context(|| format!("open {}", log.display()))?;
        let child = invocation.spawn(duplicate(&file)?, Stdio::from(file))?;
        Ok(Self { name: name.to_owned(), child, log: log.to_owned() })
    }

    /// Returns the name of the process.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns the log file.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Returns the last `lines` lines of the log.
    #[must_use]
    pub fn log_tail(&self, lines: usize) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let all: Vec<&str> = text.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }

    /// Returns the exit status, or `None` while the process runs.
    pub fn exited(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().with_context(|| format!("look at {}", self.name))
    }

    /// Fails with the end of the log if the process has exited.
    pub fn expect_running(&mut self) -> Result<()> {
        match self.exited()? {
            None => Ok(()),
            Some(status) => bail!("{} ended: {status}\n{}", self.name, self.log_tail(15)),
        }
    }

    /// Sends a signal. Does nothing if the process has exited.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        if self.exited()?.is_some() {
            return Ok(());
        }
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw);
        let pid = pid.with_context(|| format!("{} has no usable process id", self.name))?;
        kill_process(pid, signal).with_context(|| format!("signal {}", self.name))
    }

    /// Sends SIGTERM and waits. After `grace`, kills the process and returns an error.
    pub fn terminate(&mut self, grace: Duration) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        self.ended(grace)
    }

    /// Waits until the process ends. After the deadline, kills it and returns an error.
    pub fn ended(&mut self, deadline: Duration) -> Result<ExitStatus> {
        let ended = poll(Instant::now() + deadline, || self.child.try_wait());
        let ended = ended.with_context(|| format!("wait for {}", self.name))?;
        if ended.is_none() {
            self.kill();
        }
        ended.with_context(|| format!("{} did not end within {deadline:?}", self.name))
    }

    /// Kills the process and waits until it has exited.
    pub fn kill(&mut self) {
        // Both fail only if the process has exited and was waited for.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
