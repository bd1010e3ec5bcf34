//! Giving volumes the numbers of projects, on filesystems that hold those to limits, and forgetting
//! numbers that nobody has any more.
//!
//! Which number is tried first is for `projects.rs` to say. A number is somebody's when the record of a
//! volume has it, when a volume that is being made has it, or when the kernel counts a file or has a
//! limit for it: the files of a volume in the trash, and what others on the machine have set.

use crate::host::HostError;
use crate::host::quota::{self, Lack, Limits, QuotaGroup, Support};
use crate::pools::OpenPool;
use crate::volumes::quota::projects;
use crate::volumes::records::identity::{self, Record};
use crate::volumes::{Store, VolumeError, layout};
use fastrak_api::volume::{Identity, VolumeId};
use fastrak_runtime::chain::Chain;
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::ffi::OsStr;

/// As many numbers are looked at by one scan. Each takes two calls of some microseconds.
const MOST: usize = 4096;

impl Store {
    /// Gives the volume the number of a project, records it in its identity and books its room with it;
    /// what there was a lack of, if it has none.
    pub(crate) fn book_as_project(
        &self,
        pool: &OpenPool<'_>,
        identity: &mut Identity,
    ) -> Result<Option<Lack>, VolumeError> {
        self.read_books();
        // Until it is booked, when others see it in the book.
        let _turn = self.ledger.numbering();
        match self.free_number(pool, &identity.volume) {
            Ok(Some(number)) => identity.limit = Some(QuotaGroup::Project(number)),
            Ok(None) => return Ok(Some(Lack::NoNumber)),
            Err(error) if matches!(error.errno, Errno::PERM | Errno::ACCESS) => {
                return Ok(Some(Lack::Forbidden));
            }
            Err(error) => return Err(VolumeError::Look(error)),
        }
        self.book(pool, identity).map(|()| None)
    }

    fn free_number(
        &self,
        pool: &OpenPool<'_>,
        volume: &VolumeId,
    ) -> Result<Option<u32>, HostError> {
        projects::choose(volume, |number| {
            Ok(self.ledger.has_project(number)
                || quota::project_from(&pool.dir, number)? == Some(number))
        })
    }

    /// Takes away the limits of projects that nobody has: of volumes that are gone from the trash, and
    /// of those that were never made to their end.
    pub(crate) fn sweep_projects(&self, pool: &OpenPool<'_>) {
        match self.try_sweep(pool) {
            Ok(0) => {}
            Ok(swept) => {
                let pool = &pool.config.name;
                tracing::debug!(%pool, swept, "took away limits of volumes that are gone");
            }
            Err(error) => {
                let pool = &pool.config.name;
                tracing::warn!(%pool, error = %Chain(&error), "could not take away limits of volumes that are gone");
            }
        }
    }

    fn try_sweep(&self, pool: &OpenPool<'_>) -> Result<usize, HostError> {
        if quota::support(&pool.dir)? != Support::Projects {
            return Ok(0);
        }
        self.read_books();
        let unused = self.unused_projects(pool)?;
        if unused.is_empty() {
            return Ok(0);
        }
        // What had a number of these then and is not in the trash now is in the book again, or gone.
        let trashed = self.trashed_projects()?;
        let mut swept = 0;
        for number in unused.into_iter().filter(|number| !trashed.contains(number)) {
            // For one number at a time: whoever makes a volume waits for it. A volume that is being made
            // has no file yet, and is in the book already.
            let _turn = self.ledger.numbering();
            if !self.ledger.has_project(number) && is_empty(pool, number)? {
                quota::limit(&pool.dir, QuotaGroup::Project(number), Limits::NONE)?;
                swept += 1;
            }
        }
        Ok(swept)
    }

    /// Some of the numbers that have a limit, and neither a file nor a place in a book. Each scan goes on
    /// where the last one ended.
    fn unused_projects(&self, pool: &OpenPool<'_>) -> Result<Vec<u32>, HostError> {
        let name = &pool.config.name;
        let (first, known) = (*projects::OURS.start(), self.ledger.projects());
        let (mut from, mut unused) = (self.turns.project(name).unwrap_or(first), Vec::new());
        for _ in 0..MOST {
            let number = quota::project_from(&pool.dir, from)?;
            let Some(number) = number.filter(|number| projects::OURS.contains(number)) else {
                from = first;
                break;
            };
            from = number + 1;
            if !known.contains(&number) && is_empty(pool, number)? {
                unused.push(number);
            }
        }
        self.turns.set_project(name, from);
        Ok(unused)
    }

    /// The numbers of the volumes in the trash. They can be had back, and their tenants may have taken all
    /// of their files out of the project.
    fn trashed_projects(&self) -> Result<BTreeSet<u32>, HostError> {
        let mut numbers = BTreeSet::new();
        for pool in self.pools.open_all().flatten() {
            read_trash(&pool, &mut numbers)?;
        }
        Ok(numbers)
    }
}

fn is_empty(pool: &OpenPool<'_>, number: u32) -> Result<bool, HostError> {
    Ok(quota::usage(&pool.dir, QuotaGroup::Project(number))?.inodes == Some(0))
}

fn read_trash(pool: &OpenPool<'_>, numbers: &mut BTreeSet<u32>) -> Result<(), HostError> {
    let Some(trash) = pool.dir.open_if_there(OsStr::new(layout::TRASH))? else { return Ok(()) };
    for name in trash.names(usize::MAX)? {
        let Some(id) = layout::restorable(&name) else { continue };
        // It may have been removed meanwhile.
        let Some(dir) = trash.open_if_there(&name)? else { continue };
        if let Record::Proven(identity) = identity::read(&dir, &id)?
            && let Some(QuotaGroup::Project(number)) = identity.limit
        {
            numbers.insert(number);
        }
    }
    Ok(())
}
