//! Decides which volumes leave the trash. Pure. `trashed.rs` counts their time.

use fastrak_api::claim_ref::ClaimRef;
use fastrak_api::volume::VolumeId;
use std::collections::{BTreeMap, BTreeSet};

/// A volume in the trash that can be restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The volume.
    pub id: VolumeId,
    /// The last owner.
    pub owner: ClaimRef,
    /// The granted size.
    pub bytes: u64,
    /// The retention in seconds.
    pub ttl: u64,
    /// The seconds of the retention that have passed.
    pub spent: u64,
    /// When it was deleted, which orders volumes with the same age.
    pub since: i64,
}

/// What happens to a volume in the trash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TrashAction {
    /// It stays.
    Keep,
    /// Its retention has expired.
    Expire,
    /// It is evicted before its retention expires, because the space is needed.
    Evict,
}

/// A volume is not evicted during its first seconds in the trash, even if other claims need space:
/// this is the time to undelete a volume that was deleted by mistake. A deleted volume can
/// therefore keep its space for ten minutes, even beyond the limit of the trash.
pub const MIN_AGE: u64 = 10 * 60;

/// Decides for each of `entries`. The trash may hold `most` bytes; `None` means no limit.
pub(crate) fn decide(entries: &[Entry], most: Option<u64>) -> Vec<TrashAction> {
    let action = |entry: &Entry| {
        if entry.has_expired() { TrashAction::Expire } else { TrashAction::Keep }
    };
    let mut actions: Vec<_> = entries.iter().map(action).collect();
    let stay = entries.iter().filter(|entry| !entry.has_expired());
    let held = stay.fold(0u64, |sum, entry| sum.saturating_add(entry.bytes));
    let excess = most.map_or(0, |most| held.saturating_sub(most));
    for at in evict(entries, excess, None) {
        if let Some(action) = actions.get_mut(at) {
            *action = TrashAction::Evict;
        }
    }
    actions
}

/// Returns the entries to evict so that a claim in namespace `requester` gets `bytes`. Returns none
/// if all evictable entries together are too small.
pub(crate) fn choose_evictions(entries: &[Entry], bytes: u64, requester: &str) -> Vec<usize> {
    if evictable(entries) < bytes { Vec::new() } else { evict(entries, bytes, Some(requester)) }
}

/// Returns the sum of the evictable bytes.
pub(crate) fn evictable(entries: &[Entry]) -> u64 {
    let may = entries.iter().filter(|entry| entry.may_be_evicted());
    may.fold(0, |sum, entry| sum.saturating_add(entry.bytes))
}

impl Entry {
    /// Returns whether the entry is old enough and has not expired.
    pub(crate) const fn may_be_evicted(&self) -> bool {
        !self.has_expired() && self.spent >= MIN_AGE
    }

    const fn has_expired(&self) -> bool {
        self.spent >= self.ttl
    }
}

/// Returns the entries to evict to free at least `bytes`, or all that may be evicted. Entries of
/// the requester's namespace come first, then repeatedly one of the namespace with the largest
/// share. A namespace therefore loses nothing to one that fills the trash or requests much. Within
/// a namespace the oldest entry comes first.
fn evict(entries: &[Entry], bytes: u64, requester: Option<&str>) -> Vec<usize> {
    let mut shares = Shares::of(entries);
    let (mut freed, mut chosen) = (0u64, Vec::new());
    while freed < bytes {
        let own = requester.and_then(|requester| shares.take_oldest_of(requester));
        let Some((at, entry)) = own.or_else(|| shares.take_oldest_of_largest()) else { break };
        freed = freed.saturating_add(entry.bytes);
        chosen.push(at);
    }
    chosen
}

/// The share of each namespace.
struct Shares<'a> {
    by_namespace: BTreeMap<&'a str, Share<'a>>,
    /// The namespaces with an evictable entry, ordered by their share.
    by_size: BTreeSet<(u64, &'a str)>,
}

#[derive(Default)]
struct Share<'a> {
    bytes: u64,
    /// The evictable entries, the oldest last.
    evictable: Vec<(usize, &'a Entry)>,
}

impl<'a> Shares<'a> {
    fn of(entries: &'a [Entry]) -> Self {
        let mut by_namespace = BTreeMap::<_, Share<'_>>::new();
        for (at, entry) in entries.iter().enumerate().filter(|(_, entry)| !entry.has_expired()) {
            let share = by_namespace.entry(entry.owner.namespace.as_str()).or_default();
            share.bytes = share.bytes.saturating_add(entry.bytes);
            if entry.may_be_evicted() {
                share.evictable.push((at, entry));
            }
        }
        let mut by_size = BTreeSet::new();
        for (namespace, share) in &mut by_namespace {
            share.evictable.sort_by(|(_, a), (_, b)| {
                a.spent.cmp(&b.spent).then(b.since.cmp(&a.since)).then_with(|| b.id.cmp(&a.id))
            });
            if !share.evictable.is_empty() {
                by_size.insert((share.bytes, *namespace));
            }
        }
        Self { by_namespace, by_size }
    }

    fn take_oldest_of_largest(&mut self) -> Option<(usize, &'a Entry)> {
        let (_, namespace) = self.by_size.last().copied()?;
        self.take_oldest_of(namespace)
    }

    fn take_oldest_of(&mut self, namespace: &str) -> Option<(usize, &'a Entry)> {
        let (namespace, share) = self.by_namespace.get_key_value(namespace)?;
        let (namespace, before) = (*namespace, share.bytes);
        let share = self.by_namespace.get_mut(namespace)?;
        let (at, entry) = share.evictable.pop()?;
        share.bytes = before.saturating_sub(entry.bytes);
        self.by_size.remove(&(before, namespace));
        if !share.evictable.is_empty() {
            self.by_size.insert((share.bytes, namespace));
        }
        Some((at, entry))
    }
}

#[cfg(test)]
mod tests;
