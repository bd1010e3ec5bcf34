//! Giving volumes the numbers of projects, on filesystems that hold those to limits, and forgetting
//! numbers that nobody has any more.
//!
//! Which number is tried first is for `projects.rs` to say. A number is somebody's when the record of a
//! volume has it, when a volume that is being made has it, or when the kernel counts a file or has a
//! limit for it: the files of a volume in the trash, and what others on the machine have set.

use super::identity::{self, Record};
use super::{Store, VolumeError, layout, projects};
use crate::host::HostError;
use crate::host::quota::{self, Group, Lack, Limits, Support};
use crate::pools::OpenPool;
use fastrak_api::volume::{Identity, LimitRecord, VolumeId};
use fastrak_runtime::chain::Chain;
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::ffi::OsStr;

impl Store {
    /// Gives the volume the number of a project, records it in its identity and books its room with it;
    /// what there was a lack of, if it has none.
    pub(super) fn book_as_project(
        &self,
        pool: &OpenPool<'_>,
        identity: &mut Identity,
    ) -> Result<Option<Lack>, VolumeError> {
        self.read_books();
        // Until it is booked, when others see it in the book.
        let _turn = self.ledger.numbering();
        match self.free_number(pool, &identity.volume) {
            Ok(Some(number)) => identity.limit = LimitRecord::Project(number),
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
    pub(super) fn sweep_projects(&self, pool: &OpenPool<'_>) {
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
        // A volume that is being made has no file yet, and is in the book already.
        let _turn = self.ledger.numbering();
        let (mut swept, mut from, mut trashed) = (0, *projects::OURS.start(), None);
        while let Some(number) = quota::project_from(&pool.dir, from)?
            && projects::OURS.contains(&number)
        {
            let group = Group::Project(number);
            if !self.ledger.has_project(number)
                && quota::usage(&pool.dir, group)?.inodes == Some(0)
                && !self.is_trashed(&mut trashed, number)?
            {
                quota::limit(&pool.dir, group, Limits::NONE)?;
                swept += 1;
            }
            from = number + 1;
        }
        Ok(swept)
    }

    /// Whether a volume in the trash has the number. It can be had back, and its tenant may have taken
    /// all of its files out of the project. The records are read once for a sweep, where one is to be
    /// asked at all.
    fn is_trashed(
        &self,
        known: &mut Option<BTreeSet<u32>>,
        number: u32,
    ) -> Result<bool, HostError> {
        if let Some(known) = known {
            return Ok(known.contains(&number));
        }
        let mut numbers = BTreeSet::new();
        for pool in self.pools.open_all().flatten() {
            read_trash(&pool, &mut numbers)?;
        }
        Ok(known.insert(numbers).contains(&number))
    }
}

fn read_trash(pool: &OpenPool<'_>, numbers: &mut BTreeSet<u32>) -> Result<(), HostError> {
    let Some(trash) = pool.dir.open_if_there(OsStr::new(layout::TRASH))? else { return Ok(()) };
    for name in trash.names(usize::MAX)? {
        let Some(id) = layout::restorable(&name) else { continue };
        // It may have been removed meanwhile.
        let Some(dir) = trash.open_if_there(&name)? else { continue };
        if let Record::Proven(identity) = identity::read(&dir, &id)?
            && let LimitRecord::Project(number) = identity.limit
        {
            numbers.insert(number);
        }
    }
    Ok(())
}
