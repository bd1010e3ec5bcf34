//! The work that waits for volumes to be unmounted: what it is, and which of it is to be woken.
//!
//! `upkeep/unmounts.rs` watches the list of mounts and wakes it.

use fastrak_api::volume::VolumeId;
use fastrak_store::host::mounts::Mount;
use fastrak_store::volumes::layout;
use std::collections::{BTreeSet, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// The volumes that work waits for until they are unmounted.
#[derive(Debug, Default)]
pub struct Unmounts {
    // The volume, and the key of the work that waits for it.
    waiting: Mutex<BTreeSet<(VolumeId, VolumeId)>>,
    added: Notify,
}

impl Unmounts {
    /// Wakes the work on `key` when `volume`, which was seen to be mounted, is not any more.
    pub fn wake_after(&self, volume: &VolumeId, key: &VolumeId) {
        self.lock().insert((volume.clone(), key.clone()));
        // It may have been unmounted since it was seen: the list is read once more.
        self.added.notify_one();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Removes the volumes that none of `mounts` is of. Returns the keys of what waited for them.
    pub(crate) fn take(&self, mounts: &[Mount]) -> Vec<VolumeId> {
        let mounted: HashSet<&[u8]> = mounts.iter().flat_map(layout::volumes_of).collect();
        let mut waiting = self.lock();
        let is_free = |volume: &VolumeId| !mounted.contains(volume.as_str().as_bytes());
        waiting.extract_if(.., |(volume, _)| is_free(volume)).map(|(_, key)| key).collect()
    }

    /// Returns when something else has begun to wait.
    pub(crate) async fn added(&self) {
        self.added.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<(VolumeId, VolumeId)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
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
