//! A node, its cluster, the people who use both, and what must be true whatever goes wrong.
//!
//! Nothing goes wrong here by itself.

use crate::agent::{Agent, GRACE, POOLS, Witness, seconds};
use crate::cluster::{CLASSES, Cluster};
use crate::disk::{Cut, Ino, Node};
use crate::faults::Fault;
use crate::growth;
use crate::machine::{FaultyMachine, State};
use crate::restore::LEFT;
use crate::{groups, projects};
use fastrak_agent::facts::volume::{Phase, Policy, Volume};
use fastrak_agent::volumes::layout;
use fastrak_api::claim::{Claim, Wish};
use fastrak_api::volume::{Identity, ReclaimRecord, VolumeId};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// One thing that happens. Claims are known by small numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A user creates a claim of this class.
    Claim(u8, &'static str),
    /// A user creates a claim that wants the volume of another one out of the trash.
    Undelete(u8, u8),
    /// A user creates a claim that wants the kept volume of another one.
    Adopt(u8, u8),
    /// A user creates a claim that wants the data that another provisioner has left, with a file in it.
    Import(u8),
    /// A user deletes a claim.
    Unclaim(u8),
    /// A pod begins to use the claim: its volume is mounted, and it writes and syncs a file.
    Use(u8),
    /// The same pod makes folders and files below, and waits for no disk.
    Litter(u8),
    /// The pod ends.
    Leave(u8),
    /// A user has a claim ask for more.
    Grow(u8, &'static str),
    /// An administrator deletes the claim's volume.
    DeleteVolume(u8),
    /// An administrator asks for the volume to be kept.
    Keep(u8),
    /// An administrator asks for the volume to go with its claim.
    LetGo(u8),
    /// The controller manager does what there is to do.
    Control,
    /// The agent's watches show it the cluster.
    See,
    /// The agent looks after its pools.
    Look,
    /// The agent works on one volume.
    Tend(u8),
    /// The agent looks for directories without an owner, and works on what it finds.
    Scan,
    /// The agent empties the trash.
    Trash,
    /// The agent gives up the oldest volume that can be had back, since the room is needed.
    GiveWay,
    /// The agent does all that it does, once.
    Round,
    /// The agent is ended and started again.
    Restart,
    /// Time passes, more than a directory without an owner is given.
    Wait,
    /// What was done reaches the disk.
    Settle,
    /// The power fails.
    Cut(Cut),
    /// The disk of the second pool goes away, while the cluster has volumes on it.
    Unmount,
    /// It comes back.
    Mount,
    /// An administrator leaves an empty marker, beside a file of his own.
    Consent,
    /// An earlier process has left a volume half made.
    HalfMade(u8),
    /// The same in the second pool.
    HalfMadeFar(u8),
    /// The disk of the first pool is one that holds projects to limits.
    Projects,
}

/// All there is.
pub(crate) struct World {
    pub(crate) machine: FaultyMachine,
    cluster: Cluster,
    agent: Agent,
    witness: Witness,
    now: Duration,
    // What its tenant has synced into each volume.
    proofs: BTreeSet<VolumeId>,
    // The volumes that an administrator has let outlive their objects.
    kept: BTreeSet<VolumeId>,
    // The volumes that can be had back for as long as anything here takes.
    bins: BTreeSet<VolumeId>,
}

/// More rounds than any recovery needs.
const ROUNDS: usize = 16;

const PROOF: &str = "proof";

/// The identity of a claim.
pub(crate) fn id(number: u8) -> VolumeId {
    VolumeId::parse(&format!("00000000-0000-4000-9000-0000000000{number:02x}")).expect("a uid")
}

impl World {
    pub(crate) fn new() -> Self {
        let machine = FaultyMachine::new(&POOLS.map(|(_, path)| path));
        let cluster = Cluster::default();
        let agent = Agent::new(&machine, &cluster);
        Self {
            machine,
            cluster,
            agent,
            witness: Witness::default(),
            now: Duration::ZERO,
            proofs: BTreeSet::new(),
            kept: BTreeSet::new(),
            bins: BTreeSet::new(),
        }
    }

    /// A world in which all this has happened, and has reached the disk.
    pub(crate) fn after(events: &[Event]) -> Self {
        let mut world = Self::new();
        for event in events {
            world.happen(event);
        }
        world.happen(&Event::Settle);
        world
    }

    /// Lets something happen. What the agent cannot do, it will try again.
    pub(crate) fn happen(&mut self, event: &Event) {
        let version = self.cluster.version;
        let before = self.cluster.volumes.clone();
        match event {
            Event::Claim(n, class) => {
                self.cluster.create_claim(&id(*n), class, None);
                self.bins.extend((*class == "bin").then(|| id(*n)));
            }
            Event::Undelete(n, of) => self.wish(*n, "bin", Wish::Undelete(id(*of))),
            Event::Import(n) => self.import(*n),
            Event::Adopt(n, of) => self.wish(*n, "kept", Wish::Adopt(id(*of))),
            Event::Unclaim(n) => self.cluster.delete_claim(&id(*n)),
            Event::Use(n) => self.use_volume(&id(*n)),
            Event::Litter(n) => self.litter(&id(*n)),
            Event::Grow(n, size) => self.cluster.grow_claim(&id(*n), size),
            Event::Leave(n) => {
                let name = self.volume_of(&id(*n)).volume_name();
                self.machine.state().mounted.retain(|mounted| *mounted != name);
            }
            Event::DeleteVolume(n) => self.cluster.delete_volume(&id(*n)),
            Event::Keep(n) => self.cluster.set_policy(&id(*n), Policy::Keep),
            Event::LetGo(n) => self.let_go(&id(*n)),
            Event::Control => self.cluster.control(),
            Event::See => self.agent.see(&self.cluster),
            Event::Look => self.agent.look(),
            Event::Tend(n) => self.tend(&id(*n)),
            Event::Scan => self.scan(),
            Event::Trash => self.agent.empty_trash(self.now),
            Event::GiveWay => self.give_way(),
            Event::Round => self.round(),
            Event::Restart => self.restart(),
            Event::Wait => self.now += GRACE,
            Event::Settle => self.machine.state().disk.settle(),
            Event::Cut(cut) => self.cut(*cut),
            Event::Unmount => self.mount(!self.has_volumes_far()),
            Event::Mount => self.mount(true),
            Event::Consent => self.consent(),
            Event::HalfMade(n) => self.half_make(&id(*n), POOLS[0].1),
            Event::HalfMadeFar(n) => self.half_make(&id(*n), POOLS[1].1),
            Event::Projects => self.machine.state().has_projects = true,
        }
        // Without a volume on it, nobody could tell a disk that is away from one that is new.
        if !self.has_volumes_far() {
            self.mount(true);
        }
        self.witness_trash();
        if version != self.cluster.version {
            self.witness_keeping(&before);
        }
    }

    /// After a fault: a process that has died is started again, on what is left of the disk.
    pub(crate) fn after_fault(&mut self, fault: Fault) {
        let died = self.machine.state().is_dead();
        self.machine.state().heal();
        match (died, fault.cut()) {
            (true, Some(cut)) => self.cut(cut),
            (true, None) => self.restart(),
            (false, _) => {}
        }
    }

    /// Everybody does what he does until there is nothing more to do.
    pub(crate) fn recover(&mut self) {
        self.mount(true);
        for round in 0.. {
            let before = (self.cluster.version, self.machine.state().disk.changes());
            // What the kernel has not done with now is asked for once more.
            let is_still = self.machine.state().leaving.is_empty();
            self.cluster.control();
            self.end_pods();
            self.now += GRACE;
            self.happen(&Event::Round);
            let state = self.machine.state();
            let quiet = before.0 == self.cluster.version && before.1 == state.disk.changes();
            if quiet && !self.agent.is_waiting() && is_still {
                return;
            }
            if round > ROUNDS {
                self.witness.problems.push("it never comes to rest".to_owned());
                return;
            }
        }
    }

    /// Everything that must be true once the agent has nothing more to do.
    pub(crate) fn problems(&mut self) -> Vec<String> {
        let mut problems = std::mem::take(&mut self.witness.problems);
        let mut state = self.machine.state();
        let trespasses = std::mem::take(&mut state.trespasses);
        problems.extend(trespasses.into_iter().map(|what| format!("trespass: {what}")));
        problems.extend(self.claims_without_their_data(&state));
        problems.extend(self.trash_that_is_lost(&state));
        problems.extend(self.data_that_is_nowhere(&state));
        problems.extend(self.objects_that_should_be_gone());
        problems.extend(groups::problems(&state.disk));
        problems.extend(POOLS.iter().flat_map(|(_, path)| self.leaks(&state, Path::new(path))));
        if state.has_projects {
            problems.extend(projects::problems(&state.disk, state.places[Path::new(POOLS[0].1)]));
        }
        let kept = self.kept.iter().filter_map(|id| {
            let volumes: Vec<_> = POOLS.iter().map(|(_, path)| own(&state, path, id)).collect();
            let there =
                volumes.iter().any(|data| data.is_some_and(|data| self.is_own(&state, id, data)));
            (!there).then(|| format!("{id} was to be kept, and is not there"))
        });
        problems.extend(kept);
        problems
    }

    fn claims_without_their_data(&self, state: &State) -> Vec<String> {
        let mut problems = Vec::new();
        for (id, claim) in &self.cluster.claims {
            let class = claim.class_name().unwrap_or_default();
            let pool = CLASSES.iter().find(|(name, ..)| *name == class).map(|(_, pool, _)| *pool);
            let path = format!("/{}", pool.unwrap_or_default());
            let (uid, of) = (Some(id.as_str()), id);
            let id = &wished(claim).unwrap_or_else(|| id.clone());
            let owner =
                |volume: &&Volume| volume.claim.as_ref().and_then(|c| c.uid.as_deref()) == uid;
            let volume = self.cluster.volumes.get(id).filter(owner);
            let Some(volume) = volume.filter(|volume| volume.phase == Phase::Bound) else {
                let refused = claim.wish.is_some() && !self.could_be_given(state, claim, id);
                problems.extend((!refused).then(|| format!("{id} has no volume")));
                continue;
            };
            let named = layout::data_path(Path::new(&path), id);
            if volume.path.as_deref().map(Path::new) != Some(named.as_path()) {
                problems.push(format!("{id} is at {:?}", volume.path));
            }
            match own(state, &path, id) {
                None => problems.push(format!("{id} is Bound, and its data is not there")),
                Some(data) if !self.is_own(state, id, data) => {
                    problems.push(format!("{id} has not the data that its tenant has synced"));
                }
                Some(data) => problems.extend(self.wrong_size((of, claim), volume, (state, data))),
            }
            if let Err(problem) = state.durable_volume(Path::new(&path), id, 0o777) {
                problems.push(format!("{id} is Bound, and on the disk {problem}"));
            }
        }
        problems
    }

    fn wrong_size(
        &self,
        claim: (&VolumeId, &Claim),
        volume: &Volume,
        (state, data): (&State, Ino),
    ) -> Option<String> {
        let record = identity(state, state.disk.parent(data))?;
        growth::problem(claim, (&self.cluster, volume), (state, data, &record))
    }

    /// Whether nothing speaks against giving the volume to the claim that wishes it.
    fn could_be_given(&self, state: &State, claim: &Claim, id: &VolumeId) -> bool {
        let Cluster { claims, volumes, .. } = &self.cluster;
        let (near, far) = (POOLS[0].1, POOLS[1].1);
        if claims.contains_key(id) || own(state, far, id).is_some() {
            return false;
        }
        let released = |volume: &Volume| volume.phase == Phase::Released && !volume.deleting;
        match (&claim.wish, volumes.get(id)) {
            (Some(Ok(Wish::Undelete(_))), None) => {
                in_trash(state, near, id).is_some() || own(state, near, id).is_some()
            }
            (Some(Ok(Wish::Adopt(_))), None) => own(state, near, id).is_some(),
            (Some(Ok(Wish::Adopt(_))), Some(volume)) => {
                volume.policy == Policy::Keep && released(volume) && own(state, near, id).is_some()
            }
            _ => false,
        }
    }

    /// What can be had back is there, and is whole.
    fn trash_that_is_lost(&self, state: &State) -> Vec<String> {
        let near = POOLS[0].1;
        let lost = self.proofs.intersection(&self.bins).filter(|id| {
            let data = own(state, near, id).or_else(|| in_trash(state, near, id));
            !data.is_some_and(|data| self.is_own(state, id, data))
        });
        let lost = lost.map(|id| format!("{id} could be had back, and is lost"));
        let half = (0..=u8::MAX).map(id).filter(|id| {
            let dir = in_trash_at_all(state, near, id);
            let data = in_trash(state, near, id);
            dir.is_some() && !data.is_some_and(|data| self.is_own(state, id, data))
        });
        lost.chain(half.map(|id| format!("{id} is half in the trash"))).collect()
    }

    /// Data of another provisioner is in its old place or in its new one, also when the claim has gone.
    fn data_that_is_nowhere(&self, state: &State) -> Vec<String> {
        let Some(left) = state.places.get(Path::new(LEFT)) else { return Vec::new() };
        if state.disk.find(*left, OsStr::new("old")).is_some() {
            return Vec::new();
        }
        let near = POOLS[0].1;
        let there =
            |id: &&VolumeId| own(state, near, id).is_some_and(|d| self.is_own(state, id, d));
        if self.proofs.iter().any(|id| there(&id)) {
            return Vec::new();
        }
        vec!["the data of another provisioner is nowhere".to_owned()]
    }

    fn objects_that_should_be_gone(&self) -> Vec<String> {
        let lingers = |id: &VolumeId| {
            let volume = &self.cluster.volumes[id];
            let of = volume.claim.as_ref().and_then(|claim| claim.uid.as_deref());
            let of = of.and_then(|uid| VolumeId::parse(uid).ok());
            let orphan = !of.is_some_and(|of| self.cluster.claims.contains_key(&of));
            orphan && (volume.deleting || volume.policy == Policy::Delete)
        };
        let ids = self.cluster.volumes.keys().filter(|id| lingers(id));
        ids.map(|id| format!("the object of {id} lingers")).collect()
    }

    fn leaks(&self, state: &State, pool: &Path) -> Vec<String> {
        let mut problems = Vec::new();
        let root = state.places[pool];
        for (name, ino) in entries(state, root) {
            let name = name.to_str().unwrap_or("?");
            match (name, VolumeId::parse(name)) {
                (layout::STAGING | layout::TRASH | layout::GROUPS, _) => {
                    let kept = |inner| name == layout::TRASH && can_be_had_back(state, inner);
                    let inner = entries(state, *ino).filter(|(inner, _)| !kept(inner));
                    problems.extend(inner.map(|(inner, _)| format!("{name} has {inner:?} in it")));
                }
                (".fastrak-pool" | "of-an-administrator" | "left", _) => {}
                (_, Ok(id)) if self.has_owner(state, &id, *ino) => {}
                (_, _) => problems.push(format!("{name} is left in {}", pool.display())),
            }
        }
        problems
    }

    /// A claim, an object, an administrator who let it outlive both; or a record on the disk that says
    /// that it is never taken away, and that is all that is left to ask.
    fn has_owner(&self, state: &State, id: &VolumeId, dir: Ino) -> bool {
        let owned = self.cluster.claims.contains_key(id)
            || self.cluster.volumes.contains_key(id)
            || self.kept.contains(id);
        owned
            || (!self.witness.let_go.contains(id)
                && record(state, dir) == Some(ReclaimRecord::Retain))
    }

    /// Whether what is in the data is the tenant's of this volume, and nobody else's.
    fn is_own(&self, state: &State, id: &VolumeId, data: Ino) -> bool {
        match state.disk.find(data, OsStr::new(PROOF)).map(|proof| &state.disk.see(proof).node) {
            Some(Node::File(content)) => content == id.as_str().as_bytes(),
            Some(_) => false,
            None => !self.proofs.contains(id) && entries(state, data).next().is_none(),
        }
    }

    fn witness_trash(&mut self) {
        let Witness { let_go, problems } = &mut self.witness;
        let state = self.machine.state();
        let trash = |root: &Ino| state.disk.find(*root, OsStr::new(layout::TRASH));
        for trash in state.places.values().filter_map(trash) {
            let names = entries(&state, trash).map(|(name, _)| name.to_string_lossy());
            let held = names.filter(|name| !let_go.iter().any(|id| name.starts_with(id.as_str())));
            problems.extend(held.map(|name| format!("{name} is in the trash, and was not let go")));
        }
    }

    /// What an administrator has let outlive its object is to be there for ever.
    fn witness_keeping(&mut self, before: &BTreeMap<VolumeId, Volume>) {
        let Cluster { claims, volumes, .. } = &self.cluster;
        let gone = before.iter().filter(|(id, _)| !volumes.contains_key(id));
        let kept =
            gone.filter(|(id, volume)| volume.policy == Policy::Keep && !claims.contains_key(id));
        self.kept.extend(kept.map(|(id, _)| id.clone()));
    }

    fn tend(&mut self, id: &VolumeId) {
        let with = (&mut self.cluster, &mut self.witness, self.now);
        drop(self.agent.tend(id, with));
    }

    fn scan(&mut self) {
        for id in self.agent.scan() {
            self.tend(&id);
        }
    }

    fn round(&mut self) {
        self.agent.see(&self.cluster);
        self.agent.look();
        for id in self.agent.known() {
            self.tend(&id);
        }
        self.scan();
        self.agent.empty_trash(self.now);
    }

    fn restart(&mut self) {
        self.agent = Agent::start(&self.machine, &self.cluster);
    }

    fn cut(&mut self, cut: Cut) {
        let mut state = self.machine.state();
        state.disk.cut(cut);
        state.mounted.clear();
        state.leaving.clear();
        drop(state);
        self.restart();
    }

    fn wish(&mut self, n: u8, class: &str, wish: Wish) {
        self.cluster.create_claim(&id(n), class, Some(wish));
    }

    fn import(&mut self, n: u8) {
        let (id, mut state) = (id(n), self.machine.state());
        let root = state.places[Path::new(POOLS[0].1)];
        let folder = || Node::Directory(BTreeMap::new());
        let left = state.disk.make(root, OsStr::new("left"), folder(), 0o755);
        let data = state.disk.make(left, OsStr::new("old"), folder(), 0o777);
        let content = Node::File(id.to_string().into_bytes());
        state.disk.make(data, OsStr::new(PROOF), content, 0o644);
        state.places.insert(PathBuf::from(LEFT), left);
        drop(state);
        self.proofs.insert(id);
        self.wish(n, "near", Wish::Import("old".to_owned()));
    }

    fn let_go(&mut self, id: &VolumeId) {
        // A kept volume that was adopted is an administrator's to let go.
        if self.cluster.volumes.contains_key(id) {
            self.kept.remove(id);
        }
        self.cluster.set_policy(id, Policy::Delete);
    }

    fn give_way(&mut self) {
        let state = self.machine.state();
        self.bins.retain(|id| in_trash_at_all(&state, POOLS[0].1, id).is_none());
        drop(state);
        self.agent.give_way(seconds(self.now));
    }

    /// The volume that a claim is bound to; its own where it is to none.
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

    /// The data that a kubelet would mount for a claim: what the object of its volume names.
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

    /// A pod whose claim is gone ends, sooner or later.
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

    fn consent(&mut self) {
        let mut state = self.machine.state();
        let root = state.places[Path::new(POOLS[0].1)];
        for name in [".fastrak-pool", "of-an-administrator"] {
            state.disk.make(root, OsStr::new(name), Node::File(Vec::new()), 0o600);
        }
    }

    fn half_make(&mut self, id: &VolumeId, pool: &str) {
        let mut state = self.machine.state();
        let root = state.places[Path::new(pool)];
        // It had begun the pool before it left anything in it.
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

/// The data of a volume, in the pool at this path.
fn own(state: &State, pool: &str, id: &VolumeId) -> Option<Ino> {
    let root = *state.places.get(Path::new(pool))?;
    let dir = state.disk.find(root, OsStr::new(id.as_str()))?;
    record(state, dir)?;
    state.disk.find(dir, OsStr::new(layout::DATA))
}

/// What stands in the trash of that pool under the volume's own name.
fn in_trash_at_all(state: &State, pool: &str, id: &VolumeId) -> Option<Ino> {
    let root = *state.places.get(Path::new(pool))?;
    let trash = state.disk.find(root, OsStr::new(layout::TRASH))?;
    state.disk.find(trash, OsStr::new(id.as_str()))
}

/// The data of a volume that can be had back.
fn in_trash(state: &State, pool: &str, id: &VolumeId) -> Option<Ino> {
    let dir = in_trash_at_all(state, pool, id)?;
    identity(state, dir)?.trash_seconds?;
    state.disk.find(dir, OsStr::new(layout::DATA))
}

fn can_be_had_back(state: &State, name: &OsStr) -> bool {
    layout::restorable(name).is_some_and(|id| in_trash(state, POOLS[0].1, &id).is_some())
}

/// The volume that a claim wants in place of a new one.
fn wished(claim: &Claim) -> Option<VolumeId> {
    match &claim.wish {
        Some(Ok(Wish::Undelete(id) | Wish::Adopt(id))) => Some(id.clone()),
        _ => None,
    }
}

fn record(state: &State, dir: Ino) -> Option<ReclaimRecord> {
    identity(state, dir).map(|identity| identity.reclaim_policy)
}

fn identity(state: &State, dir: Ino) -> Option<Identity> {
    let record = state.disk.find(dir, OsStr::new(layout::IDENTITY))?;
    let Node::File(content) = &state.disk.see(record).node else { return None };
    serde_json::from_slice::<Identity>(content).ok()
}

fn entries(state: &State, dir: Ino) -> impl Iterator<Item = (&std::ffi::OsString, &Ino)> {
    state.disk.see(dir).node.entries().into_iter().flatten()
}
