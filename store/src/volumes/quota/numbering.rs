//! Assigns project IDs to volumes, and releases IDs that are no longer used.
//!
//! `projects.rs` chooses the candidates. An ID is in use if the record of a volume has it, if a
//! volume that is being created has it, or if the kernel counts a file or has a limit for it. The
//! latter covers volumes in the trash and other software on the node.

use crate::host::HostError;
use crate::host::quota::{self, Limits, QuotaGroup, QuotaUnavailable, Support};
use crate::pools::OpenPool;
use crate::volumes::quota::projects;
use crate::volumes::{Store, VolumeError, layout, open_verified};
use fastrak_api::volume::{Identity, VolumeId};
use fastrak_runtime::chain::Chain;
use rustix::io::Errno;
use std::collections::BTreeSet;

/// The number of IDs that one scan checks. Each takes two calls of some microseconds.
const MAX_PER_SCAN: usize = 4096;

impl Store {
    /// Assigns a project ID to the volume, records it in the identity and grants the volume's
    /// bytes. Returns the reason if no ID could be assigned.
    pub(crate) fn grant_with_project(
        &self,
        pool: &OpenPool<'_>,
        identity: &mut Identity,
    ) -> Result<Option<QuotaUnavailable>, VolumeError> {
        self.load_ledgers();
        // Held until the grant makes the ID visible to others.
        let _guard = self.ledger.numbering();
        match self.free_number(pool, &identity.volume) {
            Ok(Some(number)) => identity.limit = Some(QuotaGroup::Project(number)),
            Ok(None) => return Ok(Some(QuotaUnavailable::NoProjectId)),
            Err(error) if matches!(error.errno, Errno::PERM | Errno::ACCESS) => {
                return Ok(Some(QuotaUnavailable::Forbidden));
            }
            Err(error) => return Err(VolumeError::Read(error)),
        }
        self.grant(pool, identity).map(|()| None)
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

    /// Clears the limits of unused projects: of volumes that are gone from the trash, and of
    /// creations that were never completed.
    pub(crate) fn sweep_projects(&self, pool: &OpenPool<'_>) {
        match self.try_sweep(pool) {
            Ok(0) => {}
            Ok(swept) => {
                let pool = &pool.config.name;
                tracing::debug!(%pool, swept, "cleared limits of removed volumes");
            }
            Err(error) => {
                let pool = &pool.config.name;
                tracing::warn!(%pool, error = %Chain(&error), "could not clear limits of removed volumes");
            }
        }
    }

    fn try_sweep(&self, pool: &OpenPool<'_>) -> Result<usize, HostError> {
        if quota::support(&pool.dir)? != Support::Projects {
            return Ok(0);
        }
        self.load_ledgers();
        let unused = self.unused_projects(pool)?;
        if unused.is_empty() {
            return Ok(0);
        }
        // A volume that had one of these IDs and is no longer in the trash is in the ledger again,
        // or gone.
        let trashed = self.trashed_projects()?;
        let mut swept = 0;
        for number in unused.into_iter().filter(|number| !trashed.contains(number)) {
            // Locked for one ID at a time, because creations wait for it. A volume that is being
            // created has no file yet and is already in the ledger.
            let _guard = self.ledger.numbering();
            if !self.ledger.has_project(number) && is_empty(pool, number)? {
                quota::limit(&pool.dir, QuotaGroup::Project(number), Limits::NONE)?;
                swept += 1;
            }
        }
        Ok(swept)
    }

    /// Returns some IDs with a limit, without files and without a grant. Each scan continues where
    /// the previous one ended.
    fn unused_projects(&self, pool: &OpenPool<'_>) -> Result<Vec<u32>, HostError> {
        let name = &pool.config.name;
        let (first, known) = (*projects::PROJECT_IDS.start(), self.ledger.projects());
        let mut from = self.cursors.projects.lock().get(name).copied().unwrap_or(first);
        let mut unused = Vec::new();
        for _ in 0..MAX_PER_SCAN {
            let number = quota::project_from(&pool.dir, from)?;
            let Some(number) = number.filter(|number| projects::PROJECT_IDS.contains(number))
            else {
                from = first;
                break;
            };
            from = number + 1;
            if !known.contains(&number) && is_empty(pool, number)? {
                unused.push(number);
            }
        }
        self.cursors.projects.lock().insert(name.clone(), from);
        Ok(unused)
    }

    /// Returns the IDs of the volumes in the trash. They can be restored, and their tenants may
    /// have moved all files out of the project.
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
    let Some(trash) = pool.dir.open_if_exists(layout::TRASH)? else { return Ok(()) };
    for name in trash.names(usize::MAX)? {
        if let Some(id) = layout::volume(&name)
            // It may have been removed in the meantime.
            && let Some((_, identity)) = open_verified(&trash, &id)?
            && let Some(QuotaGroup::Project(number)) = identity.limit
        {
            numbers.insert(number);
        }
    }
    Ok(())
}
