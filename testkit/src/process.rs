//! Processes of tests. All are started here, and none outlives its test.

mod invocation;
mod running;

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::LazyLock;
use std::sync::mpsc::{Sender, SyncSender, channel, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

pub use self::invocation::Invocation;
pub use self::running::Process;

/// Environment variables that would redirect a program to another cluster, or to a proxy that
/// cannot reach addresses of this machine.
const NOT_INHERITED: [&str; 10] = [
    "KUBECONFIG",
    "KUBERNETES_SERVICE_HOST",
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
    "all_proxy",
    "NO_PROXY",
    "no_proxy",
];

/// The longest interval between two checks of a process.
const MAX_PAUSE: Duration = Duration::from_millis(20);

/// The output of a successful command.
#[derive(Debug, Clone)]
pub struct Output {
    /// The standard output. Invalid UTF-8 is replaced.
    pub stdout: String,
    /// The standard error.
    pub stderr: String,
}

impl Invocation {
    /// Runs the command to its end. Any result except exit code 0 in time is an error with the
    /// command and its standard error.
    pub async fn run(self) -> Result<Output> {
        tokio::task::spawn_blocking(move || self.run_blocking())
            .await
            .context("wait for a one-shot command")?
    }

    /// Does the same as [`Self::run`] without async, for `Drop`.
    pub fn run_blocking(&self) -> Result<Output> {
        // Files instead of pipes, which would have to be read while the command writes.
        let mut stdout = tempfile::tempfile().context("make a file for standard output")?;
        let mut stderr = tempfile::tempfile().context("make a file for standard error")?;
        let child = self.spawn(duplicate(&stdout)?, duplicate(&stderr)?)?;
        let status = wait(child, self.timeout).with_context(|| format!("run {self}"))?;
        let output = Output { stdout: read_back(&mut stdout)?, stderr: read_back(&mut stderr)? };
        match status {
            Some(status) if status.success() => Ok(output),
            Some(status) => bail!("{self}: {status}\n{}{}", output.stdout, output.stderr),
            None => bail!("{self}: still running after {:?}\n{}", self.timeout, output.stderr),
        }
    }

    fn spawn(&self, stdout: Stdio, stderr: Stdio) -> Result<Child> {
        // `setpriv` sets the parent-death signal before it executes the program, so that no code of
        // ours runs between fork and exec.
        let mut command = command("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(&self.program).args(&self.args);
        for key in NOT_INHERITED {
            command.env_remove(key);
        }
        command.envs(self.env.iter().map(|(key, value)| (key, value)));
        command.stdin(self.stdin_file()?).stdout(stdout).stderr(stderr);
        spawn_from_lasting_thread(command).with_context(|| format!("start {self}"))
    }

    fn stdin_file(&self) -> Result<Stdio> {
        if self.stdin.is_empty() {
            return Ok(Stdio::null());
        }
        let mut file = tempfile::tempfile().context("make a file for standard input")?;
        file.write_all(&self.stdin).context("write standard input")?;
        file.rewind().context("rewind standard input")?;
        Ok(Stdio::from(file))
    }
}

/// Returns the path of a program. Searches the directories of the superuser too, which the
/// `PATH` of an ordinary user may lack.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let script = "PATH=\"$PATH:/usr/sbin:/sbin\"; command -v \"$0\"";
    let found = Invocation::new("sh").args(["-c", script, program]).run_blocking().ok()?;
    Some(PathBuf::from(found.stdout.trim_end()))
}

struct Job {
    command: Command,
    reply: SyncSender<std::io::Result<Child>>,
}

// The kernel sends the parent-death signal when the *thread* that forked ends. A worker of a
// test's runtime ends with the test; this one lives as long as the process.
static SPAWNER: LazyLock<Sender<Job>> = LazyLock::new(|| {
    let (sender, jobs) = channel::<Job>();
    let serve = move || {
        for Job { mut command, reply } in jobs {
            if let Err(undelivered) = reply.send(command.spawn()) {
                drop(undelivered.0.map(|mut child| child.kill()));
            }
        }
    };
    // Without the thread the channel is closed, and every start fails with that error.
    drop(std::thread::Builder::new().name("process-spawner".to_owned()).spawn(serve));
    sender
});

fn spawn_from_lasting_thread(command: Command) -> Result<Child> {
    let (reply, answer) = sync_channel(1);
    let gone = || anyhow!("the thread that starts processes is gone");
    SPAWNER.send(Job { command, reply }).map_err(|_| gone())?;
    answer.recv().map_err(|_| gone())?.context("start a process (is setpriv installed?)")
}

#[expect(clippy::disallowed_methods, reason = "the only place that starts processes")]
fn command(program: impl AsRef<OsStr>) -> Command {
    Command::new(program)
}

fn duplicate(file: &File) -> Result<Stdio> {
    file.try_clone().map(Stdio::from).context("duplicate an output file")
}

fn read_back(file: &mut File) -> Result<String> {
    let mut bytes = Vec::new();
    file.rewind().context("rewind an output file")?;
    file.read_to_end(&mut bytes).context("read an output file")?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn wait(mut child: Child, timeout: Duration) -> std::io::Result<Option<ExitStatus>> {
    let status = poll(Instant::now() + timeout, || child.try_wait())?;
    if status.is_none() {
        child.kill()?;
        child.wait()?;
    }
    Ok(status)
}

fn poll<T>(
    deadline: Instant,
    mut look: impl FnMut() -> std::io::Result<Option<T>>,
) -> std::io::Result<Option<T>> {
    let mut pause = Duration::from_millis(1);
    loop {
        let seen = look()?;
        if seen.is_some() || Instant::now() >= deadline {
            return Ok(seen);
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(MAX_PAUSE);
    }
}

#[cfg(test)]
mod tests;
