//! What is granted in each pool: a book for each, kept in memory and read anew from the records on the
//! disk when a process begins.
//!
//! It decides nothing: whether there is room follows from `api::capacity`. It is what keeps two
//! volumes that are made at the same moment from being granted the same room.

use crate::host::{Dir, HostError, quota};
use crate::pools::OpenPool;
use crate::volumes::records::identity::{self, Record};
use crate::volumes::{Store, VolumeError, layout};
use fastrak_api::capacity::{Room, State};
use fastrak_api::pool::PoolName;
use fastrak_api::volume::{Identity, QuotaGroup, VolumeId};
use fastrak_runtime::chain::Chain;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The books of all pools.
#[derive(Debug)]
pub struct Ledger {
    books: BTreeMap<PoolName, Mutex<Book>>,
    // Held while a number for a project is chosen and booked, and while those of nobody are forgotten.
    numbering: Mutex<()>,
}

/// What was granted to a volume, and what is known of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// What was granted.
    pub bytes: u64,
    /// What it holds; none where that is not known.
    pub usage: Option<Held>,
    /// How it is held to what was granted.
    pub limit: Option<QuotaGroup>,
}

/// What a volume holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Bytes.
    pub bytes: u64,
    /// Files and directories; none where nobody has counted them.
    pub inodes: Option<u64>,
}

/// What is granted in one pool.
#[derive(Debug, Default)]
struct Book {
    is_read: bool,
    grants: HashMap<VolumeId, Grant>,
}

impl Ledger {
    /// Books for these pools, not read yet.
    pub(super) fn new<'a>(pools: impl Iterator<Item = &'a PoolName>) -> Self {
        let books = pools.map(|pool| (pool.clone(), Mutex::default())).collect();
        Self { books, numbering: Mutex::default() }
    }

    /// The right to give numbers to projects, and to take them away.
    pub(super) fn numbering(&self) -> MutexGuard<'_, ()> {
        self.numbering.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a volume in any pool whose book was read has this project.
    pub(super) fn has_project(&self, number: u32) -> bool {
        let limit = Some(QuotaGroup::Project(number));
        self.books
            .keys()
            .filter_map(|pool| self.book(pool))
            .any(|book| book.grants.values().any(|grant| grant.limit == limit))
    }

    /// The projects of all volumes in the pools whose books were read.
    pub(super) fn projects(&self) -> BTreeSet<u32> {
        let mut projects = BTreeSet::new();
        for book in self.books.keys().filter_map(|pool| self.book(pool)) {
            projects.extend(book.grants.values().filter_map(|grant| match grant.limit {
                Some(QuotaGroup::Project(number)) => Some(number),
                None | Some(QuotaGroup::Subvolume) => None,
            }));
        }
        projects
    }

    /// A volume is no more in the pool.
    pub(super) fn forget(&self, pool: &PoolName, id: &VolumeId) {
        if let Some(mut book) = self.book(pool) {
            book.grants.remove(id);
        }
    }

    /// What is known of a volume's use.
    pub(super) fn note(&self, pool: &PoolName, id: &VolumeId, held: Option<Held>) {
        if let Some(mut book) = self.book(pool)
            && let Some(grant) = book.grants.get_mut(id)
        {
            grant.usage = held;
        }
    }

    fn book(&self, pool: &PoolName) -> Option<MutexGuard<'_, Book>> {
        let book = self.books.get(pool)?;
        Some(book.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Book {
    fn state(&self, pool: &OpenPool<'_>, besides: Option<&VolumeId>) -> State {
        let others = || {
            let others = self.grants.iter().filter(|(id, _)| Some(*id) != besides);
            others.map(|(_, grant)| grant)
        };
        let sum = |numbers: &mut dyn Iterator<Item = u64>| numbers.fold(0, u64::saturating_add);
        State {
            total: pool.room.total,
            free: pool.room.free,
            granted: sum(&mut others().map(|grant| grant.bytes)),
            unwritten: sum(&mut others().map(|grant| grant.unwritten())),
            inodes: pool.room.inodes,
            free_inodes: pool.room.free_inodes,
        }
    }
}

impl Grant {
    fn unwritten(&self) -> u64 {
        self.bytes.saturating_sub(self.usage.unwrap_or_default().bytes)
    }
}

impl Store {
    /// Books what a volume is granted, if there is room.
    pub(super) fn book(&self, pool: &OpenPool<'_>, identity: &Identity) -> Result<(), VolumeError> {
        let mut book = self.open_book(pool)?;
        let known = book.grants.get(&identity.volume).copied();
        // What it has written is not free any more, and is not to be found a second time.
        let held = known.and_then(|grant| grant.usage).unwrap_or_default().bytes;
        let mut state = book.state(pool, Some(&identity.volume));
        state.free = state.free.saturating_add(held);
        let fits = pool.config.terms.check(&pool.config.name, state, identity.bytes);
        fits.map_err(|shortage| VolumeError::Full(Box::new(shortage)))?;
        let usage = known.and_then(|grant| grant.usage);
        let grant = Grant { bytes: identity.bytes, usage, limit: identity.limit };
        book.grants.insert(identity.volume.clone(), grant);
        Ok(())
    }

    /// Books what a volume that is there has been granted, whether or not there is room.
    pub(super) fn rebook(&self, pool: &PoolName, identity: &Identity) {
        if let Some(mut book) = self.ledger.book(pool) {
            let usage = book.grants.get(&identity.volume).and_then(|grant| grant.usage);
            let grant = Grant { bytes: identity.bytes, usage, limit: identity.limit };
            book.grants.insert(identity.volume.clone(), grant);
        }
    }

    /// Books a volume whose data is on the disk already, if there is room: that is not to be found there a
    /// second time, but what was promised to others must not be promised again.
    pub(super) fn book_written(
        &self,
        pool: &OpenPool<'_>,
        identity: &Identity,
    ) -> Result<(), VolumeError> {
        let (name, id) = (&pool.config.name, &identity.volume);
        // Into a book that has been read: what is read later would take its place.
        drop(self.open_book(pool)?);
        self.rebook(name, identity);
        self.ledger.note(name, id, Some(Held { bytes: identity.bytes, inodes: None }));
        self.book(pool, identity).inspect_err(|_| self.ledger.forget(name, id))
    }

    /// What can still be given away of a pool.
    pub fn room(&self, pool: &OpenPool<'_>) -> Result<Room, VolumeError> {
        let state = self.open_book(pool)?.state(pool, None);
        Ok(pool.config.terms.room(state))
    }

    /// Has the books of all pools read that can be opened.
    pub(super) fn read_books(&self) {
        let is_read = |pool| self.ledger.book(pool).is_none_or(|book| book.is_read);
        if self.pools.names().all(is_read) {
            return;
        }
        for pool in self.pools.open_all().flatten() {
            if let Err(error) = self.open_book(&pool) {
                let pool = &pool.config.name;
                tracing::warn!(%pool, error = %Chain(&error), "could not read who is in the pool");
            }
        }
    }

    /// What is granted to the volumes of a pool, and what they hold.
    pub fn grants(&self, pool: &OpenPool<'_>) -> Result<Vec<(VolumeId, Grant)>, VolumeError> {
        let book = self.open_book(pool)?;
        Ok(book.grants.iter().map(|(id, grant)| (id.clone(), *grant)).collect())
    }

    /// Corrects the book of a pool by what is there: somebody else may have put a volume there, or
    /// taken it away. The names of what is there.
    pub(super) fn reconcile(&self, pool: &OpenPool<'_>) -> Result<Vec<OsString>, VolumeError> {
        // In this order: what is being made is booked first, and has its name before it is made.
        let making: HashSet<_> = self.making().clone();
        let mut book = self.open_book(pool)?;
        let names = pool.dir.names(usize::MAX).map_err(VolumeError::Look)?;
        let there: HashSet<_> = names.iter().filter_map(|name| volume(name)).collect();
        let is_made = |id: &VolumeId| !making.contains(OsStr::new(id.as_str()));
        book.grants.retain(|id, _| there.contains(id) || !is_made(id));
        for id in there.into_iter().filter(is_made) {
            if !book.grants.contains_key(&id)
                && let Some(grant) = read_grant(pool, &id).map_err(VolumeError::Look)?
            {
                book.grants.insert(id, grant);
            }
        }
        Ok(names)
    }

    fn open_book(&self, pool: &OpenPool<'_>) -> Result<MutexGuard<'_, Book>, VolumeError> {
        let name = &pool.config.name;
        let unknown = || VolumeError::Pool(self.pools.unknown(name));
        let mut book = self.ledger.book(name).ok_or_else(unknown)?;
        if !book.is_read {
            book.grants = read_grants(pool).map_err(VolumeError::Look)?;
            book.is_read = true;
        }
        Ok(book)
    }
}

fn read_grants(pool: &OpenPool<'_>) -> Result<HashMap<VolumeId, Grant>, HostError> {
    let mut grants = HashMap::new();
    for name in pool.dir.names(usize::MAX)? {
        if let Some(id) = volume(&name)
            && let Some(grant) = read_grant(pool, &id)?
        {
            grants.insert(id, grant);
        }
    }
    Ok(grants)
}

/// What a directory's record says; none where it is gone or cannot be read.
fn read_grant(pool: &OpenPool<'_>, id: &VolumeId) -> Result<Option<Grant>, HostError> {
    let Some(dir) = pool.dir.open_if_there(OsStr::new(id.as_str()))? else { return Ok(None) };
    let Record::Proven(identity) = identity::read(&dir, id)? else { return Ok(None) };
    let usage = dir.open(OsStr::new(layout::DATA)).ok().and_then(|data| told(&data, &identity));
    Ok(Some(Grant { bytes: identity.bytes, usage, limit: identity.limit }))
}

/// What the kernel says that a volume holds; none where it does not count that.
pub(super) fn told(data: &Dir, identity: &Identity) -> Option<Held> {
    let usage = quota::usage(data, identity.limit?).ok()?;
    Some(Held { bytes: usage.used, inodes: usage.inodes })
}

fn volume(name: &OsStr) -> Option<VolumeId> {
    match layout::entry(name) {
        layout::Entry::Volume(id) => Some(id),
        layout::Entry::Own | layout::Entry::Foreign => None,
    }
}
