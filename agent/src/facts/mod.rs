//! What the agent has seen of the cluster: the claims and volumes of its node, the classes, and
//! its own node's hostname label, each reduced to what is decided by.
//!
//! A memory, filled by `watch.rs`. It may be a moment behind: what destroys data asks again.

pub mod volume;
pub mod watch;

use fastrak_api::claim::Claim;
use fastrak_api::class::Class;
use fastrak_api::volume::VolumeId;
use std::collections::{BTreeSet, HashMap};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};
use volume::Volume;

/// The memory.
#[derive(Debug, Default)]
pub struct Facts {
    seen: RwLock<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    claims: HashMap<VolumeId, Claim>,
    volumes: HashMap<VolumeId, Volume>,
    classes: HashMap<String, Class>,
    hostname: Option<String>,
    posted: HashMap<VolumeId, Instant>,
}

/// What is known of one volume at one moment.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// The claim with this uid.
    pub claim: Option<Claim>,
    /// The class that the claim names.
    pub class: Option<Class>,
    /// The volume with this name.
    pub volume: Option<Volume>,
    /// Whether this process has just posted the volume, and the watch is yet to show it.
    pub is_posted: bool,
    /// This node's hostname label.
    pub hostname: Option<String>,
}

/// For longer than this no watch that works is behind.
const BEHIND: Duration = Duration::from_secs(5);

impl Facts {
    /// All that is known of one volume.
    #[must_use]
    pub fn about(&self, id: &VolumeId) -> About {
        let seen = self.read();
        let claim = seen.claims.get(id).cloned();
        let class = claim.as_ref().and_then(Claim::class_name);
        About {
            class: class.and_then(|name| seen.classes.get(name)).cloned(),
            claim,
            volume: seen.volumes.get(id).cloned(),
            is_posted: seen.posted.get(id).is_some_and(|at| at.elapsed() < BEHIND),
            hostname: seen.hostname.clone(),
        }
    }

    /// Remembers that a volume has been posted. Its claim is bound soon after, and each step of that
    /// is a change that would have the volume made a second time.
    pub fn set_posted(&self, id: &VolumeId) {
        let mut seen = self.write();
        seen.posted.retain(|_, at| at.elapsed() < BEHIND);
        if !seen.volumes.contains_key(id) {
            seen.posted.insert(id.clone(), Instant::now());
        }
    }

    /// Whether a claim or a volume is known for this identity.
    #[must_use]
    pub fn knows(&self, id: &VolumeId) -> bool {
        let seen = self.read();
        seen.claims.contains_key(id) || seen.volumes.contains_key(id)
    }

    /// The identities of all volumes.
    #[must_use]
    pub fn volumes(&self) -> Vec<VolumeId> {
        self.read().volumes.keys().cloned().collect()
    }

    /// The pools in which there are volumes.
    #[must_use]
    pub fn pools_in_use(&self) -> BTreeSet<String> {
        let seen = self.read();
        let ours =
            seen.volumes.values().filter(|volume| volume.is_ours() && volume.finalizer().is_some());
        ours.filter_map(|volume| volume.pool_label.clone()).collect()
    }

    /// The claims that wait, be it all or those of one class.
    fn waiting(&self, class: Option<&str>) -> Vec<VolumeId> {
        let seen = self.read();
        let of_class = |claim: &Claim| class.is_none() || claim.class_name() == class;
        let waits = |claim: &Claim| claim.volume_name.is_none() && of_class(claim);
        seen.claims.iter().filter(|(_, claim)| waits(claim)).map(|(id, _)| id.clone()).collect()
    }

    /// All claims that wait for a volume.
    #[must_use]
    pub fn all_waiting(&self) -> Vec<VolumeId> {
        self.waiting(None)
    }

    fn read(&self) -> RwLockReadGuard<'_, Seen> {
        self.seen.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Seen> {
        self.seen.write().unwrap_or_else(PoisonError::into_inner)
    }
}
