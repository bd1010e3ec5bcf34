//! Functions for the first process of a guest, which starts with only the root mounted. They fail
//! outside of a guest, where they would mount filesystems on this machine and switch it off.

use crate::environment;
use anyhow::{Context as _, Result, ensure};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use rustix::system::{RebootCommand, finit_module, reboot, uname};
use std::ffi::CString;
use std::fs::{File, create_dir, create_dir_all, read_to_string};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The directory of mount points and other files. Every machine has it, and its content is
/// not needed.
pub(super) const POINTS: &str = "/mnt";
/// Debian's directory of the modules of user-mode Linux.
const MODULES: &str = "/usr/lib/uml/modules";

/// A started guest, seen from inside.
#[derive(Debug)]
pub struct Inside(());

impl Inside {
    /// Mounts the filesystems that every program expects. The guest is switched off after
    /// `deadline`.
    pub fn begin(deadline: Duration) -> Result<Self> {
        let is_first = std::process::id() == 1;
        ensure!(is_first && Path::new("/dev/ubda").exists(), "this is not the inside of a guest");
        let watch = move || {
            std::thread::sleep(deadline);
            if let Err(error) = reboot(RebootCommand::PowerOff) {
                environment::say(&format!("the guest cannot be switched off: {error}"));
            }
        };
        std::thread::Builder::new().spawn(watch).context("watch the deadline")?;
        let nowhere = MountFlags::NOSUID | MountFlags::NODEV;
        mount("proc", "/proc", "proc", nowhere, None).context("mount /proc")?;
        mount("sysfs", "/sys", "sysfs", nowhere, None).context("mount /sys")?;
        mount("tmpfs", POINTS, "tmpfs", nowhere, None).context("mount a directory for others")?;
        Ok(Self(()))
    }

    /// Loads a module by its path in the kernel tree, without its extension, unless it is built in.
    pub fn load(&self, module: &str) -> Result<()> {
        let release = uname().release().to_string_lossy().into_owned();
        let directory = Path::new(MODULES).join(release);
        let built_in = read_to_string(directory.join("modules.builtin")).unwrap_or_default();
        if built_in.lines().any(|line| line == format!("kernel/{module}.ko")) {
            return Ok(());
        }
        let path = directory.join(format!("kernel/{module}.ko"));
        let file = File::open(&path).with_context(|| format!("open {}", path.display()))?;
        finit_module(file, c"", 0).with_context(|| format!("load {}", path.display()))
    }

    /// Mounts the disk with this letter. Returns the mount point.
    pub fn mount(&self, letter: char, kind: &str, options: &str) -> Result<PathBuf> {
        let point = Path::new(POINTS).join(letter.to_string());
        create_dir_all(&point).context("make a mount point")?;
        let options = CString::new(options).context("options are text")?;
        let (device, flags) = (format!("/dev/ubd{letter}"), MountFlags::NODEV);
        let mounted = mount(&device, &point, kind, flags, options.as_c_str());
        mounted.with_context(|| format!("mount {device} as {kind} with {options:?}"))?;
        Ok(point)
    }

    /// Unmounts a disk.
    pub fn unmount(&self, point: &Path) -> Result<()> {
        unmount(point, UnmountFlags::empty())
            .with_context(|| format!("unmount {}", point.display()))
    }

    /// Creates a directory in the guest's memory.
    pub fn directory(&self, name: &str) -> Result<PathBuf> {
        let path = Path::new(POINTS).join(name);
        create_dir(&path).with_context(|| format!("make {}", path.display()))?;
        Ok(path)
    }

    /// Switches the guest off in order.
    pub fn end(self) -> Result<()> {
        rustix::fs::sync();
        reboot(RebootCommand::PowerOff).context("switch off")
    }
}
