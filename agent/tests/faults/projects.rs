//! The projects on the simulated disk of the first pool, and their invariants.
//!
//! The project of a directory is an attribute of it, and limits are attributes of the filesystem's
//! root: fsync(2) makes both durable. A real filesystem guarantees no more for a limit.

use crate::disk::{Disk, Ino, ROOT};
use fastrak_api::volume::{Identity, QuotaGroup, VolumeId};
use fastrak_store::host::quota::{Limits, Usage};
use fastrak_store::volumes::{layout, quota::projects};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;

/// The pool whose disk may have project quotas.
pub(crate) const NEAR: &str = "near";

const PROJECT: &str = "project";
const LIMIT: &str = "limit of ";

/// Returns the root of the filesystem of a file.
pub(crate) fn place(disk: &Disk, ino: Ino) -> Ino {
    disk.path(ino).first().and_then(|name| disk.find(ROOT, name)).unwrap_or(ROOT)
}

/// Assigns this directory and its contents to a project.
pub(crate) fn join(disk: &mut Disk, ino: Ino, number: u32) {
    disk.set_xattr(ino, PROJECT, &number.to_le_bytes());
}

/// Sets the limits of a project. Returns whether the agent may limit it.
pub(crate) fn limit(disk: &mut Disk, ino: Ino, number: u32, limits: Limits) -> bool {
    let place = place(disk, ino);
    let words = [limits.bytes, limits.inodes].map(|limit| limit.unwrap_or(0).to_le_bytes());
    disk.set_xattr(place, &format!("{LIMIT}{number}"), words.as_flattened());
    projects::PROJECT_IDS.contains(&number)
}

/// Returns the usage of a project.
pub(crate) fn usage(disk: &Disk, ino: Ino, number: u32) -> Usage {
    let place = place(disk, ino);
    let inodes = counted(disk, place).get(&number).copied();
    let Limits { bytes, inodes: inode_limit } =
        limits(disk, place).remove(&number).unwrap_or_default();
    Usage { used: 0, inodes: Some(inodes.unwrap_or(0)), limit: bytes, inode_limit }
}

/// Returns the first project from an ID on that has a file or a limit.
pub(crate) fn next(disk: &Disk, ino: Ino, first: u32) -> Option<u32> {
    let place = place(disk, ino);
    let mut used: BTreeSet<u32> = counted(disk, place).into_keys().collect();
    used.extend(limits(disk, place).into_keys());
    used.range(first..).next().copied()
}

/// Returns the violations in the projects of a pool once all work is done.
pub(crate) fn problems(disk: &Disk, place: Ino) -> Vec<String> {
    let mut problems = Vec::new();
    let (mut limits, mut numbers) = (limits(disk, place), BTreeSet::new());
    for (name, dir) in disk.see(place).node.entries().into_iter().flatten() {
        let Some(id) = name.to_str().and_then(|name| VolumeId::parse(name).ok()) else { continue };
        let Some((data, identity)) = record(disk, *dir) else { continue };
        let Some(QuotaGroup::Project(number)) = identity.limit else {
            problems.push(format!("{id} is held to its size by {:?}", identity.limit));
            continue;
        };
        if project(disk, data) != Some(number) {
            problems.push(format!("{id} is not counted as what its record says"));
        }
        let limit = limits.remove(&number);
        if limit != Some(Limits::from(&identity)) {
            problems.push(format!("{id} may hold {limit:?}, and its record is {identity:?}"));
        }
        if !numbers.insert(number) {
            problems.push(format!("{id} has the number of another volume"));
        }
    }
    // A restorable volume keeps its project. Its limit is set again when it is restored.
    let trash = disk.find(place, OsStr::new(layout::TRASH)).map(|trash| &disk.see(trash).node);
    let trashed = trash.and_then(|node| node.entries()).into_iter().flatten();
    for (name, dir) in trashed.filter(|(name, _)| layout::volume(name).is_some()) {
        let Some((_, identity)) = record(disk, *dir) else { continue };
        let Some(QuotaGroup::Project(number)) = identity.limit else { continue };
        limits.remove(&number);
        if !numbers.insert(number) {
            problems.push(format!("{name:?} in the trash has the number of another volume"));
        }
    }
    problems
        .extend(limits.keys().map(|number| format!("project {number:x} of nobody has a limit")));
    problems
}

fn record(disk: &Disk, dir: Ino) -> Option<(Ino, Identity)> {
    let data = disk.find(dir, OsStr::new(layout::DATA))?;
    let record = disk.find(dir, OsStr::new(layout::IDENTITY))?;
    let crate::disk::Node::File(content) = &disk.see(record).node else { return None };
    Some((data, serde_json::from_slice(content).ok()?))
}

fn project(disk: &Disk, ino: Ino) -> Option<u32> {
    let bytes = disk.see(ino).xattrs.get(PROJECT)?;
    Some(u32::from_le_bytes(bytes.as_slice().try_into().expect("4 bytes")))
}

fn limits(disk: &Disk, place: Ino) -> BTreeMap<u32, Limits> {
    let xattrs = disk.see(place).xattrs.iter();
    let limits = xattrs.filter_map(|(key, bytes)| {
        let number = key.strip_prefix(LIMIT)?.parse().expect("a number");
        let (words, _) = bytes.as_chunks::<8>();
        let word = |at: usize| Some(u64::from_le_bytes(words[at])).filter(|word| *word != 0);
        let limits = Limits { bytes: word(0), inodes: word(1) };
        (limits != Limits::NONE).then_some((number, limits))
    });
    limits.collect()
}

/// Returns the number of files in each project.
fn counted(disk: &Disk, place: Ino) -> BTreeMap<u32, u64> {
    let mut counts = BTreeMap::new();
    let mut left = vec![(place, None)];
    while let Some((ino, above)) = left.pop() {
        let own = project(disk, ino).or(above);
        if let Some(number) = own {
            *counts.entry(number).or_default() += 1;
        }
        left.extend(disk.see(ino).node.entries().into_iter().flatten().map(|(_, ino)| (*ino, own)));
    }
    counts
}
