//! Making a volume: choosing how it is held to its size, booking its room, and building it aside.
//!
//! A step that fails or is cut off leaves nothing under the volume's name.

use crate::host::quota::{self, Lack, QuotaGroup, Support};
use crate::host::{Dir, HostError, Verb, dirs};
use crate::pools::OpenPool;
use crate::volumes::records::identity;
use crate::volumes::{Order, Store, VolumeError, import, layout, trash};
use fastrak_api::class::Quota;
use fastrak_api::volume::Identity;
use rustix::io::Errno;
use std::ffi::OsStr;

impl Store {
    /// Makes the volume in `pool`, where it is not yet; how it is held to its size.
    pub(super) fn make(
        &self,
        pool: &OpenPool<'_>,
        order: &Order,
    ) -> Result<Option<QuotaGroup>, VolumeError> {
        let mut identity = order.identity.clone();
        self.provide(pool, order, &mut identity)?;
        let mut made = build(&pool.dir, order, &identity);
        if let Err(error) = &made
            && may_not_limit(error)
            && order.quota == Quota::Preferred
        {
            identity.limit = None;
            // Its number is nobody's again.
            self.rebook(&pool.config.name, &identity);
            made = build(&pool.dir, order, &identity);
        }
        made.map_err(|error| {
            self.ledger.forget(&pool.config.name, &identity.volume);
            if may_not_limit(&error) {
                return VolumeError::NoQuota {
                    pool: pool.config.name.clone(),
                    lack: Lack::Forbidden,
                };
            }
            VolumeError::Make(error)
        })?;
        Ok(identity.limit)
    }

    /// Chooses how a new volume in this pool is held to its size, and books its room.
    fn provide(
        &self,
        pool: &OpenPool<'_>,
        order: &Order,
        identity: &mut Identity,
    ) -> Result<(), VolumeError> {
        let lack = match support(pool, order)? {
            None => None,
            Some(Support::None(lack)) => Some(lack),
            Some(Support::Subvolumes { nested }) => {
                identity.limit = Some(QuotaGroup::Subvolume);
                (!nested).then_some(Lack::BtrfsNested)
            }
            Some(Support::Projects) => match self.book_as_project(pool, identity)? {
                None => return Ok(()),
                lack => lack,
            },
        };
        if let Some(lack) = lack.filter(|_| order.quota == Quota::Required) {
            return Err(VolumeError::NoQuota { pool: pool.config.name.clone(), lack });
        }
        self.book(pool, identity)
    }
}

/// What the pool's filesystem offers; none where nothing is wanted.
fn support(pool: &OpenPool<'_>, order: &Order) -> Result<Option<Support>, VolumeError> {
    match order.quota {
        Quota::Off => Ok(None),
        Quota::Required | Quota::Preferred => {
            quota::support(&pool.dir).map(Some).map_err(VolumeError::Look)
        }
    }
}

/// That quotas are on can be seen by everybody; that we may not set them only when it is tried.
fn may_not_limit(error: &HostError) -> bool {
    error.verb == Verb::Limit && matches!(error.errno, Errno::PERM | Errno::ACCESS)
}

/// Makes the volume aside and moves it to its place when it is whole and on the disk: so there is
/// never a directory with a volume's name that is not the whole volume.
fn build(pool: &Dir, order: &Order, identity: &Identity) -> Result<(), HostError> {
    let id = &identity.volume;
    let name = OsStr::new(id.as_str());
    let staging = pool.open_or_make(OsStr::new(layout::STAGING))?;
    // What an earlier try has left half done; but not the data that it has taken over.
    if import::finish(pool, &staging, name)? {
        let what = pool.path().join(name).display().to_string();
        return Err(HostError { verb: Verb::Make, what, errno: Errno::EXIST });
    }
    trash::remove_now(pool, &staging, name)?;
    let dir = staging.make(name, dirs::PRIVATE)?;
    let data = make_data(&dir, order.mode.0, identity.limit)?;
    enforce(&data, identity)?;
    dir.tag(layout::TAG, id.as_str())?;
    // Last of all changes, so that a filesystem with a journal has one commit to make and not three:
    // what is to be synced after it has gone to the disk with it.
    identity::create(&dir, identity)?;
    data.sync()?;
    dir.sync()?;
    staging.rename(name, pool, name)?;
    // The object that follows must not outlive what it stands for.
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

/// Has the kernel hold the volume's data to the size in its record, and to the number of files that
/// follows from it, if it is to be held at all.
pub(super) fn enforce(data: &Dir, identity: &Identity) -> Result<(), HostError> {
    match identity.limit {
        Some(group) => quota::limit(data, group, identity.into()),
        None => Ok(()),
    }
}
