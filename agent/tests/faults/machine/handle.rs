//! An open file or directory of the machine. Each call is counted, and changes the disk or fails.

use super::{FaultyMachine, LIMIT, Pass, State};
use crate::disk::{Ino, Node};
use crate::faults::Call;
use crate::{groups, projects};
use fastrak_store::host::Kind;
use fastrak_store::host::calls::{Device, EntrySize, Handle, OnConflict, OpenMode, Statfs};
use fastrak_store::host::quota::{Limits, QuotaGroup, Subvolume, Support, Usage};
use fastrak_store::volumes::layout;
use rustix::fs::IFlags;
use rustix::io::Errno;
use std::any::Any;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::ops::Bound;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

/// The number of names in one batch of a listing.
const A_FEW: usize = 3;

#[derive(Debug)]
pub(super) struct SimulatedFile {
    machine: FaultyMachine,
    ino: Ino,
    offset: AtomicUsize,
    // The last name of the listing so far.
    last: Mutex<Option<OsString>>,
    // The number of its lock.
    locked: Mutex<Option<u64>>,
}

impl SimulatedFile {
    pub(super) fn new(machine: FaultyMachine, ino: Ino) -> Self {
        Self {
            machine,
            ino,
            offset: AtomicUsize::new(0),
            last: Mutex::default(),
            locked: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.machine.state()
    }

    fn release(&self) {
        let number = self.locked.lock().expect("no test thread panics with it").take();
        if let Some(number) = number {
            self.state().locks.release(self.ino, number);
        }
    }

    /// Counts a call and carries it out unless it fails.
    fn call<T>(
        &self,
        call: Call,
        act: impl FnOnce(&mut State) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        let mut state = self.state();
        let pass = state.enter(call)?;
        let answer = act(&mut state)?;
        match pass {
            Pass::Well | Pass::Late => Ok(answer),
            Pass::Half(errno) | Pass::ThenFail(errno) => Err(errno),
        }
    }
}

impl Drop for SimulatedFile {
    fn drop(&mut self) {
        self.release();
    }
}

impl Handle for SimulatedFile {
    fn open(&self, name: &OsStr, how: OpenMode) -> Result<Box<dyn Handle>, Errno> {
        let call = if how == OpenMode::New { Call::Create } else { Call::Open };
        let ino = self.call(call, |state| match how {
            OpenMode::Directory if name == "." => Ok(self.ino),
            OpenMode::New => state.create(self.ino, name),
            OpenMode::Directory | OpenMode::SameMount | OpenMode::Read => {
                state.open(self.ino, name, how)
            }
        })?;
        Ok(self.machine.handle(ino))
    }

    fn mkdir(&self, name: &OsStr, mode: u32) -> Result<(), Errno> {
        self.call(Call::Mkdir, |state| {
            if state.look_up(self.ino, name).is_ok() {
                return Err(Errno::EXIST);
            }
            state.guard("mkdir", self.ino, Some(name));
            let made = state.disk.make(self.ino, name, Node::Directory(BTreeMap::new()), mode);
            if name == layout::GROUPS {
                state.disk.leave_to_transactions(made);
            }
            Ok(())
        })
    }

    fn chmod(&self, mode: u32) -> Result<(), Errno> {
        self.call(Call::Chmod, |state| {
            state.guard("chmod", self.ino, None);
            state.disk.chmod(self.ino, mode);
            Ok(())
        })
    }

    fn set_xattr(&self, name: &str, value: &[u8]) -> Result<(), Errno> {
        self.call(Call::SetXattr, |state| {
            state.guard("set_xattr", self.ino, None);
            state.disk.set_xattr(self.ino, name, value);
            Ok(())
        })
    }

    fn flags(&self) -> Result<IFlags, Errno> {
        self.call(Call::Examine, |_| Ok(IFlags::empty()))
    }

    fn set_flags(&self, _: IFlags) -> Result<(), Errno> {
        self.call(Call::Chmod, |state| {
            state.guard("chmod", self.ino, None);
            Ok(())
        })
    }

    fn kind(&self) -> Result<Kind, Errno> {
        self.call(Call::Examine, |state| Ok(state.kind(self.ino)))
    }

    fn kind_of(&self, name: &OsStr) -> Result<Kind, Errno> {
        self.call(Call::Examine, |state| state.look_up(self.ino, name).map(|ino| state.kind(ino)))
    }

    fn entry_size(&self, name: &OsStr) -> Result<EntrySize, Errno> {
        self.call(Call::Examine, |state| {
            let kind = state.kind(state.look_up(self.ino, name)?);
            Ok(EntrySize { kind, bytes: 4096, links: 1 })
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
        there: OnConflict,
    ) -> Result<(), Errno> {
        let target = (target as &dyn Any).downcast_ref::<Self>().ok_or(Errno::XDEV)?.ino;
        self.call(Call::Rename, |state| {
            state.look_up(self.ino, name)?;
            state.replace(target, new, there)?;
            if state.disk.path(self.ino).first() != state.disk.path(target).first() {
                return Err(Errno::XDEV);
            }
            state.check_rename_support(self.ino, there)?;
            state.guard("rename", self.ino, Some(name));
            state.guard("rename", target, Some(new));
            state.disk.rename((self.ino, name), (target, new));
            state.record_move(self.ino, target, new);
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
            Pass::Well | Pass::Late => Ok(length),
            Pass::Half(errno) | Pass::ThenFail(errno) => Err(errno),
        }
    }

    fn lock(&self) -> Result<(), Errno> {
        self.call(Call::Lock, |state| {
            let number = state.locks.take(self.ino).ok_or(Errno::WOULDBLOCK)?;
            *self.locked.lock().expect("no test thread panics with it") = Some(number);
            Ok(())
        })
    }

    /// Never fails: the kernel does the same when the process ends.
    fn unlock(&self) -> Result<(), Errno> {
        self.release();
        Ok(())
    }

    fn sync(&self) -> Result<(), Errno> {
        let mut state = self.state();
        match state.enter(Call::Sync)? {
            Pass::Well | Pass::Late => {
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
        let inode = u64::try_from(self.ino).unwrap_or_default();
        self.call(Call::Examine, |_| Ok(Device { number: (8, 1), inode, mount_root: Some(false) }))
    }

    fn statfs(&self) -> Result<Statfs, Errno> {
        self.call(Call::Examine, |state| Ok(state.statfs()))
    }

    fn support(&self) -> Result<Support, Errno> {
        self.call(Call::Examine, |state| Ok(state.support(self.ino)))
    }

    fn make_subvolume(&self, name: &OsStr) -> Result<(), Errno> {
        self.call(Call::Mkdir, |state| {
            if state.look_up(self.ino, name).is_ok() {
                return Err(Errno::EXIST);
            }
            state.guard("mkdir", self.ino, Some(name));
            state.disk.make_subvolume(self.ino, name, 0o755);
            Ok(())
        })
    }

    fn remove_subvolume(&self, name: &OsStr) -> Result<(), Errno> {
        self.call(Call::Remove, |state| {
            let ino = state.look_up(self.ino, name)?;
            if !matches!(state.support(self.ino), Support::Subvolumes { .. }) {
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

    fn limit(&self, group: QuotaGroup, limits: Limits) -> Result<(), Errno> {
        self.call(Call::Limit, |state| {
            if let QuotaGroup::Project(number) = group {
                state.limit_project(self.ino, number, limits);
                return Ok(());
            }
            if !state.disk.is_subvolume(self.ino) {
                return Err(Errno::INVAL);
            }
            state.guard("limit", self.ino, None);
            state.disk.set_xattr(self.ino, LIMIT, &limits.bytes.unwrap_or(0).to_le_bytes());
            Ok(())
        })
    }

    fn usage(&self, group: QuotaGroup) -> Result<Usage, Errno> {
        self.call(Call::Examine, |state| {
            if let QuotaGroup::Project(number) = group {
                return Ok(projects::usage(&state.disk, self.ino, number));
            }
            let limit = state.disk.see(self.ino).xattrs.get(LIMIT);
            let limit = limit.map(|bytes| <[u8; 8]>::try_from(bytes.as_slice()).expect("8 bytes"));
            Ok(Usage { limit: limit.map(u64::from_le_bytes), ..Usage::default() })
        })
    }

    fn is_subvolume(&self, name: &OsStr) -> Result<bool, Errno> {
        self.call(Call::Examine, |state| {
            state.look_up(self.ino, name).map(|ino| state.disk.is_subvolume(ino))
        })
    }

    fn make_writable(&self) -> Result<(), Errno> {
        self.call(Call::Chmod, |state| match state.disk.is_subvolume(self.ino) {
            // No subvolume is read-only in the simulation.
            true => Ok(()),
            false => Err(Errno::INVAL),
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
