//! A snapshot of the cluster: the claims and volumes of this node, the classes, and the node's
//! hostname label, each reduced to the fields that decisions use.
//!
//! `watch.rs` updates it. It may be slightly behind, so the controllers read the API server
//! again before they delete data.

pub mod growth;
pub mod hostname;
mod kinds;
mod unwatched;
pub mod volume;
pub(crate) mod watch;

use crate::clock::Clock;
use fastrak_api::claim::Claim;
use fastrak_api::claim_ref::ClaimRef;
use fastrak_api::class::Class;
use fastrak_api::volume::VolumeId;
use growth::Growth;
use parking_lot::RwLock;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};
use unwatched::Unwatched;
use volume::Volume;

/// The snapshot.
#[derive(Debug)]
pub struct Snapshot {
    seen: RwLock<Contents>,
    clock: Arc<dyn Clock>,
}

#[derive(Debug, Default)]
struct Contents {
    claims: HashMap<VolumeId, (Claim, Growth)>,
    unwatched: Unwatched,
    volumes: HashMap<VolumeId, Volume>,
    classes: HashMap<String, Class>,
    hostname: Option<String>,
    node_uid: Option<String>,
    confirmations: Confirmations,
    published: HashMap<VolumeId, Instant>,
}

/// The confirmations of an administrator in annotations of this node. Each names a pool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Confirmations {
    /// The pool that this cluster may adopt.
    pub(crate) adopt_pool: Option<String>,
    /// The pool whose many new orphans are expected.
    pub(crate) orphans: Option<String>,
}

impl Contents {
    /// Returns whether a claim has another provisioner's class and no volume of fastrak.
    fn is_foreign(&self, claim: &Claim) -> bool {
        let class = claim.class_name().and_then(|name| self.classes.get(name));
        let volume = claim.volume_name.as_deref().and_then(VolumeId::from_volume_name);
        class.is_some_and(|class| !class.is_ours()) && volume.is_none()
    }

    /// Removes the claims of other provisioners that were seen before their classes.
    fn forget_foreign(&mut self) {
        let mut claims = std::mem::take(&mut self.claims);
        claims.retain(|_, (claim, _)| !self.is_foreign(claim));
        self.claims = claims;
    }

    fn put_claim(&mut self, id: &VolumeId, claim: Option<(Claim, Growth)>) {
        match claim {
            Some(claim) => {
                self.unwatched.remove(id);
                self.claims.insert(id.clone(), claim);
            }
            None => drop(self.claims.remove(id)),
        }
    }

    fn put_volume(&mut self, id: &VolumeId, volume: Option<Volume>) {
        match volume {
            Some(volume) => {
                self.published.remove(id);
                self.volumes.insert(id.clone(), volume);
            }
            None => drop(self.volumes.remove(id)),
        }
    }
}

/// The snapshot of one volume.
#[derive(Clone, Debug, Default)]
pub(crate) struct VolumeView {
    /// The claim with this UID.
    pub(crate) claim: Option<Claim>,
    pub(crate) class: Option<Class>,
    /// The PersistentVolume with this name.
    pub(crate) volume: Option<Volume>,
    /// Whether this process has just created the PersistentVolume and the watch does not show it
    /// yet.
    pub(crate) is_published: bool,
    pub(crate) hostname: Option<String>,
}

/// The longest delay of a working watch.
const MAX_WATCH_DELAY: Duration = Duration::from_secs(5);

impl Snapshot {
    /// Creates an empty snapshot that measures time by `clock`.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { seen: RwLock::default(), clock }
    }

    /// Updates the claim with this UID; `None` removes it.
    pub fn put_claim(&self, id: &VolumeId, claim: Option<(Claim, Growth)>) {
        self.seen.write().put_claim(id, claim);
    }

    /// Updates the volume with this name; `None` removes it.
    pub fn put_volume(&self, id: &VolumeId, volume: Option<Volume>) {
        self.seen.write().put_volume(id, volume);
    }

    /// Removes the volume with this name if it has this UID: it is gone, and the watch may be
    /// behind.
    pub(crate) fn forget_volume(&self, id: &VolumeId, uid: &str) {
        let mut seen = self.seen.write();
        if seen.volumes.get(id).is_some_and(|volume| volume.uid == uid) {
            seen.put_volume(id, None);
        }
    }

    /// Updates a class.
    pub fn put_class(&self, class: Class) {
        self.seen.write().classes.insert(class.name.clone(), class);
    }

    /// Updates this node: the UID of its object and its hostname label.
    pub fn put_node(&self, uid: Option<String>, hostname: Option<String>) {
        let mut seen = self.seen.write();
        seen.node_uid = uid;
        seen.hostname = hostname;
    }

    /// Returns the snapshot of one volume.
    pub(crate) fn view(&self, id: &VolumeId) -> VolumeView {
        let seen = self.seen.read();
        let claim = seen.claims.get(id).map(|(claim, _)| claim.clone());
        let class = claim.as_ref().and_then(Claim::class_name);
        VolumeView {
            class: class.and_then(|name| seen.classes.get(name)).cloned(),
            claim,
            volume: seen.volumes.get(id).cloned(),
            is_published: seen.published.get(id).is_some_and(|at| self.is_recent(*at)),
            hostname: seen.hostname.clone(),
        }
    }

    /// Returns a volume's claim and its size status, if the claim is known.
    pub(crate) fn owner(&self, volume: &Volume) -> Option<(Claim, Growth)> {
        let id = volume.claim.as_ref()?.id()?;
        let seen = self.seen.read();
        // Without the annotation, a policy refuses all writes of an agent.
        let unwatched = || seen.unwatched.get(&id).filter(|(claim, _)| claim.pin == volume.node);
        seen.claims.get(&id).or_else(unwatched).cloned()
    }

    /// Returns at most `limit` claims of these volumes that the watch does not show, each with its
    /// volume. The next call continues after them.
    pub(crate) fn unwatched(
        &self,
        is_bound: impl Fn(&Volume) -> bool,
        limit: usize,
    ) -> Vec<(VolumeId, ClaimRef)> {
        let mut seen = self.seen.write();
        let bound = seen.volumes.iter().filter(|(_, volume)| is_bound(volume));
        let missing: BTreeMap<_, _> = bound
            .filter_map(|(id, volume)| Some((volume.claim.as_ref()?.id()?, (id, volume))))
            .filter(|(uid, _)| !seen.claims.contains_key(uid))
            .filter_map(|(uid, (id, volume))| Some((uid, (id.clone(), volume.claim.clone()?))))
            .collect();
        let turn = seen.unwatched.next_turn(&missing.keys().cloned().collect(), limit);
        turn.iter().filter_map(|uid| missing.get(uid).cloned()).collect()
    }

    /// Updates the claim of a volume that the watch does not show. Returns whether to report it.
    pub(crate) fn put_unwatched(&self, owner: &ClaimRef, found: (Claim, Growth)) -> bool {
        let (now, mut seen) = (self.clock.instant(), self.seen.write());
        let uid = owner.id().filter(|uid| !seen.claims.contains_key(uid));
        uid.is_some_and(|uid| seen.unwatched.put(&uid, found, now))
    }

    /// Records that a PersistentVolume was created. Its claim is bound soon after in several steps,
    /// each of which would otherwise create the volume again.
    pub(crate) fn set_published(&self, id: &VolumeId) {
        let mut seen = self.seen.write();
        seen.published.retain(|_, at| self.is_recent(*at));
        if !seen.volumes.contains_key(id) {
            seen.published.insert(id.clone(), self.clock.instant());
        }
    }

    /// Returns whether a claim or a volume with this ID is known.
    pub(crate) fn knows(&self, id: &VolumeId) -> bool {
        let seen = self.seen.read();
        seen.claims.contains_key(id) || seen.volumes.contains_key(id)
    }

    pub(crate) fn volumes(&self) -> Vec<VolumeId> {
        self.seen.read().volumes.keys().cloned().collect()
    }

    /// Returns the pools that contain volumes.
    pub(crate) fn pools_in_use(&self) -> BTreeSet<String> {
        let seen = self.seen.read();
        let ours =
            seen.volumes.values().filter(|volume| volume.is_ours() && volume.finalizer().is_some());
        ours.filter_map(|volume| volume.pool_label.clone()).collect()
    }

    pub(crate) fn confirmations(&self) -> Confirmations {
        self.seen.read().confirmations.clone()
    }

    /// Returns the waiting claims, of one class or of all.
    fn waiting(&self, class: Option<&str>) -> Vec<VolumeId> {
        let seen = self.seen.read();
        let of_class = |claim: &Claim| class.is_none() || claim.class_name() == class;
        let waits = |claim: &Claim| claim.volume_name.is_none() && of_class(claim);
        let waiting = seen.claims.iter().filter(|(_, (claim, _))| waits(claim));
        waiting.map(|(id, _)| id.clone()).collect()
    }

    /// Returns the UID of this node's object, if it exists.
    pub(crate) fn node_uid(&self) -> Option<String> {
        self.seen.read().node_uid.clone()
    }

    /// Returns all claims that wait for a volume.
    pub(crate) fn all_waiting(&self) -> Vec<VolumeId> {
        self.waiting(None)
    }

    fn is_recent(&self, at: Instant) -> bool {
        self.clock.instant().saturating_duration_since(at) < MAX_WATCH_DELAY
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use fastrak_api::claim::ClassChoice;
    use fastrak_api::names;

    fn id(last: char) -> VolumeId {
        VolumeId::parse(&format!("0b0a3a2e-0d6c-4f5f-9e57-3c2f1d2b4a5{last}")).unwrap()
    }

    #[test]
    fn a_created_volume_is_published_until_the_watch_delivers_it() {
        let snapshot = Snapshot::new(Arc::new(SystemClock));
        assert!(!snapshot.view(&id('0')).is_published);
        snapshot.set_published(&id('0'));
        assert!(snapshot.view(&id('0')).is_published && !snapshot.view(&id('1')).is_published);
        snapshot.seen.write().volumes.insert(id('2'), Volume::default());
        snapshot.set_published(&id('2'));
        assert!(!snapshot.view(&id('2')).is_published, "the watch was faster");
    }

    #[test]
    fn a_volume_is_removed_only_by_its_own_uid() {
        let snapshot = Snapshot::new(Arc::new(SystemClock));
        snapshot.put_volume(&id('0'), Some(Volume { uid: "new".to_owned(), ..Volume::default() }));
        snapshot.forget_volume(&id('0'), "old");
        assert!(snapshot.knows(&id('0')));
        snapshot.forget_volume(&id('0'), "new");
        assert!(!snapshot.knows(&id('0')));
    }

    #[test]
    fn waiting_claims_are_found_by_class() {
        let snapshot = Snapshot::new(Arc::new(SystemClock));
        let claim =
            |class: &str| Claim { class: ClassChoice::Named(class.to_owned()), ..Claim::default() };
        snapshot.put_claim(&id('0'), Some((claim("fast"), Growth::default())));
        snapshot.put_claim(&id('1'), Some((claim("slow"), Growth::default())));
        let bound = Claim { volume_name: Some("v".to_owned()), ..claim("fast") };
        snapshot.put_claim(&id('2'), Some((bound, Growth::default())));
        assert_eq!(snapshot.waiting(Some("fast")), [id('0')]);
        assert_eq!(snapshot.all_waiting().len(), 2);
        assert!(snapshot.knows(&id('2')) && !snapshot.knows(&id('3')));
    }

    #[test]
    fn only_volumes_with_the_finalizer_mark_a_pool_as_used() {
        let snapshot = Snapshot::new(Arc::new(SystemClock));
        let ours = Volume {
            pool_label: Some("default".to_owned()),
            provisioned_by: Some(names::PROVISIONER.to_owned()),
            finalizers: vec![names::VOLUME_FINALIZER.to_owned()],
            ..Volume::default()
        };
        let forged = Volume { finalizers: Vec::new(), ..ours.clone() };
        snapshot.seen.write().volumes.insert(id('0'), forged);
        assert!(snapshot.pools_in_use().is_empty());
        snapshot.seen.write().volumes.insert(id('1'), ours);
        assert_eq!(snapshot.pools_in_use(), BTreeSet::from(["default".to_owned()]));
    }
}
