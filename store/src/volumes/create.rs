//! Creates a volume: chooses its quota, grants its bytes and builds it in the staging directory.
//!
//! A step that fails or is interrupted leaves nothing under the volume's name.

use crate::host::quota::{self, QuotaGroup, QuotaUnavailable, Support};
use crate::host::{Dir, HostError, Operation, dirs};
use crate::pools::OpenPool;
use crate::volumes::records::identity;
use crate::volumes::{Store, VolumeError, VolumeSpec, import, layout, trash};
use fastrak_api::class::Quota;
use fastrak_api::volume::Identity;
use rustix::io::Errno;
use std::ffi::OsStr;

impl Store {
    /// Creates the volume in `pool`, where it does not exist. Returns its quota group.
    pub(super) fn make(
        &self,
        pool: &OpenPool<'_>,
        spec: &VolumeSpec,
    ) -> Result<Option<QuotaGroup>, VolumeError> {
        let mut identity = spec.identity.clone();
        self.grant_with_quota(pool, spec, &mut identity)?;
        let mut made = build(&pool.dir, spec, &identity);
        if let Err(error) = &made
            && lacks_permission(error)
            && spec.quota == Quota::Preferred
        {
            identity.limit = None;
            // This releases the project ID.
            self.set_grant(&pool.config.name, &identity);
            made = build(&pool.dir, spec, &identity);
        }
        made.map_err(|error| {
            self.ledger.forget(&pool.config.name, &identity.volume);
            if lacks_permission(&error) {
                return VolumeError::NoQuota {
                    pool: pool.config.name.clone(),
                    reason: QuotaUnavailable::Forbidden,
                };
            }
            VolumeError::Create(error)
        })?;
        Ok(identity.limit)
    }

    /// Chooses the quota of a new volume in this pool and grants its bytes.
    fn grant_with_quota(
        &self,
        pool: &OpenPool<'_>,
        spec: &VolumeSpec,
        identity: &mut Identity,
    ) -> Result<(), VolumeError> {
        let support = match spec.quota {
            Quota::Off => None,
            _ => Some(quota::support(&pool.dir).map_err(VolumeError::Read)?),
        };
        let reason = match support {
            None => None,
            Some(Support::None(reason)) => Some(reason),
            Some(Support::Subvolumes { nested }) => {
                identity.limit = Some(QuotaGroup::Subvolume);
                (!nested).then_some(QuotaUnavailable::BtrfsFullQuotas)
            }
            Some(Support::Projects) => match self.grant_with_project(pool, identity)? {
                None => return Ok(()),
                reason => reason,
            },
        };
        if let Some(reason) = reason.filter(|_| spec.quota == Quota::Required) {
            return Err(VolumeError::NoQuota { pool: pool.config.name.clone(), reason });
        }
        self.grant(pool, identity)
    }
}

/// Returns whether the agent lacks the permission to set quotas. The kernel reports it only when a
/// quota is set.
fn lacks_permission(error: &HostError) -> bool {
    error.verb == Operation::SetQuota && matches!(error.errno, Errno::PERM | Errno::ACCESS)
}

/// Builds the volume in the staging directory, flushes it and renames it. A directory with a
/// volume's name is therefore always a complete volume.
fn build(pool: &Dir, spec: &VolumeSpec, identity: &Identity) -> Result<(), HostError> {
    let id = &identity.volume;
    let name = OsStr::new(id.as_str());
    let staging = pool.open_or_make(layout::STAGING)?;
    // Leftovers of an earlier attempt are removed, except imported data.
    if import::finish(pool, &staging, name)? {
        let what = pool.path().join(name).display().to_string();
        return Err(HostError { verb: Operation::Create, what, errno: Errno::EXIST });
    }
    trash::remove_now(pool, &staging, name)?;
    let dir = staging.make(name, dirs::PRIVATE)?;
    let data = make_data(&dir, spec.mode.0, identity.limit)?;
    enforce(&data, identity)?;
    dir.set_xattr(layout::TAG, id.as_str())?;
    // The last change, so that a journaling filesystem commits once and not three times: the later
    // syncs find everything on the disk.
    identity::create(&dir, identity)?;
    data.sync()?;
    dir.sync()?;
    staging.rename(name, pool, name)?;
    // The PersistentVolume that follows must not outlive the directory.
    pool.sync()
}

fn make_data(dir: &Dir, mode: u32, limit: Option<QuotaGroup>) -> Result<Dir, HostError> {
    let name = OsStr::new(layout::DATA);
    match limit {
        None => dir.make(name, mode),
        Some(QuotaGroup::Subvolume) => quota::make_subvolume(dir, name, mode),
        Some(QuotaGroup::Project(project)) => quota::make_in_project(dir, (name, mode), project),
    }
}

/// Sets the kernel limits of the volume's data from its record, if it has a quota group.
pub(super) fn enforce(data: &Dir, identity: &Identity) -> Result<(), HostError> {
    match identity.limit {
        Some(group) => quota::limit(data, group, identity.into()),
        None => Ok(()),
    }
}
