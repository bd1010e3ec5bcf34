//! The world of the fault tests: a node, its cluster, and their users. `invariants.rs` checks it.
//! The module injects no faults.

mod invariants;

use self::invariants::{entries, in_trash_at_all, own};
use crate::agent::{Agent, GRACE, POOLS, Witness};
use crate::clock::SimulatedClock;
use crate::cluster::{Cluster, LEFT, OLD};
use crate::disk::{Cut, Ino, Node};
use crate::faults::Fault;
use crate::machine::{FaultyMachine, Moved};
use fastrak_agent::snapshot::volume::Volume;
use fastrak_api::claim::{Claim, RestoreRequest};
use fastrak_api::class::ReclaimPolicy;
use fastrak_api::volume::VolumeId;
use fastrak_store::volumes::layout;
use fastrak_store::volumes::trash::plan::MIN_AGE;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// An event. Small numbers identify claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A user creates a claim of this class.
    Claim(u8, &'static str),
    /// A user creates a claim that undeletes the volume of another one.
    Undelete(u8, u8),
    /// A user creates a claim that adopts the retained volume of another one.
    Adopt(u8, u8),
    /// A user creates a claim that imports the volume of another provisioner, with a file in it.
    Import(u8),
    /// A user deletes a claim.
    DeleteClaim(u8),
    /// A pod starts with the claim: its volume is mounted, and it writes and syncs a file.
    Use(u8),
    /// The same pod creates directories and files without syncing them.
    Litter(u8),
    /// The pod ends.
    EndPod(u8),
    /// A user requests a larger size.
    Grow(u8, &'static str),
    /// A client removes the labels of a bound claim.
    Unlabel(u8),
    /// An administrator deletes the claim's volume.
    DeleteVolume(u8),
    /// An administrator removes the claim's volume with its finalizers.
    ForceDelete(u8),
    /// An administrator sets the policy of the volume to Retain.
    SetRetain(u8),
    /// An administrator sets the policy of the volume to Delete.
    SetDelete(u8),
    /// The controller manager runs once.
    Control,
    /// The agent's watches deliver the cluster.
    See,
    /// The agent checks its pools.
    CheckPools,
    /// The agent reconciles one volume.
    Reconcile(u8),
    /// The agent scans for orphans and reconciles them.
    Scan,
    /// The agent empties the trash.
    Trash,
    /// The agent evicts the oldest restorable volume because its space is needed.
    Evict,
    /// The agent runs all of its work once.
    Round,
    /// The agent is restarted.
    Restart,
    /// Time passes, more than the grace time of orphans.
    Wait,
    /// All changes reach the disk.
    Settle,
    /// The power fails.
    Cut(Cut),
    /// The disk of the second pool is unmounted while the cluster has volumes on it.
    Unmount,
    /// The disk is mounted again.
    Mount,
    /// An administrator creates an empty marker beside a foreign file.
    CreateMarker,
    /// An earlier process has left a partly created volume.
    PartlyCreated(u8),
    /// The same in the second pool.
    PartlyCreatedFar(u8),
    /// The disk of the first pool has project quotas.
    Projects,
}

/// The world.
pub(crate) struct World {
    pub(crate) machine: FaultyMachine,
    cluster: Cluster,
    agent: Agent,
    witness: Witness,
    clock: SimulatedClock,
    // The data that its tenant has synced into each volume.
    proofs: BTreeSet<VolumeId>,
    // The volumes that an administrator has retained beyond their objects.
    kept: BTreeSet<VolumeId>,
    // The volumes that stay restorable throughout a test.
    bins: BTreeSet<VolumeId>,
}

/// The maximum number of rounds, more than any recovery needs.
const ROUNDS: usize = 16;

const PROOF: &str = "proof";

/// Returns the ID of a claim.
pub(crate) fn id(number: u8) -> VolumeId {
    VolumeId::parse(&format!("00000000-0000-4000-9000-0000000000{number:02x}")).expect("a uid")
}

impl World {
    pub(crate) fn new() -> Self {
        let machine = FaultyMachine::new(&POOLS.map(|(_, path)| path));
        let clock = SimulatedClock::new();
        let agent = Agent::new(&machine, &clock);
        Self {
            machine,
            cluster: Cluster::default(),
            agent,
            witness: Witness::default(),
            clock,
            proofs: BTreeSet::new(),
            kept: BTreeSet::new(),
            bins: BTreeSet::new(),
        }
    }

    /// Creates a world after these events, all of which have reached the disk.
    pub(crate) fn after(events: &[Event]) -> Self {
        let mut world = Self::new();
        for event in events {
            world.happen(event);
        }
        world.happen(&Event::Settle);
        world
    }

    /// Carries out an event. The agent retries what fails.
    pub(crate) fn happen(&mut self, event: &Event) {
        let version = self.cluster.version;
        let before = self.cluster.volumes.clone();
        match event {
            Event::Claim(n, class) => {
                self.cluster.create_claim(&id(*n), class, None);
                self.bins.extend((*class == "bin").then(|| id(*n)));
            }
            Event::Undelete(n, of) => {
                self.request_restore(*n, "bin", RestoreRequest::Undelete(id(*of)))
            }
            Event::Import(n) => self.import(*n),
            Event::Adopt(n, of) => self.request_restore(*n, "kept", RestoreRequest::Adopt(id(*of))),
            Event::DeleteClaim(n) => self.cluster.delete_claim(&id(*n)),
            Event::Use(n) => self.use_volume(&id(*n)),
            Event::Litter(n) => self.litter(&id(*n)),
            Event::Grow(n, size) => self.cluster.grow_claim(&id(*n), size),
            Event::Unlabel(n) => self.cluster.unlabel_claim(&id(*n)),
            Event::EndPod(n) => {
                let name = self.volume_of(&id(*n)).volume_name();
                self.machine.state().mounted.retain(|mounted| *mounted != name);
            }
            Event::DeleteVolume(n) => self.cluster.delete_volume(&id(*n)),
            Event::ForceDelete(n) => self.cluster.force_delete(&id(*n)),
            Event::SetRetain(n) => self.cluster.set_policy(&id(*n), ReclaimPolicy::Retain),
            Event::SetDelete(n) => self.set_delete_policy(&id(*n)),
            Event::Control => self.cluster.control(),
            Event::See => self.agent.see(&self.cluster),
            Event::CheckPools => self.agent.check_pools((&mut self.cluster, &mut self.witness)),
            Event::Reconcile(n) => self.reconcile(&id(*n)),
            Event::Scan => self.scan(),
            Event::Trash => self.agent.empty_trash((&mut self.cluster, &mut self.witness)),
            Event::Evict => self.evict_trash(),
            Event::Round => self.round(),
            Event::Restart => self.restart(),
            Event::Wait => self.clock.pass(GRACE),
            Event::Settle => self.machine.state().disk.settle(),
            Event::Cut(cut) => self.cut(*cut),
            Event::Unmount => self.mount(!self.has_volumes_far()),
            Event::Mount => self.mount(true),
            Event::CreateMarker => self.create_marker(),
            Event::PartlyCreated(n) => self.create_partly(&id(*n), POOLS[0].1),
            Event::PartlyCreatedFar(n) => self.create_partly(&id(*n), POOLS[1].1),
            Event::Projects => self.machine.state().has_projects = true,
        }
        // Without a volume on it, a missing disk cannot be distinguished from a new one.
        if !self.has_volumes_far() {
            self.mount(true);
        }
        self.witness_moves(&before);
        self.witness_trash();
        if version != self.cluster.version {
            self.witness_keeping(&before);
        }
    }

    /// Handles a fault: starts an ended process again on what is left of the disk.
    pub(crate) fn after_fault(&mut self, fault: Fault) {
        let died = self.machine.state().is_dead();
        self.machine.state().heal();
        match (died, fault.cut()) {
            (true, Some(cut)) => self.cut(cut),
            (true, None) => self.restart(),
            (false, _) => {}
        }
    }

    /// Runs all work until nothing is left to do.
    pub(crate) fn recover(&mut self) {
        self.mount(true);
        for round in 0.. {
            let before = (self.cluster.version, self.machine.state().disk.changes());
            // The kernel frees a subvolume at the second request.
            let is_still = self.machine.state().leaving.is_empty();
            self.cluster.control();
            self.end_pods();
            self.clock.pass(GRACE);
            self.happen(&Event::Round);
            let state = self.machine.state();
            let quiet = before.0 == self.cluster.version && before.1 == state.disk.changes();
            if quiet && !self.agent.is_waiting() && is_still {
                return;
            }
            if round > ROUNDS {
                self.witness.problems.push("the recovery never ends".to_owned());
                return;
            }
        }
    }

    /// Checks that data was moved into the trash only without an owner. Claims and mounts are the
    /// same before and after the agent's work; an object may have been deleted or retained since.
    fn witness_moves(&mut self, before: &BTreeMap<VolumeId, Volume>) {
        let moved = std::mem::take(&mut self.machine.state().moved);
        for moved in moved {
            match moved {
                // A claim has it again, so it must be trashed again before its removal.
                Moved::Given(id) => {
                    self.witness.trashed.remove(&id);
                }
                Moved::Trashed(id) => {
                    let why = self.needed(&id, before.get(&id));
                    let problem = why.map(|why| format!("{id} is let go, and {why}"));
                    self.witness.problems.extend(problem);
                    self.witness.trashed.insert(id);
                }
            }
        }
    }

    /// Returns why the data of a volume must not be removed.
    fn needed(&self, id: &VolumeId, volume: Option<&Volume>) -> Option<&'static str> {
        let (name, claims) = (id.volume_name(), &self.cluster.claims);
        if self.machine.state().mounted.contains(&name) {
            return Some("is mounted");
        }
        let has = |claim: &Claim| claim.volume_name.as_ref() == Some(&name);
        if claims.values().any(|claim| has(claim)) {
            return Some("a claim has it");
        }
        let Some(volume) = volume else {
            let kept = self.kept.contains(id).then_some("it was retained");
            let claimed = claims.contains_key(id).then_some("its claim exists");
            // An unknown claim proves nothing.
            let holds_data = self.proofs.contains(id).then_some("it contains data");
            return kept.or(claimed).or(holds_data);
        };
        let of = volume.claim.as_ref().and_then(|claim| claim.uid.as_deref());
        let of = of.and_then(|uid| VolumeId::parse(uid).ok());
        if of.is_some_and(|of| claims.contains_key(&of)) {
            return Some("its claim exists");
        }
        let is_kept = |volume: &Volume| volume.policy == ReclaimPolicy::Retain;
        let now = self.cluster.volumes.get(id);
        let kept = is_kept(volume) || now.is_some_and(is_kept);
        kept.then_some("its object has the policy Retain")
    }

    fn witness_trash(&mut self) {
        let Witness { trashed, problems } = &mut self.witness;
        let state = self.machine.state();
        let trash = |root: &Ino| state.disk.find(*root, OsStr::new(layout::TRASH));
        for trash in state.places.values().filter_map(trash) {
            let names = entries(&state, trash).map(|(name, _)| name.to_string_lossy());
            let held = names.filter(|name| !trashed.iter().any(|id| name.starts_with(id.as_str())));
            problems.extend(held.map(|name| format!("{name} is in the trash, and was not let go")));
        }
    }

    /// Records the volumes that an administrator has retained beyond their objects.
    fn witness_keeping(&mut self, before: &BTreeMap<VolumeId, Volume>) {
        let Cluster { claims, volumes, .. } = &self.cluster;
        let gone = before.iter().filter(|(id, _)| !volumes.contains_key(id));
        let kept = gone.filter(|(id, volume)| {
            volume.policy == ReclaimPolicy::Retain && !claims.contains_key(id)
        });
        self.kept.extend(kept.map(|(id, _)| id.clone()));
    }

    fn reconcile(&mut self, id: &VolumeId) {
        self.agent.reconcile(id, (&mut self.cluster, &mut self.witness));
    }

    fn scan(&mut self) {
        for id in self.agent.scan((&mut self.cluster, &mut self.witness)) {
            self.reconcile(&id);
        }
    }

    fn round(&mut self) {
        self.agent.see(&self.cluster);
        self.agent.check_pools((&mut self.cluster, &mut self.witness));
        for id in self.agent.see_mounts((&mut self.cluster, &mut self.witness)) {
            self.reconcile(&id);
        }
        for id in self.agent.known() {
            self.reconcile(&id);
        }
        self.scan();
        self.agent.empty_trash((&mut self.cluster, &mut self.witness));
    }

    fn restart(&mut self) {
        self.machine.state().end_process();
        let with = (&mut self.cluster, &mut self.witness);
        self.agent = Agent::start(&self.machine, &self.clock, with);
    }

    fn cut(&mut self, cut: Cut) {
        let mut state = self.machine.state();
        state.disk.cut(cut);
        state.mounted.clear();
        state.leaving.clear();
        drop(state);
        self.restart();
    }

    fn request_restore(&mut self, n: u8, class: &str, request: RestoreRequest) {
        self.cluster.create_claim(&id(n), class, Some(request));
    }

    fn import(&mut self, n: u8) {
        let (id, mut state) = (id(n), self.machine.state());
        let root = state.places[Path::new(POOLS[0].1)];
        let folder = || Node::Directory(BTreeMap::new());
        let left = state.disk.make(root, OsStr::new("left"), folder(), 0o755);
        let data = state.disk.make(left, OsStr::new(OLD), folder(), 0o777);
        let content = Node::File(id.to_string().into_bytes());
        state.disk.make(data, OsStr::new(PROOF), content, 0o644);
        state.places.insert(PathBuf::from(LEFT), left);
        drop(state);
        self.proofs.insert(id);
        self.cluster.has_left = true;
        self.request_restore(n, "near", RestoreRequest::Import(OLD.to_owned()));
    }

    fn set_delete_policy(&mut self, id: &VolumeId) {
        // An administrator may release a retained volume that was adopted.
        if self.cluster.volumes.contains_key(id) {
            self.kept.remove(id);
        }
        self.cluster.set_policy(id, ReclaimPolicy::Delete);
    }

    fn evict_trash(&mut self) {
        let state = self.machine.state();
        self.bins.retain(|id| in_trash_at_all(&state, POOLS[0].1, id).is_none());
        drop(state);
        // New volumes in the trash are not evicted.
        self.clock.pass(Duration::from_secs(MIN_AGE));
        self.agent.evict_for_claim((&mut self.cluster, &mut self.witness));
    }

    /// Returns the volume that a claim is bound to, or its own.
    fn volume_of(&self, id: &VolumeId) -> VolumeId {
        let claim = self.cluster.claims.get(id);
        let name = claim.and_then(|claim| claim.volume_name.as_deref());
        name.and_then(VolumeId::from_volume_name).unwrap_or_else(|| id.clone())
    }

    fn use_volume(&mut self, claim: &VolumeId) {
        let Some(data) = self.data_of_bound(claim) else { return };
        let id = &self.volume_of(claim);
        let mut state = self.machine.state();
        if !state.mounted.contains(&id.volume_name()) {
            state.mounted.push(id.volume_name());
        }
        if state.disk.find(data, OsStr::new(PROOF)).is_none() {
            let content = Node::File(id.to_string().into_bytes());
            let file = state.disk.make(data, OsStr::new(PROOF), content, 0o644);
            state.disk.sync(file);
            state.disk.sync(data);
            self.proofs.insert(id.clone());
        }
    }

    fn litter(&mut self, claim: &VolumeId) {
        let Some(data) = self.data_of_bound(claim) else { return };
        let id = &self.volume_of(claim);
        let mut state = self.machine.state();
        if !self.proofs.contains(id) || state.disk.find(data, OsStr::new("a")).is_some() {
            return;
        }
        let folder = || Node::Directory(BTreeMap::new());
        let a = state.disk.make(data, OsStr::new("a"), folder(), 0o700);
        let b = state.disk.make(a, OsStr::new("b"), folder(), 0o000);
        let c = state.disk.make(b, OsStr::new("c"), folder(), 0o700);
        if state.disk.is_subvolume(data) {
            state.disk.make_subvolume(b, OsStr::new("of-his-own"), 0o700);
        }
        for dir in [data, a, b, c] {
            state.disk.make(dir, OsStr::new("file"), Node::File(b"not synced".to_vec()), 0o600);
            state.disk.make(dir, OsStr::new("link"), Node::Symlink, 0o777);
        }
    }

    /// Returns the data that a kubelet would mount for a claim: the path in its volume's object.
    fn data_of_bound(&mut self, id: &VolumeId) -> Option<Ino> {
        self.cluster.claims.get(id)?.volume_name.as_ref()?;
        let id = &self.volume_of(id);
        let path = PathBuf::from(self.cluster.volumes.get(id)?.path.as_deref()?);
        let state = self.machine.state();
        let pool = path.parent()?.parent()?.to_str()?.to_owned();
        let data = own(&state, &pool, id);
        let mounted = state.is_mounted(Path::new(&pool));
        drop(state);
        if data.is_none() && mounted {
            self.witness.problems.push(format!("a pod of {id} finds no data"));
        }
        data
    }

    /// Ends the pods of deleted claims.
    fn end_pods(&mut self) {
        let claims = self.cluster.claims.keys();
        let claims: Vec<_> = claims.map(|id| self.volume_of(id).volume_name()).collect();
        self.machine.state().mounted.retain(|name| claims.contains(name));
    }

    fn mount(&mut self, mounted: bool) {
        self.machine.state().mount(Path::new(POOLS[1].1), mounted);
    }

    fn has_volumes_far(&self) -> bool {
        let far = |volume: &Volume| {
            volume.pool_label.as_deref() == Some(POOLS[1].0) && volume.finalizer().is_some()
        };
        self.cluster.volumes.values().any(far)
    }

    fn create_marker(&mut self) {
        let mut state = self.machine.state();
        let root = state.places[Path::new(POOLS[0].1)];
        for name in [".fastrak-pool", "of-an-administrator"] {
            state.disk.make(root, OsStr::new(name), Node::File(Vec::new()), 0o600);
        }
    }

    fn create_partly(&mut self, id: &VolumeId, pool: &str) {
        let mut state = self.machine.state();
        let root = state.places[Path::new(pool)];
        // The earlier process had created the marker first.
        let begun = state.disk.worst()[root].node.entries();
        if !begun.is_some_and(|entries| entries.contains_key(OsStr::new(".fastrak-pool"))) {
            return;
        }
        let folder = || Node::Directory(BTreeMap::new());
        let staging = match state.disk.find(root, OsStr::new(layout::STAGING)) {
            Some(staging) => staging,
            None => state.disk.make(root, OsStr::new(layout::STAGING), folder(), 0o700),
        };
        if state.disk.find(staging, OsStr::new(id.as_str())).is_none() {
            let dir = state.disk.make(staging, OsStr::new(id.as_str()), folder(), 0o700);
            if pool == POOLS[0].1 {
                state.disk.make(dir, OsStr::new(layout::DATA), folder(), 0o700);
            } else {
                state.disk.make_subvolume(dir, OsStr::new(layout::DATA), 0o700);
            }
        }
    }
}
