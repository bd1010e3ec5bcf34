//! Wakes the work that waits for a volume to be unmounted, when that has happened.
//!
//! The list of mounts is watched only while something waits, and a change of it costs one reading of
//! the list, however many volumes there are. If it cannot be watched, the work looks again by itself,
//! after a few seconds.

use crate::context::Context;
use crate::host::calls::MountWatch;
use crate::host::mounts::Mount;
use crate::volumes::layout;
use fastrak_api::volume::VolumeId;
use fastrak_runtime::shutdown::Shutdown;
use rustix::io::Errno;
use std::collections::{BTreeSet, HashSet};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// The time in which changes are gathered. A node on which a hundred pods start and end changes its
/// list some hundred times in a second.
const GATHER: Duration = Duration::from_millis(50);
/// How much longer than a reading took the next one waits: a list of thousands of mounts takes the
/// kernel milliseconds to write, which is so at most a tenth of one processor.
const REST: u32 = 9;
/// However long a reading has taken.
const LONGEST_REST: Duration = Duration::from_secs(2);

/// The volumes that work waits for until they are unmounted.
#[derive(Debug, Default)]
pub struct Unmounts {
    // The volume, and the key of the work that waits for it.
    waiting: Mutex<BTreeSet<(VolumeId, VolumeId)>>,
    added: Notify,
}

/// The list of mounts, if it is watched.
#[derive(Debug, Default)]
struct Watched {
    list: Option<Box<dyn MountWatch>>,
    is_refused: bool,
}

impl Unmounts {
    /// Wakes the work on `key` when `volume`, which was seen to be mounted, is not any more.
    pub fn wake_after(&self, volume: &VolumeId, key: &VolumeId) {
        self.lock().insert((volume.clone(), key.clone()));
        // It may have been unmounted since it was seen: the list is read once more.
        self.added.notify_one();
    }

    fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Removes the volumes that none of `mounts` is of. Returns the keys of what waited for them.
    fn take(&self, mounts: &[Mount]) -> Vec<VolumeId> {
        let mounted: HashSet<&[u8]> = mounts.iter().flat_map(layout::volumes_of).collect();
        let mut waiting = self.lock();
        let is_free = |volume: &VolumeId| !mounted.contains(volume.as_str().as_bytes());
        waiting.extract_if(.., |(volume, _)| is_free(volume)).map(|(_, key)| key).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<(VolumeId, VolumeId)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watched {
    /// Watches the list if something waits, and only then.
    fn follow(&mut self, context: &Context) {
        if context.unmounts.is_empty() {
            self.list = None;
        } else if self.list.is_none() {
            match context.store.pools().machine().watch_mounts() {
                Ok(list) => self.list = Some(list),
                Err(errno) => self.refused(errno),
            }
        }
    }

    /// Returns when the list has changed; never while it is not watched. After an error it is opened
    /// again when something else begins to wait, so that an error that stays costs nothing.
    async fn changed(&mut self) {
        let Some(list) = &self.list else { return std::future::pending().await };
        let changed = list.changed().await;
        if let Err(errno) = changed {
            self.list = None;
            self.refused(errno);
            std::future::pending().await
        }
    }

    fn refused(&mut self, errno: Errno) {
        if !std::mem::replace(&mut self.is_refused, true) {
            let text = "cannot watch mounts: volumes are removed seconds after they are unmounted";
            tracing::warn!(error = %errno, "{text}");
        }
    }
}

/// Wakes work until shutdown is requested.
pub async fn run(context: Arc<Context>, shutdown: Shutdown) -> Result<(), Infallible> {
    let mut watched = Watched::default();
    loop {
        let step = async {
            tokio::select! {
                () = context.unmounts.added.notified() => {}
                () = watched.changed() => {}
            }
            // Before the reading: what changes after it is a change that is waited for.
            watched.follow(&context);
            let began = Instant::now();
            look(&context).await;
            let rest = began.elapsed().saturating_mul(REST).clamp(GATHER, LONGEST_REST);
            tokio::time::sleep(rest).await;
            watched.follow(&context);
        };
        tokio::select! {
            biased;
            () = shutdown.requested() => return Ok(()),
            () = step => {}
        }
    }
}

/// Reads the list of mounts and wakes the work that waits for volumes that are not in it.
pub async fn look(context: &Context) {
    if context.unmounts.is_empty() {
        return;
    }
    // An error is logged where it comes from. The work looks again by itself.
    if let Ok(Some(mounts)) = context.on_disk(|store| Ok(store.mounts())).await {
        context.unmounts.take(&mounts).into_iter().for_each(|key| context.queue.add(key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(last: char) -> VolumeId {
        VolumeId::parse(&format!("0b0a3a2e-0d6c-4f5f-9e57-3c2f1d2b4a5{last}")).unwrap()
    }

    #[test]
    fn only_what_waits_for_a_volume_that_is_not_mounted_any_more_is_woken() {
        let unmounts = Unmounts::default();
        unmounts.wake_after(&id('0'), &id('0'));
        unmounts.wake_after(&id('1'), &id('2'));
        unmounts.wake_after(&id('1'), &id('1'));
        let mount = |root: String| Mount { root: root.into(), point: b"/pod".to_vec() };
        let mounts = ['0', '1', '3'].map(|last| mount(format!("/pool/{}/data", id(last))));
        assert_eq!(unmounts.take(&mounts), []);
        assert_eq!(unmounts.take(&mounts[..1]), [id('1'), id('2')]);
        assert_eq!(unmounts.take(&mounts[..1]), [], "each is woken once");
        assert_eq!(unmounts.take(&mounts[1..]), [id('0')]);
        assert!(unmounts.is_empty());
    }
}
