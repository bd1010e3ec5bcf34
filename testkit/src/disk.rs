//! Filesystems in files, mounted through loop devices and removed on drop. They need root.

use crate::environment::Missing;
use crate::process::{self, Invocation};
use crate::state::StateFolder;
use anyhow::{Context, Result};
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
        // A commit frees the space of what was removed; by default it comes every 30 s.
        Self::make("mkfs.btrfs", &["--quiet"], "loop,commit=1", mib).await
    }

    /// Enables simple quotas. Linux has them since 6.7, but Debian's `btrfs quota enable` has no
    /// option for them.
    pub async fn enable_simple_quotas(&self) -> Result<()> {
        let point = std::fs::File::open(&self.point).context("open a disk")?;
        let refused = |error| Missing::new(format!("btrfs has no simple quotas: {error}"));
        Ok(enable_simple_quotas(point.as_fd()).map_err(refused)?)
    }

    /// Enables full quotas.
    pub async fn enable_full_quotas(&self) -> Result<()> {
        let point = self.point.display().to_string();
        let on = Invocation::new("btrfs").args(["quota", "enable", &point]).run().await;
        on.context("enable quotas").map(drop)
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
            limit.await.context("remove a limit")?;
        }
        Ok(())
    }

    async fn make(program: &str, args: &[&str], options: &str, mib: u64) -> Result<Self> {
        if !rustix::process::geteuid().is_root() {
            return Err(Missing::new("only root can mount filesystems").into());
        }
        let missing = || Missing::new(format!("not installed: {program} (see testbed/debian.sh)"));
        let program = process::find(program).ok_or_else(missing)?;
        let state = StateFolder::create().await?;
        let image = state.path().join("disk");
        let file = std::fs::File::create(&image).context("create a file for a disk")?;
        file.set_len(mib * 1024 * 1024).context("set the size of a disk")?;
        let path = image.display().to_string();
        let formatted = Invocation::new(program).args(args).arg(&path).run().await;
        formatted.context("format a disk")?;
        let point = state.subdirectory("mounted")?;
        let target = point.display().to_string();
        let mount = Invocation::new("mount").args(["-o", options, &path, &target]);
        let refused = |error| Missing::new(format!("cannot mount a file as a disk: {error:#}"));
        mount.run().await.map_err(refused)?;
        Ok(Self { point, _state: state })
    }

    /// Returns the mount point.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.point
    }
}

#[expect(unsafe_code, reason = "nothing checks that the argument is the one of this ioctl")]
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
    // SAFETY: BTRFS_IOC_QUOTA_CTL takes exactly this struct.
    unsafe { ioctl(fd, Updater::<QUOTA, _>::new(&mut args)) }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazy, because a failed test may still have a file open. The loop device is removed when
        // the last file is closed.
        let point = self.point.display().to_string();
        drop(Invocation::new("umount").args(["--lazy", &point]).run_blocking());
    }
}
