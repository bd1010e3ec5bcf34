//! Work that waits until a volume is unmounted. `upkeep/unmounts.rs` watches the mount table and
//! wakes it.

use fastrak_api::volume::VolumeId;
use fastrak_store::host::mounts::Mount;
use fastrak_store::volumes::layout;
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashSet};
use tokio::sync::Notify;

/// The volumes whose unmount some work waits for.
#[derive(Debug, Default)]
pub struct Unmounts {
    // The volume, and the key of the waiting work.
    waiting: Mutex<BTreeSet<(VolumeId, VolumeId)>>,
    added: Notify,
}

impl Unmounts {
    /// Requeues `key` once `volume`, which was seen to be mounted, is unmounted.
    pub(crate) fn wake_after(&self, volume: &VolumeId, key: &VolumeId) {
        self.waiting.lock().insert((volume.clone(), key.clone()));
        // The volume may have been unmounted in the meantime: this reads the mount table again.
        self.added.notify_one();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.lock().is_empty()
    }

    /// Removes the volumes that none of `mounts` belongs to. Returns the keys that waited for them.
    pub(crate) fn take(&self, mounts: &[Mount]) -> Vec<VolumeId> {
        let mounted: HashSet<&[u8]> = mounts.iter().flat_map(layout::volumes_of).collect();
        let mut waiting = self.waiting.lock();
        let is_free = |volume: &VolumeId| !mounted.contains(volume.as_str().as_bytes());
        waiting.extract_if(.., |(volume, _)| is_free(volume)).map(|(_, key)| key).collect()
    }

    /// Waits until more work waits for an unmount.
    pub(crate) async fn added(&self) {
        self.added.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(last: char) -> VolumeId {
        VolumeId::parse(&format!("0b0a3a2e-0d6c-4f5f-9e57-3c2f1d2b4a5{last}")).unwrap()
    }

    #[test]
    fn only_work_for_an_unmounted_volume_is_woken() {
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
