//! Waits for changes of the mount table.
//!
//! The kernel reports a change as an error and as urgent data on the open file (proc(5)), once for
//! each open file. An idle wait uses no thread and no timer.

use super::errno;
use crate::host::calls::MountWatch;
use futures::FutureExt;
use futures::future::BoxFuture;
use rustix::io::Errno;
use std::fs::File;
use std::path::Path;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// The mount table of this process's mount namespace.
#[derive(Debug)]
pub(super) struct MountTable(AsyncFd<File>);

impl MountTable {
    pub(super) fn open(path: &Path) -> Result<Self, Errno> {
        let file = File::open(path).map_err(|error| errno(&error))?;
        let interest = Interest::PRIORITY | Interest::ERROR;
        // SAFETY: a `File` keeps its descriptor open, and the same one, until it is dropped, which happens
        // after the deregistration. Nothing takes the file out earlier.
        #[expect(unsafe_code, reason = "the caller must guarantee that the descriptor stays open")]
        let table = unsafe { AsyncFd::register_with_interest(file, interest) };
        table.map(Self).map_err(|error| errno(&error.into()))
    }
}

impl MountWatch for MountTable {
    fn changed(&self) -> BoxFuture<'_, Result<(), Errno>> {
        async {
            let ready = self.0.ready(Interest::PRIORITY | Interest::ERROR).await;
            ready.map_err(|error| errno(&error))?.clear_ready();
            Ok(())
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fastrak_testkit::environment::missing;
    use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags, mount, unmount};
    use rustix::thread::{UnshareFlags, unshare_unsafe};
    use std::time::Duration;
    use tokio::time::timeout;

    /// Returns the mount table of a new mount namespace for this thread, or `None` without the
    /// rights.
    fn private_mount_table() -> Option<MountTable> {
        // SAFETY: only the mounts and the working directory become private to this thread. Its descriptors
        // stay those of the process.
        #[expect(unsafe_code, reason = "a mount namespace for one thread")]
        let unshared = unsafe { unshare_unsafe(UnshareFlags::NEWNS) };
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        unshared.ok().and_then(|()| rustix::mount::mount_change("/", private).ok())?;
        Some(MountTable::open(Path::new("/proc/thread-self/mountinfo")).unwrap())
    }

    #[tokio::test]
    async fn each_change_of_the_mounts_is_reported_once() {
        let Some(list) = private_mount_table() else { return drop(missing("only root can mount")) };
        let quiet = || timeout(Duration::from_millis(20), list.changed());
        assert!(quiet().await.is_err());
        let directory = tempfile::tempdir().unwrap();
        for _ in 0..2 {
            mount("none", directory.path(), "tmpfs", MountFlags::empty(), None).unwrap();
            list.changed().await.unwrap();
            unmount(directory.path(), UnmountFlags::DETACH).unwrap();
            list.changed().await.unwrap();
        }
        assert!(quiet().await.is_err());
    }
}
