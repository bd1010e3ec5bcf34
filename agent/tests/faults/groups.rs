//! Groups of the subvolumes on the simulated disk of the second pool, and what must be true of them.
//!
//! A group is its subvolume's, and outlives it: it goes when it is removed, and not before the kernel has
//! taken the subvolume away, which it has when it was asked once in vain.

use crate::disk::{Disk, Ino};
use crate::machine::State;
use fastrak_store::host::quota::Subvolume;
use rustix::io::Errno;

/// Numbers that subvolumes have begin here.
const FIRST: u64 = 256;

/// The subvolume that this is.
pub(crate) fn of(disk: &Disk, ino: Ino) -> Result<Subvolume, Errno> {
    match disk.is_subvolume(ino) {
        true => Ok(Subvolume { number: FIRST + ino as u64, uuid: uuid_of(ino) }),
        false => Err(Errno::NOTTY),
    }
}

/// The uuid of the subvolume of this number, if it is there.
pub(crate) fn uuid(disk: &Disk, number: u64) -> Option<[u8; 16]> {
    let ino = ino(number).filter(|ino| disk.is_subvolume(*ino))?;
    disk.is_linked(ino).then(|| uuid_of(ino))
}

/// Removes the group of the subvolume of this number.
pub(crate) fn remove(state: &mut State, number: u64) -> Result<(), Errno> {
    let found = ino(number).filter(|ino| state.disk.has_group(*ino)).ok_or(Errno::NOENT)?;
    if state.disk.is_linked(found) {
        state.trespasses.push(format!("remove the group of {found}, which is there"));
    }
    if state.leaving.remove(&found) {
        return Err(Errno::BUSY);
    }
    state.disk.remove_group(found);
    Ok(())
}

/// What is wrong where nobody works any more: a subvolume that is gone has left its group, or one that is
/// there has none.
pub(crate) fn problems(disk: &Disk) -> Vec<String> {
    let wrong = disk.subvolumes().filter(|ino| disk.is_linked(*ino) != disk.has_group(*ino));
    wrong.map(|ino| format!("subvolume {ino} and its group are not there together")).collect()
}

fn ino(number: u64) -> Option<Ino> {
    usize::try_from(number.checked_sub(FIRST)?).ok()
}

fn uuid_of(ino: Ino) -> [u8; 16] {
    (ino as u128).to_be_bytes()
}
