//! The quota groups of subvolumes on the simulated disk of the second pool, and their invariants.
//!
//! A group outlives its subvolume until it is removed. The first removal after that of the
//! subvolume fails, because the kernel still frees the subvolume.

use crate::disk::{Disk, Ino};
use crate::machine::State;
use fastrak_store::host::quota::Subvolume;
use rustix::io::Errno;

/// The first ID of subvolumes.
const FIRST: u64 = 256;

/// Returns the subvolume of a directory.
pub(crate) fn of(disk: &Disk, ino: Ino) -> Result<Subvolume, Errno> {
    match disk.is_subvolume(ino) {
        true => Ok(Subvolume { number: FIRST + ino as u64, uuid: uuid_of(ino) }),
        false => Err(Errno::NOTTY),
    }
}

/// Returns the UUID of the subvolume with this ID, if it exists.
pub(crate) fn uuid(disk: &Disk, number: u64) -> Option<[u8; 16]> {
    let ino = ino(number).filter(|ino| disk.is_subvolume(*ino))?;
    disk.is_linked(ino).then(|| uuid_of(ino))
}

/// Removes the group of the subvolume with this ID.
pub(crate) fn remove(state: &mut State, number: u64) -> Result<(), Errno> {
    let found = ino(number).filter(|ino| state.disk.has_group(*ino)).ok_or(Errno::NOENT)?;
    if state.disk.is_linked(found) {
        state.violations.push(format!("remove the group of {found}, which still exists"));
    }
    if state.leaving.remove(&found) {
        return Err(Errno::BUSY);
    }
    state.disk.remove_group(found);
    Ok(())
}

/// Returns the violations once all work is done: a removed subvolume with a group, or one without.
pub(crate) fn problems(disk: &Disk) -> Vec<String> {
    let wrong = disk.subvolumes().filter(|ino| disk.is_linked(*ino) != disk.has_group(*ino));
    wrong.map(|ino| format!("subvolume {ino} and its group do not exist together")).collect()
}

fn ino(number: u64) -> Option<Ino> {
    usize::try_from(number.checked_sub(FIRST)?).ok()
}

fn uuid_of(ino: Ino) -> [u8; 16] {
    (ino as u128).to_be_bytes()
}
