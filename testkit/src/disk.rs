//! Filesystems in files, mounted through loop devices and removed on drop. They need root. Without
//! root, the error says what is missing, for `or_skip!`.

use crate::process::Invocation;
use crate::state::StateFolder;
use anyhow::{Context, Result, ensure};
use rustix::fd::{AsFd as _, BorrowedFd};
use rustix::ioctl::{Opcode, Updater, ioctl, opcode};
use std::path::{Path, PathBuf};

/// A mounted filesystem.
#[derive(Debug)]
pub struct Disk {
    point: PathBuf,
    // Removed after the filesystem is unmounted; swept at the next start if this process is killed.
    _state: StateFolder,
}

impl Disk {
    /// Creates and mounts an empty btrfs filesystem.
    pub async fn btrfs(mib: u64) -> Result<Self> {
        // What was removed is given back after a commit, which comes every half minute otherwise.
        Self::make("mkfs.btrfs", &["--quiet"], "loop,commit=1", mib).await
    }

    /// Enables simple quotas. Linux has them since 6.7, but Debian's `btrfs quota enable` has no
    /// option for them.
    pub async fn enable_simple_quotas(&self) -> Result<()> {
        let point = std::fs::File::open(&self.point).context("open a disk")?;
        enable_simple_quotas(point.as_fd()).context("switch simple quotas on")
    }

    /// Enables full quotas.
    pub async fn enable_full_quotas(&self) -> Result<()> {
        let point = self.point.display().to_string();
        let on = Invocation::new("btrfs").args(["quota", "enable", &point]).run().await;
        on.context("switch quotas on").map(drop)
    }

    /// Removes all limits.
    pub async fn clear_limits(&self) -> Result<()> {
        let point = self.point.display().to_string();
        let shown = Invocation::new("btrfs").args(["qgroup", "show", "--raw", &point]).run().await;
        let shown = shown.context("list the quota groups")?.stdout;
        let groups = shown.lines().filter_map(|line| line.split_whitespace().next());
        for group in groups.filter(|group| group.contains('/')) {
            let limit =
                Invocation::new("btrfs").args(["qgroup", "limit", "none", group, &point]).run();
            limit.await.context("take a limit off")?;
        }
        Ok(())
    }

    async fn make(program: &str, args: &[&str], options: &str, mib: u64) -> Result<Self> {
        ensure!(rustix::process::geteuid().is_root(), "a filesystem of a test's own needs root");
        let state = StateFolder::create().await?;
        let image = state.path().join("disk");
        let file = std::fs::File::create(&image).context("make a file for a disk")?;
        file.set_len(mib * 1024 * 1024).context("give a disk its size")?;
        let path = image.display().to_string();
        let made = Invocation::new(program).args(args).arg(&path).run().await;
        made.with_context(|| format!("{program} (see testbed/debian.sh)"))?;
        let point = state.subfolder("mounted")?;
        let target = point.display().to_string();
        let mount = Invocation::new("mount").args(["-o", options, &path, &target]);
        mount.run().await.context("mount a disk")?;
        Ok(Self { point, _state: state })
    }

    /// Returns the mount point.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.point
    }
}

#[expect(unsafe_code, reason = "an ioctl is a number and a form that only we can promise to fit")]
fn enable_simple_quotas(fd: BorrowedFd<'_>) -> rustix::io::Result<()> {
    /// `struct btrfs_ioctl_quota_ctl_args`.
    #[repr(C)]
    struct Args {
        command: u64,
        status: u64,
    }
    const QUOTA: Opcode = opcode::read_write::<Args>(0x94, 40);
    const ENABLE_SIMPLE: u64 = 4;
    let mut args = Args { command: ENABLE_SIMPLE, status: 0 };
    // SAFETY: the number is that of BTRFS_IOC_QUOTA_CTL, whose form this is.
    unsafe { ioctl(fd, Updater::<QUOTA, _>::new(&mut args)) }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a test that failed may still have a file open, and the loop device goes with the last.
        let point = self.point.display().to_string();
        drop(Invocation::new("umount").args(["--lazy", &point]).run_blocking());
    }
}
