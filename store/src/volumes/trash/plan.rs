//! Which volumes have to leave the trash. Pure. How long each has been there is counted in `trashed.rs`.

use crate::volumes::records::owner::Owner;
use fastrak_api::volume::VolumeId;
use std::collections::{BTreeMap, BTreeSet};

/// A volume in the trash that can be had back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The volume.
    pub id: VolumeId,
    /// Whose it was.
    pub owner: Owner,
    /// The size that was granted.
    pub bytes: u64,
    /// For how many seconds it can be had back.
    pub ttl: u64,
    /// How many of them are over.
    pub spent: u64,
    /// When it was put there, which tells apart those that have spent the same.
    pub since: i64,
}

/// What becomes of a volume in the trash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It stays.
    Stays,
    /// Its time is over.
    Over,
    /// It is evicted: its time is not over, but the trash has no room for it.
    GivesWay,
}

/// An entry is not evicted before it has been in the trash for so many seconds: whoever deletes a volume
/// by mistake has this time to undelete it, whatever others claim. A deleted volume may so keep its room
/// for ten minutes, also beyond what the trash may hold.
pub const MIN_AGE: u64 = 10 * 60;

/// What becomes of each of `entries` where the trash may hold `most` bytes; without a number, any.
#[must_use]
pub fn fates(entries: &[Entry], most: Option<u64>) -> Vec<Fate> {
    let fate = |entry: &Entry| if entry.is_over() { Fate::Over } else { Fate::Stays };
    let mut fates: Vec<_> = entries.iter().map(fate).collect();
    let stay = entries.iter().filter(|entry| !entry.is_over());
    let held = stay.fold(0u64, |sum, entry| sum.saturating_add(entry.bytes));
    let excess = most.map_or(0, |most| held.saturating_sub(most));
    for at in evict(entries, excess, None) {
        if let Some(fate) = fates.get_mut(at) {
            *fate = Fate::GivesWay;
        }
    }
    fates
}

/// Which of `entries` are evicted so that a claim in the namespace `requester` gets `bytes`. None are if
/// all that may be evicted would not do.
#[must_use]
pub fn leave(entries: &[Entry], bytes: u64, requester: &str) -> Vec<usize> {
    if evictable(entries) < bytes { Vec::new() } else { evict(entries, bytes, Some(requester)) }
}

/// How many bytes can be evicted.
#[must_use]
pub fn evictable(entries: &[Entry]) -> u64 {
    let may = entries.iter().filter(|entry| entry.may_be_evicted());
    may.fold(0, |sum, entry| sum.saturating_add(entry.bytes))
}

impl Entry {
    /// Whether it may be evicted: its time is not over, and it has been in the trash for a while.
    #[must_use]
    pub const fn may_be_evicted(&self) -> bool {
        !self.is_over() && self.spent >= MIN_AGE
    }

    const fn is_over(&self) -> bool {
        self.spent >= self.ttl
    }
}

/// The entries that are evicted to free `bytes` at least, or all that may be: those of the requester's
/// namespace first, then again and again one of the namespace that holds most of the trash. So no
/// namespace loses what it can get back to one that fills the trash, or that asks for much. Within a
/// namespace the oldest goes first.
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

/// What each namespace holds of the trash.
struct Shares<'a> {
    by_namespace: BTreeMap<&'a str, Share<'a>>,
    /// Those that have an entry that may be evicted, by what they hold.
    by_size: BTreeSet<(u64, &'a str)>,
}

#[derive(Default)]
struct Share<'a> {
    bytes: u64,
    /// Those that may be evicted, the oldest at the end.
    evictable: Vec<(usize, &'a Entry)>,
}

impl<'a> Shares<'a> {
    fn of(entries: &'a [Entry]) -> Self {
        let mut by_namespace = BTreeMap::<_, Share<'_>>::new();
        for (at, entry) in entries.iter().enumerate().filter(|(_, entry)| !entry.is_over()) {
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
