//! Virtual machines with user-mode Linux, for features that the machine's kernel may lack, such as
//! project quotas on XFS and ext4, and for power cuts.
//!
//! A guest has this machine's files as its read-only root and its own persistent disks. It has no
//! network. Its first process is a program of the caller, which uses [`inside`].

pub mod inside;

use crate::environment::Missing;
use crate::eventually::eventually;
use crate::process::{Invocation, Process, find};
use crate::state::StateFolder;
use anyhow::{Context as _, Result};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The memory of a guest.
const MEMORY: &str = "mem=256M";

/// The programs that are required and may be missing.
const PROGRAMS: [&str; 6] =
    ["linux.uml", "mkfs.xfs", "mkfs.ext4", "mkfs.btrfs", "unshare", "setpriv"];

/// The timeout until a killed guest has exited.
const DEATH: Duration = Duration::from_secs(10);

/// The directories in which a guest searches for programs.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// Runs the guest in a process namespace that ends with its first process. A killed guest kernel
/// leaves its processes behind, and without it their system calls are those of this machine. So all
/// are killed at once, and none has privileges.
const CONFINED: [&str; 4] = ["unshare", "--pid", "--fork", "--kill-child"];
const CONFINED_FOR_USERS: [&str; 2] = ["--user", "--map-current-user"];
const WITHOUT_RIGHTS: [&str; 4] =
    ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"];
/// The first process of the namespace only waits, because a first process cannot abort by a signal.
const WAITING: [&str; 4] = ["sh", "-c", "\"$@\"; exit $?", "sh"];

/// A virtual machine that can be started. Its disks are removed on drop.
#[derive(Debug)]
pub struct Guest {
    disks: Vec<PathBuf>,
    starts: u32,
    state: StateFolder,
}

/// The filesystem of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// XFS.
    Xfs,
    /// ext4 with project quotas.
    Ext4,
    /// ext4 with default options, without quotas.
    PlainExt4,
    /// btrfs.
    Btrfs,
}

impl Guest {
    /// Returns an error that says what this machine lacks to run a guest, if it lacks anything.
    pub fn supported() -> Result<(), Missing> {
        if std::env::consts::ARCH != "x86_64" {
            return Err(Missing::new("user-mode Linux exists for x86-64 only"));
        }
        let missing: Vec<&str> = PROGRAMS.into_iter().filter(|name| find(name).is_none()).collect();
        if !missing.is_empty() {
            let missing = missing.join(", ");
            return Err(Missing::new(format!("not installed: {missing} (see testbed/debian.sh)")));
        }
        let trial = confined(Invocation::new("true")).run_blocking();
        let refused = |error| Missing::new(format!("namespaces cannot be created: {error:#}"));
        trial.map(drop).map_err(refused)
    }

    /// Returns a guest without disks.
    pub async fn create() -> Result<Self> {
        Ok(Self { disks: Vec::new(), starts: 0, state: StateFolder::create().await? })
    }

    /// Adds a disk. The first is `/dev/ubda` in the guest, the next `/dev/ubdb`.
    pub async fn add_disk(&mut self, layout: Layout, mib: u64) -> Result<()> {
        let path = self.state.path().join(format!("disk-{}", self.disks.len()));
        let file = std::fs::File::create(&path).context("make a file for a disk")?;
        file.set_len(mib * 1024 * 1024).context("give a disk its size")?;
        let (name, args): (_, &[&str]) = match layout {
            Layout::Xfs => ("mkfs.xfs", &["-q"]),
            Layout::Ext4 => {
                ("mkfs.ext4", &["-q", "-O", "quota,project", "-E", "quotatype=usrquota:prjquota"])
            }
            Layout::PlainExt4 => ("mkfs.ext4", &["-q"]),
            Layout::Btrfs => ("mkfs.btrfs", &["-q"]),
        };
        let program = find(name).with_context(|| format!("{name} is not installed"))?;
        let make = Invocation::new(program).args(args).arg(path.display().to_string());
        make.run().await.with_context(|| format!("lay out a disk with {name}"))?;
        self.disks.push(path);
        Ok(())
    }

    /// Starts the guest. `init`, a program of this machine, is its first process.
    pub fn start(&mut self, init: &Path, args: &[&str]) -> Result<Process> {
        self.starts += 1;
        let own = self.state.subdirectory(format!("uml-{}", self.starts))?;
        let disks = self.disks.iter().zip('a'..='z');
        let disks = disks.map(|(path, letter)| format!("ubd{letter}={}", path.display()));
        let kernel = find("linux.uml").context("linux.uml is not installed")?;
        let kernel = Invocation::new(kernel)
            .args([MEMORY, "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro", "quiet"])
            // Its console is its standard output. It has no input.
            .args(["console=tty0", "con0=null,fd:1", "con=null", "ssl=null"])
            .args([format!("uml_dir={}", own.display()), "umid=guest".to_owned()])
            .args(disks)
            // The kernel passes unknown arguments to its first process as environment variables.
            .args([format!("TMPDIR={}", inside::POINTS), format!("PATH={PATH}")])
            .args([format!("init={}", init.display()), "--".to_owned()])
            .args(args);
        let log = self.state.logs().join(format!("guest-{}.log", self.starts));
        Process::start("the guest", &confined(kernel), &log)
    }

    /// Kills the guest and waits until it has exited. Returns its console output.
    pub async fn cut(&self, mut running: Process) -> Result<String> {
        running.kill();
        // Its last processes exit a moment after the first and may write to its disks until then.
        let gone = || async { (self.processes() == 0).then_some(()) };
        eventually(DEATH, "all processes of the guest have exited", gone).await?;
        Ok(console(&running))
    }

    /// Returns the number of processes of this machine that belong to the guest.
    #[must_use]
    pub fn processes(&self) -> usize {
        let mark = format!("uml_dir={}", self.state.path().display());
        let directories = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let lines =
            directories.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
        lines.filter(|line| String::from_utf8_lossy(line).contains(&mark)).count()
    }

    /// Starts the guest and waits until it powers off. Returns its console output.
    pub fn run(&mut self, init: &Path, args: &[&str], deadline: Duration) -> Result<String> {
        let mut guest = self.start(init, args)?;
        let ended = guest.ended(deadline);
        let console = console(&guest);
        let status = ended.with_context(|| format!("the guest's console:\n{console}"))?;
        anyhow::ensure!(status.success(), "the guest ended with {status}:\n{console}");
        Ok(console)
    }
}

/// Returns the console output so far. The last line may be incomplete.
#[must_use]
pub fn console(guest: &Process) -> String {
    let text = std::fs::read(guest.log()).unwrap_or_default();
    String::from_utf8_lossy(&text).replace('\r', "")
}

fn confined(call: Invocation) -> Invocation {
    let is_root = rustix::process::geteuid().is_root();
    let call = call.through(&WAITING);
    match is_root {
        true => call.through(&WITHOUT_RIGHTS).through(&CONFINED),
        // An ordinary user has no privileges to drop, and needs a user namespace to create the
        // other.
        false => call.through(&[&CONFINED[..], &CONFINED_FOR_USERS[..]].concat()),
    }
}
