//! A simulated kernel below the agent's own code, with a disk that loses unsynced changes and calls
//! that fail on request.
//!
//! It records every change that the agent may not make. It does not know the cluster.

mod bounds;
mod handle;
mod locks;

use self::bounds::may_change;
use self::handle::SimulatedFile;
use self::locks::Locks;
use crate::disk::{Disk, Ino, Node, ROOT};
use crate::faults::{Call, Fault, Verb, fails_with};
use crate::projects;
use fastrak_api::volume::{Identity, VolumeId};
use fastrak_store::host::Kind;
use fastrak_store::host::calls::{Handle, Machine, MountWatch, OnConflict, OpenMode, Statfs};
use fastrak_store::host::quota::{Limits, QuotaUnavailable, Support};
use fastrak_store::pools::marker::Marker;
use fastrak_store::volumes::layout;
use rustix::io::Errno;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

/// The attribute that holds the limit of a subvolume in the simulation.
pub(crate) const LIMIT: &str = "limit";

/// The pool whose disk has quotas.
const FAR: &str = "far";

/// The maximum number of calls, more than any operation makes.
const ENOUGH: usize = 100_000;

/// The machine. Clones are the same machine.
#[derive(Clone, Debug)]
pub(crate) struct FaultyMachine {
    state: Arc<Mutex<State>>,
}

/// The state of the machine.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) disk: Disk,
    /// The directories of the pools, by path.
    pub(crate) places: BTreeMap<PathBuf, Ino>,
    /// The mounted volumes, by the names of their objects.
    pub(crate) mounted: Vec<String>,
    /// The calls since the last [`State::watch`].
    pub(crate) calls: Vec<Call>,
    /// The changes that the agent may not make.
    pub(crate) violations: Vec<String>,
    /// The volumes that were trashed and published, in this order.
    pub(crate) moved: Vec<Moved>,
    /// Whether the disk of the first pool has project quotas.
    pub(crate) has_projects: bool,
    /// The renames that the disk of the first pool supports.
    pub(crate) renames: Renames,
    /// The subvolumes that the kernel still frees.
    pub(crate) leaving: BTreeSet<Ino>,
    locks: Locks,
    plan: Option<(usize, Fault)>,
    struck: bool,
    dead: bool,
    uuids: u64,
    // The empty directory below each mount point, and the directory that is mounted on it.
    below: BTreeMap<PathBuf, (Ino, Ino)>,
}

/// The renames that a disk supports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Renames {
    /// All.
    All,
    /// Only those that may replace, as on NFS.
    Replacing,
}

/// A change of a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Moved {
    /// Its data was moved into the trash.
    Trashed(VolumeId),
    /// It was published.
    Given(VolumeId),
}

/// The effect of a call.
enum Pass {
    /// It succeeds.
    Well,
    /// It does half of its work and fails.
    Half(Errno),
    /// It succeeds after a concurrent change.
    Late,
    /// It does all of its work and returns this error.
    ThenFail(Errno),
}

impl FaultyMachine {
    /// Creates a machine with these directories, each on its own disk, and a directory that the
    /// agent may not change.
    pub(crate) fn new(places: &[&str]) -> Self {
        let mut disk = Disk::new();
        let mut found = BTreeMap::new();
        let outside =
            disk.make(ROOT, OsStr::new("outside"), Node::Directory(BTreeMap::new()), 0o755);
        disk.make(outside, OsStr::new("precious"), Node::File(b"keep".to_vec()), 0o600);
        let mut below = BTreeMap::new();
        for place in places {
            let mut make = |name: &str| {
                disk.make(ROOT, OsStr::new(name), Node::Directory(BTreeMap::new()), 0o755)
            };
            let name = place.trim_start_matches('/');
            let (bare, mounted) = (make(&format!("below-{name}")), make(name));
            found.insert(PathBuf::from(place), mounted);
            below.insert(PathBuf::from(place), (bare, mounted));
        }
        disk.settle();
        let state = State {
            disk,
            places: found,
            mounted: Vec::new(),
            calls: Vec::new(),
            violations: Vec::new(),
            moved: Vec::new(),
            has_projects: false,
            renames: Renames::All,
            leaving: BTreeSet::new(),
            locks: Locks::default(),
            plan: None,
            struck: false,
            dead: false,
            uuids: 0,
            below,
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Returns the state, for tenants, administrators and checks.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test thread panics with it")
    }

    /// Makes a call of the API server. `act` carries it out; its argument says whether another
    /// client changes all objects before.
    pub(crate) fn ask<T>(&self, verb: Verb, act: impl FnOnce(bool) -> T) -> Result<T, Errno> {
        let pass = self.state().enter(Call::Api(verb))?;
        let answer = act(matches!(pass, Pass::Late));
        match pass {
            Pass::Well | Pass::Late => Ok(answer),
            Pass::Half(errno) | Pass::ThenFail(errno) => Err(errno),
        }
    }

    fn handle(&self, ino: Ino) -> Box<dyn Handle> {
        Box::new(SimulatedFile::new(self.clone(), ino))
    }
}

impl State {
    /// Restarts the count of calls, and injects the fault at the call with this number, from 0, or
    /// at the first later one at which it can occur.
    pub(crate) fn watch(&mut self, plan: Option<(usize, Fault)>) {
        self.calls.clear();
        self.plan = plan;
        self.struck = false;
    }

    /// Returns whether the planned fault has occurred.
    pub(crate) fn has_struck(&self) -> bool {
        self.struck
    }

    /// Returns whether the agent's process has exited.
    pub(crate) fn is_dead(&self) -> bool {
        self.dead
    }

    /// Mounts a disk on its directory, or unmounts it. The agent may not change the directory
    /// below.
    pub(crate) fn mount(&mut self, path: &Path, mounted: bool) {
        let (bare, disk) = self.below[path];
        self.places.insert(path.to_owned(), if mounted { disk } else { bare });
    }

    /// Returns whether the disk is mounted there.
    pub(crate) fn is_mounted(&self, path: &Path) -> bool {
        self.below.get(path).is_none_or(|(_, disk)| self.places[path] == *disk)
    }

    /// Closes the files of the agent's process after its end.
    pub(crate) fn end_process(&mut self) {
        self.locks.end();
    }

    /// Removes the cause of a lasting fault. A new process may start.
    pub(crate) fn heal(&mut self) {
        self.plan = None;
        self.dead = false;
    }

    /// Returns what would be wrong with a volume after a power cut right now, if no unsynced change
    /// survived.
    pub(crate) fn durable_volume(
        &self,
        pool: &Path,
        id: &VolumeId,
        mode: u32,
    ) -> Result<(), String> {
        let tree = self.disk.worst();
        let entry = |dir: Ino, name: &str| {
            let entries = tree[dir].node.entries();
            let found = entries.and_then(|entries| entries.get(OsStr::new(name))).copied();
            found.ok_or_else(|| format!("there is no {name}"))
        };
        let pool = *self.places.get(pool).ok_or("there is no pool")?;
        let Node::File(marker) = &tree[entry(pool, ".fastrak-pool")?].node else {
            return Err("the marker is no file".to_owned());
        };
        serde_json::from_slice::<Marker>(marker).map_err(|error| format!("marker: {error}"))?;
        let volume = entry(pool, id.as_str())?;
        let data = entry(volume, layout::DATA)?;
        if tree[data].mode != mode || tree[volume].mode != 0o700 {
            return Err("the modes are wrong".to_owned());
        }
        let Node::File(record) = &tree[entry(volume, layout::IDENTITY)?].node else {
            return Err("the record is no file".to_owned());
        };
        match serde_json::from_slice::<Identity>(record) {
            Ok(identity) if identity.volume == *id => Ok(()),
            other => Err(format!("the record is {other:?}")),
        }
    }

    /// Counts a call. Returns its effect.
    fn enter(&mut self, call: Call) -> Result<Pass, Errno> {
        if self.dead {
            return Err(Errno::IO);
        }
        let at = self.calls.len();
        assert!(at < ENOUGH, "the agent calls {call:?} for ever");
        self.calls.push(call);
        let Some((planned, fault)) = self.plan else { return Ok(Pass::Well) };
        match fault {
            Fault::Lasting(errno) if at >= planned && fails_with(call, errno) => {
                self.struck = true;
                Self::fail(call, errno)
            }
            _ if at < planned || self.struck || !fault.fits(call) => Ok(Pass::Well),
            _ => {
                self.struck = true;
                self.inject(call, fault)
            }
        }
    }

    fn inject(&mut self, call: Call, fault: Fault) -> Result<Pass, Errno> {
        match fault {
            Fault::Once(errno) | Fault::Lasting(errno) => Self::fail(call, errno),
            Fault::Late(errno) => Ok(Pass::ThenFail(errno)),
            Fault::Meddled => Ok(Pass::Late),
            Fault::KillBefore | Fault::CutBefore(_) => {
                self.dead = true;
                Err(Errno::IO)
            }
            // The process dies after the call: nobody gets its result.
            Fault::KillAfter | Fault::CutAfter(_) => {
                self.dead = true;
                Ok(Pass::ThenFail(Errno::IO))
            }
        }
    }

    fn fail(call: Call, errno: Errno) -> Result<Pass, Errno> {
        match call {
            Call::Write if errno != Errno::INTR => Ok(Pass::Half(errno)),
            // A failed sync may drop its data.
            Call::Sync if errno != Errno::INTR => Ok(Pass::Half(errno)),
            _ => Err(errno),
        }
    }

    fn statfs(&self) -> Statfs {
        const ALL: u64 = 1 << 40;
        let read_only = self.is_read_only();
        Statfs { kind: 0, read_only, total: ALL, free: ALL, inodes: 0, free_inodes: 0 }
    }

    /// Returns the quotas of a disk: the second pool has subvolumes; the first may have projects.
    fn support(&self, ino: Ino) -> Support {
        let path = self.disk.path(ino);
        let is_in = |name: &str| path.first().is_some_and(|place| place == name);
        match (is_in(FAR), is_in(projects::NEAR) && self.has_projects) {
            (true, _) => Support::Subvolumes { nested: true },
            (false, true) => Support::Projects,
            (false, false) => Support::None(QuotaUnavailable::Unsupported),
        }
    }

    /// Removes an empty directory. If it is a subvolume, the kernel frees it later.
    fn remove_directory(&mut self, dir: Ino, name: &OsStr) {
        let removed = self.disk.find(dir, name).filter(|ino| self.disk.is_subvolume(*ino));
        self.leaving.extend(removed);
        self.disk.remove(dir, name);
    }

    fn limit_project(&mut self, ino: Ino, number: u32, limits: Limits) {
        if !projects::limit(&mut self.disk, ino, number, limits) {
            self.violations.push(format!("limit project {number}"));
        }
    }

    /// Returns whether the filesystem has become read-only.
    fn is_read_only(&self) -> bool {
        matches!(self.plan, Some((at, Fault::Lasting(Errno::ROFS))) if self.calls.len() > at)
    }

    fn kind(&self, ino: Ino) -> Kind {
        match self.disk.see(ino).node {
            Node::Directory(_) => Kind::Directory,
            Node::File(_) => Kind::File,
            Node::Symlink => Kind::Symlink,
        }
    }

    /// Returns the file `name` in `dir`.
    fn look_up(&self, dir: Ino, name: &OsStr) -> Result<Ino, Errno> {
        let Node::Directory(entries) = &self.disk.see(dir).node else { return Err(Errno::NOTDIR) };
        entries.get(name).copied().ok_or(Errno::NOENT)
    }

    fn open(&self, dir: Ino, name: &OsStr, how: OpenMode) -> Result<Ino, Errno> {
        let ino = self.look_up(dir, name)?;
        match (how, self.kind(ino)) {
            (_, Kind::Symlink) => Err(Errno::LOOP),
            (OpenMode::Directory | OpenMode::SameMount, Kind::File | Kind::Other) => {
                Err(Errno::NOTDIR)
            }
            _ => Ok(ino),
        }
    }

    fn create(&mut self, dir: Ino, name: &OsStr) -> Result<Ino, Errno> {
        if self.look_up(dir, name).is_ok() {
            return Err(Errno::EXIST);
        }
        self.guard("create", dir, Some(name));
        Ok(self.disk.make(dir, name, Node::File(Vec::new()), 0o600))
    }

    /// Records that a volume was moved into the trash.
    fn record_move(&mut self, dir: Ino, target: Ino, new: &OsStr) {
        let (from, to) = (self.disk.path(dir), self.disk.path(target));
        if from.len() == 1 && to.len() == 2 && to[1] == layout::TRASH {
            let id = new.to_str().and_then(|name| VolumeId::parse(name.get(..36)?).ok());
            self.moved.extend(id.map(Moved::Trashed));
        }
    }

    /// Checks that the filesystem of `dir` supports this rename. The kernel checks it last.
    fn check_rename_support(&self, dir: Ino, there: OnConflict) -> Result<(), Errno> {
        let is_near = self.disk.path(dir).first().is_some_and(|place| place == projects::NEAR);
        let refused = self.renames == Renames::Replacing && is_near && there == OnConflict::Fail;
        if refused { Err(Errno::INVAL) } else { Ok(()) }
    }

    /// Checks that the new name of a rename may exist, and removes an empty directory there.
    fn replace(&self, dir: Ino, name: &OsStr, there: OnConflict) -> Result<(), Errno> {
        let Ok(taken) = self.look_up(dir, name) else { return Ok(()) };
        let full = self.disk.see(taken).node.entries().is_some_and(|inner| !inner.is_empty());
        match there {
            OnConflict::Fail => Err(Errno::EXIST),
            OnConflict::Replace if full => Err(Errno::NOTEMPTY),
            OnConflict::Replace => Ok(()),
        }
    }

    /// Records a change of `name` in `dir`, or of `dir` itself, that the agent may not make.
    fn guard(&mut self, verb: &str, dir: Ino, name: Option<&OsStr>) {
        let mut path = self.disk.path(dir);
        path.extend(name.map(OsStr::to_owned));
        let volume = path.get(1).and_then(|name| name.to_str()).unwrap_or_default();
        let in_use =
            self.mounted.iter().any(|mounted| mounted.strip_prefix("pvc-") == Some(volume));
        // The record of a mounted volume may be written; the volume may not be moved.
        let moves = verb == "rename" && path.len() == 2 && in_use;
        if moves || !may_change(verb, &path, &self.places) {
            let path: PathBuf = path.iter().collect();
            self.violations.push(format!("{verb} /{}", path.display()));
        }
    }
}

impl Machine for FaultyMachine {
    fn open(&self, path: &Path) -> Result<Box<dyn Handle>, Errno> {
        let mut state = self.state();
        state.enter(Call::Open)?;
        let ino = *state.places.get(path).ok_or(Errno::NOENT)?;
        drop(state);
        Ok(self.handle(ino))
    }

    fn kind_at(&self, path: &Path) -> Result<Kind, Errno> {
        let mut state = self.state();
        state.enter(Call::Examine)?;
        let ino = *state.places.get(path).ok_or(Errno::NOENT)?;
        Ok(state.kind(ino))
    }

    fn mounts(&self) -> Result<Vec<u8>, Errno> {
        let mut state = self.state();
        state.enter(Call::Mounts)?;
        let mut text = String::from("21 1 8:1 / / rw - ext4 /dev/a rw\n");
        for (at, name) in state.mounted.iter().enumerate() {
            let point = format!("/var/lib/kubelet/pods/{at}/volumes/kubernetes.io~local-volume");
            text.push_str(&format!("{at} 21 8:1 /any {point}/{name} rw - ext4 /dev/a rw\n"));
        }
        Ok(text.into_bytes())
    }

    /// Never called: [`crate::agent::Agent::see_mounts`] replaces the wait.
    fn watch_mounts(&self) -> Result<Box<dyn MountWatch>, Errno> {
        Err(Errno::NOSYS)
    }

    fn random_uuid(&self) -> Result<String, Errno> {
        let mut state = self.state();
        state.enter(Call::Random)?;
        state.uuids += 1;
        Ok(format!("00000000-0000-4000-8000-{:012}\n", state.uuids))
    }
}
