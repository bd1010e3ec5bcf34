//! A machine whose disk forgets and whose calls go wrong when they are told to, in the place of the
//! kernel below the agent's own code.
//!
//! It knows what of a disk the agent may touch, and notes every change of anything else. It does not
//! know the cluster.

use crate::disk::{Disk, Ino, Node, ROOT};
use crate::faults::{Call, Fault, fails_with};
use crate::{groups, projects};
use fastrak_agent::host::Kind;
use fastrak_agent::host::calls::{Device, Extent, Handle, How, Machine, Room, There};
use fastrak_agent::host::quota::{Group, Lack, Subvolume, Support, Usage};
use fastrak_agent::pools::marker::Marker;
use fastrak_agent::volumes::layout;
use fastrak_api::volume::{Identity, VolumeId};
use rustix::fs::IFlags;
use rustix::io::Errno;
use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

/// Where a limit is noted in the simulation: a subvolume has it as a file has an attribute.
pub(crate) const LIMIT: &str = "limit";

/// The place whose disk can limit.
const FAR: &str = "far";

/// More calls than anything takes.
const ENOUGH: usize = 100_000;

/// As many names as a reading of a directory gives at once.
const A_FEW: usize = 3;

/// The machine. Copies are the same machine.
#[derive(Clone, Debug)]
pub(crate) struct FaultyMachine {
    state: Arc<Mutex<State>>,
}

/// What the machine is at a moment.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) disk: Disk,
    /// The directories at which pools are, by their paths.
    pub(crate) places: BTreeMap<PathBuf, Ino>,
    /// The volumes that something has mounted, by the names of their objects.
    pub(crate) mounted: Vec<String>,
    /// The calls that were made since the last [`State::watch`].
    pub(crate) calls: Vec<Call>,
    /// What was changed that the agent has no business with.
    pub(crate) trespasses: Vec<String>,
    /// Whether the disk of the first pool holds projects to limits.
    pub(crate) has_projects: bool,
    /// Subvolumes that the kernel is still taking away.
    pub(crate) leaving: BTreeSet<Ino>,
    plan: Option<(usize, Fault)>,
    struck: bool,
    dead: bool,
    uuids: u64,
    // The empty directory below each place, and what is mounted on it.
    below: BTreeMap<PathBuf, (Ino, Ino)>,
}

/// How a call goes on that was let through.
enum Pass {
    /// As it should.
    Well,
    /// It does half of what it can, and fails.
    Half(Errno),
    /// It does all, and this is said.
    ThenFail(Errno),
}

#[derive(Debug)]
struct SimulatedFile {
    machine: FaultyMachine,
    ino: Ino,
    offset: AtomicUsize,
    // The name at which the reading of a directory has arrived.
    last: Mutex<Option<OsString>>,
}

impl FaultyMachine {
    /// A machine with these directories, each on a disk of its own, and a directory beside them that
    /// nobody may touch.
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
            trespasses: Vec::new(),
            has_projects: false,
            leaving: BTreeSet::new(),
            plan: None,
            struck: false,
            dead: false,
            uuids: 0,
            below,
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// The state, for what is not the agent: tenants, administrators, and whoever checks.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test thread panics with it")
    }

    /// One call of the API server: `act` is what it does there.
    pub(crate) fn ask<T>(&self, act: impl FnOnce() -> T) -> Result<T, Errno> {
        let pass = self.state().enter(Call::Api)?;
        let answer = act();
        match pass {
            Pass::Well => Ok(answer),
            Pass::Half(errno) | Pass::ThenFail(errno) => Err(errno),
        }
    }

    fn handle(&self, ino: Ino) -> Box<dyn Handle> {
        Box::new(SimulatedFile {
            machine: self.clone(),
            ino,
            offset: AtomicUsize::new(0),
            last: Mutex::default(),
        })
    }
}

impl State {
    /// Counts calls anew, and lets the one of this number, from 0, go wrong, or the first after it that
    /// can.
    pub(crate) fn watch(&mut self, plan: Option<(usize, Fault)>) {
        self.calls.clear();
        self.plan = plan;
        self.struck = false;
    }

    /// Whether the planned fault has come.
    pub(crate) fn has_struck(&self) -> bool {
        self.struck
    }

    /// Whether the agent's process is no more.
    pub(crate) fn is_dead(&self) -> bool {
        self.dead
    }

    /// Mounts a disk on its directory, or takes it off: what is there then nobody may touch.
    pub(crate) fn mount(&mut self, path: &Path, mounted: bool) {
        let (bare, disk) = self.below[path];
        self.places.insert(path.to_owned(), if mounted { disk } else { bare });
    }

    /// Whether the disk is mounted there.
    pub(crate) fn is_mounted(&self, path: &Path) -> bool {
        self.below.get(path).is_none_or(|(_, disk)| self.places[path] == *disk)
    }

    /// The cause of a lasting fault is removed, and a new process may be started.
    pub(crate) fn heal(&mut self) {
        self.plan = None;
        self.dead = false;
    }

    /// Whether a volume would be there, whole, if the power failed now and nothing outlived it that
    /// was not synced; if not, what would be.
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

    /// Counts a call; how it is to go on.
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
                self.strike(call, fault)
            }
        }
    }

    fn strike(&mut self, call: Call, fault: Fault) -> Result<Pass, Errno> {
        match fault {
            Fault::Once(errno) | Fault::Lasting(errno) => Self::fail(call, errno),
            Fault::Late(errno) => Ok(Pass::ThenFail(errno)),
            Fault::KillBefore | Fault::CutBefore(_) => {
                self.dead = true;
                Err(Errno::IO)
            }
            // Dead as soon as the call is done: its answer reaches nobody.
            Fault::KillAfter | Fault::CutAfter(_) => {
                self.dead = true;
                Ok(Pass::ThenFail(Errno::IO))
            }
        }
    }

    fn fail(call: Call, errno: Errno) -> Result<Pass, Errno> {
        match call {
            Call::Write if errno != Errno::INTR => Ok(Pass::Half(errno)),
            // A sync that fails has its own way of failing.
            Call::Sync if errno != Errno::INTR => Ok(Pass::Half(errno)),
            _ => Err(errno),
        }
    }

    /// Whether the filesystem has become read-only.
    fn room(&self) -> Room {
        const ALL: u64 = 1 << 40;
        let read_only = self.is_read_only();
        Room { kind: 0, read_only, total: ALL, free: ALL, inodes: 0, free_inodes: 0 }
    }

    /// The disk of the second pool holds subvolumes to their size; that of the first may have projects.
    fn support(&self, ino: Ino) -> Support {
        let path = self.disk.path(ino);
        let is_in = |name: &str| path.first().is_some_and(|place| place == name);
        match (is_in(FAR), is_in(projects::NEAR) && self.has_projects) {
            (true, _) => Support::Subvolumes,
            (false, true) => Support::Projects,
            (false, false) => Support::None(Lack::Filesystem),
        }
    }

    /// Removes an empty directory, which may be a subvolume: the kernel then has something left to do.
    fn remove_directory(&mut self, dir: Ino, name: &OsStr) {
        let removed = self.disk.find(dir, name).filter(|ino| self.disk.is_subvolume(*ino));
        self.leaving.extend(removed);
        self.disk.remove(dir, name);
    }

    fn limit_project(&mut self, ino: Ino, number: u32, most: u64) {
        if !projects::limit(&mut self.disk, ino, number, most) {
            self.trespasses.push(format!("limit project {number}"));
        }
    }

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

    /// What `name` in `dir` is.
    fn look_up(&self, dir: Ino, name: &OsStr) -> Result<Ino, Errno> {
        let Node::Directory(entries) = &self.disk.see(dir).node else { return Err(Errno::NOTDIR) };
        entries.get(name).copied().ok_or(Errno::NOENT)
    }

    fn open(&self, dir: Ino, name: &OsStr, how: How) -> Result<Ino, Errno> {
        let ino = self.look_up(dir, name)?;
        match (how, self.kind(ino)) {
            (_, Kind::Symlink) => Err(Errno::LOOP),
            (How::Directory | How::SameMount, Kind::File | Kind::Other) => Err(Errno::NOTDIR),
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

    /// Whether something may be renamed to `name`.
    fn make_way(&self, dir: Ino, name: &OsStr, there: There) -> Result<(), Errno> {
        let Ok(taken) = self.look_up(dir, name) else { return Ok(()) };
        let full = self.disk.see(taken).node.entries().is_some_and(|inner| !inner.is_empty());
        match there {
            There::Stays => Err(Errno::EXIST),
            There::IsReplaced if full => Err(Errno::NOTEMPTY),
            There::IsReplaced => Ok(()),
        }
    }

    /// Notes a change of `name` in `dir`, or of `dir` itself, that the agent must not make.
    fn guard(&mut self, verb: &str, dir: Ino, name: Option<&OsStr>) {
        let mut path = self.disk.path(dir);
        path.extend(name.map(OsStr::to_owned));
        let volume = path.get(1).and_then(|name| name.to_str()).unwrap_or_default();
        let in_use =
            self.mounted.iter().any(|mounted| mounted.strip_prefix("pvc-") == Some(volume));
        // Its record may be written while it is in use; it may not be moved.
        let moves = verb == "rename" && path.len() == 2 && in_use;
        if moves || !may_change(verb, &path, &self.places) {
            let path: PathBuf = path.iter().collect();
            self.trespasses.push(format!("{verb} /{}", path.display()));
        }
    }
}

/// What of a machine the agent may change, and how: the marker, the two folders of its own, the
/// record of a volume; and a volume as a whole, by a rename.
fn may_change(verb: &str, path: &[OsString], places: &BTreeMap<PathBuf, Ino>) -> bool {
    let Some((pool, rest)) = path.split_first() else { return false };
    if !places.contains_key(&Path::new("/").join(pool)) {
        return false;
    }
    let rest: Vec<_> = rest.iter().map(|name| name.to_str().unwrap_or("?")).collect();
    match rest.as_slice() {
        [] => verb == "permit",
        [layout::STAGING | layout::TRASH | layout::GROUPS] => matches!(verb, "make" | "permit"),
        [layout::GROUPS, _] => matches!(verb, "create" | "unlink"),
        [layout::STAGING, ..] => true,
        [layout::TRASH, _volume, "owner.json.new"] => true,
        [layout::TRASH, ..] => verb != "make" && verb != "create",
        [".fastrak-pool"] => verb == "rename",
        [".fastrak-pool.new"] => true,
        ["left", _] => verb == "rename",
        [_volume] => verb == "rename",
        // A limit is no change of what is in it.
        [_volume, layout::DATA] => verb == "limit",
        [_volume, "volume.json"] => verb == "rename",
        [_volume, "volume.json.new" | "owner.json.new"] => true,
        [_volume, "owner.json"] => verb == "rename",
        _ => false,
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

    fn random_uuid(&self) -> Result<String, Errno> {
        let mut state = self.state();
        state.enter(Call::Random)?;
        state.uuids += 1;
        Ok(format!("00000000-0000-4000-8000-{:012}\n", state.uuids))
    }
}

impl SimulatedFile {
    fn state(&self) -> MutexGuard<'_, State> {
        self.machine.state()
    }

    /// Counts a call, and does what it does unless it goes wrong.
    fn call<T>(
        &self,
        call: Call,
        act: impl FnOnce(&mut State) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        let mut state = self.state();
        let pass = state.enter(call)?;
        let answer = act(&mut state)?;
        match pass {
            Pass::Well => Ok(answer),
            Pass::Half(errno) | Pass::ThenFail(errno) => Err(errno),
        }
    }
}

impl Handle for SimulatedFile {
    fn open(&self, name: &OsStr, how: How) -> Result<Box<dyn Handle>, Errno> {
        let call = if how == How::New { Call::Create } else { Call::Open };
        let ino = self.call(call, |state| match how {
            How::New => state.create(self.ino, name),
            How::Directory | How::SameMount | How::Read => state.open(self.ino, name, how),
        })?;
        Ok(self.machine.handle(ino))
    }

    fn make(&self, name: &OsStr, mode: u32) -> Result<(), Errno> {
        self.call(Call::Make, |state| {
            if state.look_up(self.ino, name).is_ok() {
                return Err(Errno::EXIST);
            }
            state.guard("make", self.ino, Some(name));
            let made = state.disk.make(self.ino, name, Node::Directory(BTreeMap::new()), mode);
            if name == layout::GROUPS {
                state.disk.leave_to_transactions(made);
            }
            Ok(())
        })
    }

    fn permit(&self, mode: u32) -> Result<(), Errno> {
        self.call(Call::Permit, |state| {
            state.guard("permit", self.ino, None);
            state.disk.permit(self.ino, mode);
            Ok(())
        })
    }

    fn tag(&self, name: &str, value: &[u8]) -> Result<(), Errno> {
        self.call(Call::Tag, |state| {
            state.guard("tag", self.ino, None);
            state.disk.tag(self.ino, name, value);
            Ok(())
        })
    }

    fn flags(&self) -> Result<IFlags, Errno> {
        self.call(Call::Examine, |_| Ok(IFlags::empty()))
    }

    fn set_flags(&self, _: IFlags) -> Result<(), Errno> {
        self.call(Call::Permit, |state| {
            state.guard("permit", self.ino, None);
            Ok(())
        })
    }

    fn kind(&self) -> Result<Kind, Errno> {
        self.call(Call::Examine, |state| Ok(state.kind(self.ino)))
    }

    fn kind_of(&self, name: &OsStr) -> Result<Kind, Errno> {
        self.call(Call::Examine, |state| state.look_up(self.ino, name).map(|ino| state.kind(ino)))
    }

    fn extent(&self, name: &OsStr) -> Result<Extent, Errno> {
        self.call(Call::Examine, |state| {
            let kind = state.kind(state.look_up(self.ino, name)?);
            Ok(Extent { kind, bytes: 4096, links: 1 })
        })
    }

    fn names(&self, limit: usize) -> Result<Vec<OsString>, Errno> {
        self.call(Call::List, |state| {
            let entries = state.disk.see(self.ino).node.entries().ok_or(Errno::NOTDIR)?;
            Ok(entries.keys().take(limit).cloned().collect())
        })
    }

    fn more_names(&self) -> Result<Option<Vec<OsString>>, Errno> {
        self.call(Call::List, |state| {
            let entries = state.disk.see(self.ino).node.entries().ok_or(Errno::NOTDIR)?;
            let mut last = self.last.lock().expect("no test thread panics with it");
            let after = last.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
            let following = entries.range::<OsString, _>((after, Bound::Unbounded));
            let names: Vec<_> = following.take(A_FEW).map(|(name, _)| name.clone()).collect();
            *last = names.last().cloned().or(last.take());
            Ok(Some(names).filter(|names| !names.is_empty()))
        })
    }

    fn rewind(&self) -> Result<(), Errno> {
        self.call(Call::Examine, |_| {
            *self.last.lock().expect("no test thread panics with it") = None;
            Ok(())
        })
    }

    fn rename(
        &self,
        name: &OsStr,
        target: &dyn Handle,
        new: &OsStr,
        there: There,
    ) -> Result<(), Errno> {
        let target = (target as &dyn Any).downcast_ref::<Self>().ok_or(Errno::XDEV)?.ino;
        self.call(Call::Rename, |state| {
            state.look_up(self.ino, name)?;
            state.make_way(target, new, there)?;
            if state.disk.path(self.ino).first() != state.disk.path(target).first() {
                return Err(Errno::XDEV);
            }
            state.guard("rename", self.ino, Some(name));
            state.guard("rename", target, Some(new));
            state.disk.rename((self.ino, name), (target, new));
            Ok(())
        })
    }

    fn unlink(&self, name: &OsStr) -> Result<(), Errno> {
        self.call(Call::Remove, |state| {
            let ino = state.look_up(self.ino, name)?;
            if state.kind(ino) == Kind::Directory {
                return Err(Errno::ISDIR);
            }
            state.guard("unlink", self.ino, Some(name));
            state.disk.remove(self.ino, name);
            Ok(())
        })
    }

    fn remove_empty(&self, name: &OsStr) -> Result<(), Errno> {
        self.call(Call::Remove, |state| {
            let ino = state.look_up(self.ino, name)?;
            let entries = state.disk.see(ino).node.entries().ok_or(Errno::NOTDIR)?;
            if !entries.is_empty() {
                return Err(Errno::NOTEMPTY);
            }
            state.guard("rmdir", self.ino, Some(name));
            state.remove_directory(self.ino, name);
            Ok(())
        })
    }

    fn read(&self, buffer: &mut [u8]) -> Result<usize, Errno> {
        self.call(Call::Read, |state| {
            let Node::File(content) = &state.disk.see(self.ino).node else {
                return Err(Errno::ISDIR);
            };
            let at = self.offset.load(Ordering::Relaxed).min(content.len());
            let length = (content.len() - at).min(buffer.len());
            buffer[..length].copy_from_slice(&content[at..at + length]);
            self.offset.store(at + length, Ordering::Relaxed);
            Ok(length)
        })
    }

    fn write(&self, bytes: &[u8]) -> Result<usize, Errno> {
        let mut state = self.state();
        let pass = state.enter(Call::Write)?;
        let length = if matches!(pass, Pass::Half(_)) { bytes.len() / 2 } else { bytes.len() };
        let parent = state.disk.parent(self.ino);
        let name = state.disk.name(self.ino);
        state.guard("write", parent, Some(&name));
        let Node::File(content) = &state.disk.see(self.ino).node else { return Err(Errno::ISDIR) };
        let mut content = content.clone();
        content.extend_from_slice(&bytes[..length]);
        state.disk.write(self.ino, content);
        match pass {
            Pass::Well => Ok(length),
            Pass::Half(errno) | Pass::ThenFail(errno) => Err(errno),
        }
    }

    fn sync(&self) -> Result<(), Errno> {
        let mut state = self.state();
        match state.enter(Call::Sync)? {
            Pass::Well => {
                state.disk.sync(self.ino);
                Ok(())
            }
            Pass::Half(errno) => {
                state.disk.fail_sync(self.ino);
                Err(errno)
            }
            Pass::ThenFail(errno) => {
                state.disk.sync(self.ino);
                Err(errno)
            }
        }
    }

    fn device(&self, _: &str) -> Result<Device, Errno> {
        self.call(Call::Examine, |_| Ok(Device { number: (8, 1), mount_root: Some(false) }))
    }

    fn room(&self) -> Result<Room, Errno> {
        self.call(Call::Examine, |state| Ok(state.room()))
    }

    fn support(&self) -> Result<Support, Errno> {
        self.call(Call::Examine, |state| Ok(state.support(self.ino)))
    }

    fn make_subvolume(&self, name: &OsStr) -> Result<(), Errno> {
        self.call(Call::Make, |state| {
            if state.look_up(self.ino, name).is_ok() {
                return Err(Errno::EXIST);
            }
            state.guard("make", self.ino, Some(name));
            state.disk.make_subvolume(self.ino, name, 0o755);
            Ok(())
        })
    }

    fn remove_subvolume(&self, name: &OsStr) -> Result<(), Errno> {
        self.call(Call::Remove, |state| {
            let ino = state.look_up(self.ino, name)?;
            if state.support(self.ino) != Support::Subvolumes {
                return Err(Errno::NOTTY);
            }
            state.guard("remove", self.ino, Some(name));
            if !state.disk.is_subvolume(ino) {
                return Err(Errno::INVAL);
            }
            if state.disk.has_subvolumes_in(ino) {
                return Err(Errno::NOTEMPTY);
            }
            state.disk.empty(ino);
            state.remove_directory(self.ino, name);
            Ok(())
        })
    }

    fn join_project(&self, number: u32) -> Result<(), Errno> {
        self.call(Call::Limit, |state| {
            state.guard("join", self.ino, None);
            projects::join(&mut state.disk, self.ino, number);
            Ok(())
        })
    }

    fn project_from(&self, first: u32) -> Result<Option<u32>, Errno> {
        self.call(Call::Examine, |state| Ok(projects::next(&state.disk, self.ino, first)))
    }

    fn limit(&self, group: Group, most: u64) -> Result<(), Errno> {
        self.call(Call::Limit, |state| {
            if let Group::Project(number) = group {
                state.limit_project(self.ino, number, most);
                return Ok(());
            }
            state.guard("limit", self.ino, None);
            state.disk.tag(self.ino, LIMIT, &most.to_le_bytes());
            Ok(())
        })
    }

    fn usage(&self, group: Group) -> Result<Usage, Errno> {
        self.call(Call::Examine, |state| {
            if let Group::Project(number) = group {
                return Ok(projects::usage(&state.disk, self.ino, number));
            }
            let limit = state.disk.see(self.ino).tags.get(LIMIT);
            let limit = limit.map(|bytes| <[u8; 8]>::try_from(bytes.as_slice()).expect("8 bytes"));
            Ok(Usage { used: 0, inodes: None, limit: limit.map(u64::from_le_bytes) })
        })
    }

    fn is_subvolume(&self, name: &OsStr) -> Result<bool, Errno> {
        self.call(Call::Examine, |state| {
            state.look_up(self.ino, name).map(|ino| state.disk.is_subvolume(ino))
        })
    }

    fn subvolume(&self) -> Result<Subvolume, Errno> {
        self.call(Call::Examine, |state| groups::of(&state.disk, self.ino))
    }

    fn subvolume_uuid(&self, number: u64) -> Result<Option<[u8; 16]>, Errno> {
        self.call(Call::Examine, |state| Ok(groups::uuid(&state.disk, number)))
    }

    fn remove_group(&self, number: u64) -> Result<(), Errno> {
        self.call(Call::Limit, |state| groups::remove(state, number))
    }
}
